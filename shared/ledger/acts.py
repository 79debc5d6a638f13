"""From rows of `belief_acts` to the law's inputs (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.beliefs import Correction, OtherWords, Review, Tombstone, Undo
from shared.db import Row

_DECISIONS = {"approval": True, "rejection": False}


@dataclass(frozen=True, slots=True)
class Acts:
    """What operators did about one user."""

    corrections: tuple[Correction, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    undos: tuple[Undo, ...] = ()
    other_words: tuple[OtherWords, ...] = ()
    reviews: tuple[Review, ...] = ()


def acts_from(rows: Sequence[Row]) -> Acts:
    """Read one user's acts."""
    return Acts(
        tuple(_correction(row) for row in rows if row["kind"] == "correction"),
        tuple(_tombstone(row) for row in rows if row["kind"] == "tombstone"),
        tuple(_undos(rows)),
        tuple(_other_words(rows)),
        tuple(_review(row) for row in rows if row["kind"] in _DECISIONS),
    )


def _correction(row: Row) -> Correction:
    return Correction(
        id=row["id"],
        at=row["acted_at"],
        fact_id=row["fact_id"],
        subject=row["subject"],
        slot=row["slot"],
        value=row["value"],
        value_key=row["value_key"],
        old_value_key=row["old_value_key"],
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
    )


def _tombstone(row: Row) -> Tombstone:
    return Tombstone(
        id=row["id"],
        at=row["acted_at"],
        source_message_ids=tuple(row["source_message_ids"]),
        subject=row["subject"],
        slot=row["slot"],
        value_key=row["value_key"],
        origin=row["origin"],
        since=row["learnt_since"],
    )


def _review(row: Row) -> Review:
    return Review(
        id=row["id"], at=row["acted_at"], key=row["review_key"], approved=_DECISIONS[row["kind"]]
    )


def _other_words(rows: Sequence[Row]) -> Iterator[OtherWords]:
    """They are part of the correction of their deed."""
    corrections = {row["deed"]: row["id"] for row in rows if row["kind"] == "correction"}
    for row in rows:
        if row["kind"] == "other_words":
            yield OtherWords(
                id=row["id"],
                at=row["acted_at"],
                act_id=corrections[row["deed"]],
                subject=row["subject"],
                slot=row["slot"],
                value_key=row["value_key"],
            )


def _undos(rows: Sequence[Row]) -> Iterator[Undo]:
    """An undo takes back every act of the deed it names."""
    for undo in rows:
        if undo["undoes"] is None:
            continue
        for act in rows:
            if act["deed"] == undo["undoes"]:
                yield Undo(id=undo["id"], at=undo["acted_at"], act_id=act["id"])
