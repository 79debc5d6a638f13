"""When jobs are due: one round a slot, what was missed once, spread evenly, never backwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.maintenance.jobs import known_kinds
from services.maintenance.schedule import (
    TURNS,
    Round,
    after_step,
    current_round,
    last_slot,
    next_slot,
    turns_due,
)
from shared.settings import Settings
from shared.topology import JOB_KINDS

CRONS = st.sampled_from(
    ["0 */6 * * *", "30 3 * * *", "0 4 * * 0", "*/7 * * * *", "15 2 29 2 *", "0 0 1 */2 *"]
)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)
STEPS = st.lists(st.timedeltas(timedelta(0), timedelta(days=20)), min_size=1, max_size=30)
SPREADS = st.floats(0, 100_000)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(CRONS, MOMENTS)
def test_a_moment_lies_between_its_last_and_its_next_slot(cron: str, now: datetime) -> None:
    last, following = last_slot(cron, now), next_slot(cron, now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert next_slot(cron, last) == following
    assert last_slot(cron, last) == last


@given(CRONS, MOMENTS, STEPS)
def test_rounds_only_go_forward_and_each_slot_has_one(
    cron: str, now: datetime, steps: list[timedelta]
) -> None:
    """Whenever it looks, and however long it did not, no slot begins a second round."""
    known = current_round(cron, None, now)
    assert known.finished, "a schedule seen for the first time waits for its next slot"
    begun: list[datetime] = []
    for step in steps:
        now += step
        current = current_round(cron, known, now)
        assert current.slot >= known.slot
        assert current.slot <= now
        if not current.finished:
            begun.append(current.slot)
        known = Round(current.slot, TURNS - 1, finished=True)
    assert begun == sorted(set(begun))


@given(CRONS, MOMENTS, st.integers(2, 50))
def test_missed_slots_are_made_up_for_once(cron: str, now: datetime, missed: int) -> None:
    """After any number of missed slots, one round runs: that of the latest."""
    known = Round(now, finished=True)
    for _ in range(missed):
        following = next_slot(cron, now)
        assert following is not None
        now = following
    current = current_round(cron, known, now + timedelta(seconds=1))
    assert current == Round(now)
    done = Round(current.slot, TURNS - 1, finished=True)
    assert current_round(cron, done, now + timedelta(seconds=2)) == done


@given(CRONS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=800)))
def test_time_that_goes_backwards_begins_nothing(cron: str, now: datetime, back: timedelta) -> None:
    """Neither just behind a slot nor after a clock that was years ahead."""
    latest = last_slot(cron, now)
    assert latest is not None
    known = Round(latest, TURNS - 1, finished=True)
    earlier = current_round(cron, known, now - back)
    assert earlier.finished
    following = next_slot(cron, now - back)
    assert following is not None
    assert earlier.slot <= following, "the next slot but one is not skipped"


@given(CRONS, MOMENTS, MOMENTS, MOMENTS, SPREADS)
def test_turns_come_due_evenly_and_stay_due(
    cron: str, slot: datetime, one: datetime, other: datetime, spread: float
) -> None:
    earlier, later = sorted([one, other])
    before = turns_due(cron, slot, earlier, spread)
    after = turns_due(cron, slot, later, spread)
    assert 0 <= before <= after <= TURNS


@given(CRONS, MOMENTS, SPREADS)
def test_a_round_is_whole_before_the_next_slot(cron: str, now: datetime, spread: float) -> None:
    """However long it may spread: a daily round of two days would never end."""
    slot = last_slot(cron, now)
    assert slot is not None
    following = next_slot(cron, slot)
    assert following is not None
    assert turns_due(cron, slot, following, spread) == TURNS


def test_half_the_time_is_half_the_users() -> None:
    slot = at("2026-11-25T06:00")
    halves = [turns_due("0 */6 * * *", slot, slot + timedelta(minutes=m), 3_600) for m in (0, 30)]
    assert halves == [0, TURNS // 2]


@given(st.lists(st.integers(0, TURNS - 1), unique=True, max_size=60), st.integers(1, 7), STEPS)
def test_every_user_has_one_turn_in_a_round(
    turns: list[int], limit: int, steps: list[timedelta]
) -> None:
    """Walked in small steps while time passes, nobody is left out and nobody is asked twice."""
    cron, slot = "0 0 * * *", at("2026-11-25T00:00")
    current, now, asked = Round(slot), slot, list[int]()
    waits = [*(step / 200 for step in steps), *[timedelta(hours=1)] * (len(turns) + 26)]
    for wait in waits:
        now += wait
        due = turns_due(cron, slot, now, 36_000)
        found = [turn for turn in sorted(turns) if current.turn < turn < due][:limit]
        asked += found
        following = after_step(current, found[-1] if found else None, due)
        assert following.turn >= current.turn
        current = following
    assert current.finished
    assert asked == sorted(turns)


def test_slots_are_utc_whatever_summer_time_does() -> None:
    """In the night clocks are changed in Europe, a six-hourly schedule has its slots."""
    slots = [at("2026-10-24T18:00")]
    for _ in range(5):
        following = next_slot("0 */6 * * *", slots[-1])
        assert following is not None
        slots.append(following)
    assert {after - before for before, after in pairwise(slots)} == {timedelta(hours=6)}


@pytest.mark.parametrize("cron", ["every day", "0 0 30 2 *", "* * * *", "61 * * * *"])
def test_what_is_no_cron_expression_is_refused(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    monkeypatch.setenv("MEMOIRE_CONSOLIDATE_CRON", cron)
    with pytest.raises(ValidationError, match="no cron expression"):
        Settings()


def test_an_empty_expression_switches_a_schedule_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOIRE_CONSOLIDATE_CRON", " ")
    assert not Settings().cron_of("consolidate")


def test_a_kind_has_a_setting_when_it_has_a_module() -> None:
    """Nothing that is not there can be scheduled, and nothing that is there is without schedule."""
    settings = {name for name in Settings.model_fields if name.endswith("_cron")}
    assert settings == {f"{kind}_cron" for kind in known_kinds()}
    assert set(known_kinds()) <= set(JOB_KINDS)
