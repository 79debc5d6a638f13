"""Which superseded facts may go: whatever goes, all else is known as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.retention.expendable import expendable
from shared.beliefs import Standing
from shared.ledger.acts import Acts
from shared.ledger.folding import fold_attribute

BEFORE = datetime(2024, 1, 1, tzinfo=UTC)


def row(number: int, **told: Any) -> dict[str, Any]:
    said = told.pop("said_at")
    return {
        "id": UUID(int=number + 1),
        "subject": "user",
        "slot": "home_city",
        "content": "",
        "cardinality": "one",
        "claim": "holds",
        "temporal_state": "current",
        "said_at": said,
        "recorded_at": said,
        "message_key": f"m{number}",
        "ordinal": 0,
        "occurred_at": None,
        "occurred_precision": None,
        "source_message_ids": [],
        "source": "user",
        "suspicions": None,
        "ended_at": None,
        "ended_precision": None,
        "value": "Rome",
        "value_key": "rome",
        **told,
    }


def year(number: int) -> datetime:
    return datetime(number, 6, 1, tzinfo=UTC)


def fold(rows: Sequence[Mapping[str, Any]]) -> Mapping[UUID, Standing]:
    return fold_attribute(("user", "home_city"), list(rows), Acts()).standings  # type: ignore[arg-type]


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for number in range(draw(st.integers(1, 7))):
        value = draw(st.sampled_from(["rome", "oslo", "bern"]))
        began = draw(st.none() | st.integers(2005, 2025).map(year))
        rows.append(
            row(
                number,
                said_at=year(draw(st.integers(2010, 2026))),
                claim=draw(st.sampled_from(["holds", "holds", "holds", "ends", "denies"])),
                temporal_state=draw(st.sampled_from(["current", "current", "past", "future"])),
                occurred_at=began,
                occurred_precision="day" if began else None,
                value=value,
                value_key=value,
            )
        )
    return rows


@given(histories())
def test_whatever_goes_all_else_is_known_as_it_was(rows: list[dict[str, Any]]) -> None:
    going = expendable(rows, fold, BEFORE)
    left = [one for one in rows if one["id"] not in going]
    before, after = fold(rows), fold(left)
    assert all(after[one["id"]] == before[one["id"]] for one in left)


@given(histories())
def test_only_what_was_heard_before_and_holds_no_more_goes(rows: list[dict[str, Any]]) -> None:
    going = expendable(rows, fold, BEFORE)
    standings = fold(rows)
    for one in rows:
        if one["id"] in going:
            assert one["claim"] == "holds"
            assert one["recorded_at"] < BEFORE
            assert all(end is not None and end < BEFORE for _, end in standings[one["id"]].valid)


def test_what_was_superseded_long_ago_goes() -> None:
    """San Francisco, then Dallas, then Oslo: the last stays."""
    moves = [("sf", 2018), ("dallas", 2020), ("oslo", 2022)]
    rows = [row(n, said_at=year(y), value=v, value_key=v) for n, (v, y) in enumerate(moves)]
    assert expendable(rows, fold, BEFORE) == {UUID(int=1), UUID(int=2)}


def test_an_ending_and_what_it_ended_do_not_part() -> None:
    """What quit nothing else would stop stays stopped."""
    rows = [row(0, said_at=year(2018)), row(1, said_at=year(2020), claim="ends")]
    assert expendable(rows, fold, BEFORE) == set()


def test_what_an_operator_corrected_stays() -> None:
    moves = [("sf", 2018), ("dallas", 2020)]
    rows = [row(n, said_at=year(y), value=v, value_key=v) for n, (v, y) in enumerate(moves)]
    assert expendable(rows, fold, BEFORE, acts={UUID(int=1)}) == set()
