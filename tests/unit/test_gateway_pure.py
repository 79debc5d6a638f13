"""The gateway's pure parts: cursors, traces, what a fact shows, the circuit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import cursors, traces
from services.gateway.circuit import Circuit
from services.gateway.errors import ApiError
from services.gateway.facts import slot_name, stretch_at, tokens
from shared.beliefs import Standing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROW = UUID(int=7)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
def test_a_cursor_reads_back_what_was_written(at: datetime, row: UUID, name: str) -> None:
    word = cursors.encode([at, row, name])
    assert cursors.decode(word, cursors.moment, cursors.row_id, cursors.text) == (at, row, name)


@given(st.text())
def test_any_other_cursor_is_refused(word: str) -> None:
    with pytest.raises(ApiError):
        cursors.decode(word, cursors.moment, cursors.row_id)


def test_a_page_knows_whether_there_is_a_next_one() -> None:
    rows: list[dict[str, Any]] = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert cursors.page(rows, 3, ["id"]) == (rows, None)
    page, following = cursors.page(rows, 2, ["id"])
    assert (page, cursors.decode(following, cursors.text)) == (rows[:2], ("b",))


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([], "settled"),
        ([(True, False)], "settled"),
        ([(True, True)], "settled"),
        ([(True, False), (False, False)], "open"),
        ([(False, True), (False, False)], "open"),
        ([(True, False), (False, True)], "dead"),
    ],
)
def test_a_trace_is_dead_only_when_nothing_moves(rows: list[Any], status: str) -> None:
    assert traces.status_of(rows) == status


def test_the_stretch_that_covers_now_is_shown_else_the_last() -> None:
    before, around, after = (NOW - 3 * DAY, NOW - 2 * DAY), (NOW - DAY, None), (NOW + DAY, None)

    def shown(*valid: Any) -> Any:
        return stretch_at(Standing(kind="belief", canonical_id=ROW, valid=valid), NOW)

    assert shown(before, around) == around
    assert shown((None, NOW + DAY), after) == (None, NOW + DAY)
    assert shown(before) == before
    assert shown((None, NOW)) == (None, NOW)  # half open: now is outside
    assert shown() == stretch_at(None, NOW) == (None, None)


def test_slots_are_named_as_they_are_stored() -> None:
    assert slot_name("Home City") == slot_name("city") == "home_city"
    assert slot_name("Favourite-Quasar  colour") == "favorite_quasar_color"


def test_four_characters_are_a_token() -> None:
    assert [tokens({"content": "x" * length}) for length in (1, 4, 5)] == [1, 1, 2]


def test_a_circuit_closes_by_time_alone() -> None:
    time = 0.0
    circuit = Circuit(1.0, lambda: time)
    assert not circuit.is_open
    circuit.failed()
    assert circuit.is_open
    time = 1.0
    assert not circuit.is_open
