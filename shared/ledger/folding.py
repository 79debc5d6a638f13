"""From stored rows to the law and back: rows as its inputs, folded, and what the cache holds of it.

Pure; `store` reads the rows and writes what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from psycopg.types.multirange import Multirange

from shared.beliefs import Observation, SlotTimeline, Standing, cluster, review_key
from shared.db import Row
from shared.ledger.acts import Acts
from shared.slot_folds import fold_under
from shared.slots import Catalogue, built_in

Attribute = tuple[str, str]
"""A subject and a slot."""

ACT_KEY = "a:"
"""How the message key of an operator's correction begins."""

Decided = Mapping[str, Sequence[tuple[UUID, UUID]]]
"""Unordered pairs of facts by verdict: `duplicate`, `supersedes`."""


def by_attribute(
    rows: Iterable[Row], catalogue: Catalogue | None = None
) -> dict[Attribute, list[Row]]:
    """Part rows by subject and slot, the slot under the name the catalogue has for it."""
    attributes: dict[Attribute, list[Row]] = {}
    for row in rows:
        slot = (catalogue or built_in()).name_of(row["slot"])
        attributes.setdefault((row["subject"], slot), []).append(row)
    return attributes


def fold_attribute(
    attribute: Attribute,
    rows: Sequence[Row],
    acts: Acts,
    known_at: datetime | None = None,
    catalogue: Catalogue | None = None,
) -> SlotTimeline:
    """Fold one attribute's rows with what the catalogue knows of the slot.

    A correction's own row is no observation; the correction counts as soon as that row is settled.
    """
    known = catalogue or built_in()
    made = {
        act.id: act
        for act in acts.corrections
        if act.slot is not None and (act.subject, known.name_of(act.slot)) == attribute
    }
    said = [row for row in rows if row["id"] not in made]
    corrections = [
        replace(made[row["id"]], cardinality=row["cardinality"])
        for row in rows
        if row["id"] in made
    ]
    return fold_under(
        known,
        attribute[1],
        [observation_of(row) for row in said],
        corrections,
        acts.tombstones,
        known_at,
        acts.undos,
        acts.other_words,
        acts.reviews,
    )


def fold_free_text(
    rows: Sequence[Row],
    decided: Decided,
    acts: Acts,
    known_at: datetime | None = None,
) -> Mapping[UUID, Standing]:
    """Cluster one user's rows of free text; a correction counts as soon as its row is settled."""
    settled = {row["id"] for row in rows}
    return cluster(
        [observation_of(row) for row in rows],
        decided["duplicate"],
        acts.tombstones,
        known_at,
        decided["supersedes"],
        corrections=[act for act in acts.corrections if act.id in settled],
        undos=acts.undos,
        other_words=acts.other_words,
        reviews=acts.reviews,
    )


def observation_of(row: Row) -> Observation:
    """Read a row of `memory_facts` as an input of the law."""
    return Observation(
        fact_id=row["id"],
        subject=row["subject"],
        slot=row["slot"],
        value=row["value"] if row["slot"] else row["content"],
        value_key=row["value_key"],
        cardinality=row["cardinality"] or "many",
        claim=row["claim"],
        temporal_state=row["temporal_state"],
        said_at=row["said_at"],
        recorded_at=row["recorded_at"],
        message_key=row["message_key"],
        ordinal=row["ordinal"],
        occurred_at=row["occurred_at"],
        occurred_precision=row["occurred_precision"],
        ended_at=row["ended_at"],
        ended_precision=row["ended_precision"],
        source_message_ids=tuple(row["source_message_ids"]),
        origin=None if row["message_key"].startswith(ACT_KEY) else row["source"],
        held=held_key(row),
    )


def held_key(row: Row) -> str | None:
    """What a decision about a fact names; None for one that was never suspicious."""
    if row["suspicions"] is None:
        return None
    sources = row["source_message_ids"] or [row["id"]]
    return review_key(row["subject"], row["content"], row["value"], sources)


def standing_of(row: Row) -> Standing | None:
    """Read the standing a row's cache holds; None before the first fold."""
    if row["standing"] is None:
        return None
    believed: Multirange[datetime] | None = row["believed"]
    return Standing(
        kind=row["standing"],
        canonical_id=row["canonical_id"],
        valid=tuple((stretch.lower, stretch.upper) for stretch in believed or ()),
        planned_for=row["planned_for"],
        planned_since=row["planned_since"],
        superseded_by=row["superseded_by"],
        evidence_count=row["evidence_count"],
    )


def decided_by(verdicts: Iterable[Row]) -> Decided:
    """Sort pairs by what was decided: `duplicate` joins them, `supersedes` parts them."""
    decided: dict[str, list[tuple[UUID, UUID]]] = {"duplicate": [], "supersedes": []}
    for verdict in verdicts:
        decided[verdict["verdict"]].append((verdict["first_id"], verdict["second_id"]))
    return decided


def trace_of(row: Row) -> UUID:
    """Name the trace a fact belongs to: its first message's, or its own when stated directly."""
    sources = row["source_message_ids"]
    trace: UUID = sources[0] if sources else row["id"]
    return trace
