"""The simulated burst: nothing is lost on its way, bounds hold, and more copies never take longer."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.burst.__main__ import NAMES, RATES, policies, run, stages
from benchmarks.burst.drain import Burst
from benchmarks.burst.scaler import SYNC_SECONDS, Policy, Scaler
from shared.settings import Settings
from shared.topology import STAGES

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")
POLICY = Policy(
    least=1, most=20, stream_target=100, rows_target=100, up_percent=300, up_seconds=15,
    down_percent=50, down_seconds=60, down_window_seconds=120,
)  # fmt: skip
some_rows = st.floats(0, 1e6)


@given(some_rows, some_rows, st.integers(0, 20))
def test_the_formula_asks_for_what_the_largest_metric_needs(
    stream: float, rows: float, current: int
):
    """Its share of every copy is at most the target, within the tolerance and the bounds."""
    asked = POLICY.asked_for(current, stream, rows)
    assert POLICY.least <= asked <= POLICY.most or asked == current
    if asked < POLICY.most:
        assert max(stream / 100, rows / 100) <= asked * 1.1
    assert asked >= POLICY.asked_for(current, stream / 2, rows / 2) or asked == current


@given(st.lists(st.tuples(some_rows, some_rows), min_size=1, max_size=40))
def test_copies_stay_within_bounds_and_change_as_fast_as_they_may(
    metrics: list[tuple[float, float]],
):
    """At most four times as many in fifteen seconds, at most half of them gone in a minute."""
    scaler, before = Scaler(POLICY), POLICY.least
    for turn, (stream, rows) in enumerate(metrics):
        copies = scaler.decide(turn * SYNC_SECONDS, stream, rows)
        assert POLICY.least <= copies <= POLICY.most
        assert math.floor(before / 2) <= copies <= 4 * before
        before = copies


def test_what_is_quiet_for_a_moment_loses_no_copy():
    """Only what all of two minutes agree on is taken away."""
    scaler = Scaler(POLICY)
    for turn in range(4):
        scaler.decide(turn * SYNC_SECONDS, 2_000, 2_000)
    assert scaler.copies == 20
    assert scaler.decide(5 * SYNC_SECONDS, 0, 0) == 20
    for turn in range(6, 60):
        scaler.decide(turn * SYNC_SECONDS, 0, 0)
    assert scaler.copies == 1


@given(
    st.integers(1, 2_000), st.integers(1, 50), st.floats(0, 60), st.floats(0.05, 2),
    st.integers(1, 10),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_all_that_comes_is_settled(
    messages: int, tenants: int, over: float, call_seconds: float, a_call: int
):
    """Two facts a message, whatever the copies did meanwhile."""
    burst = Burst(messages, over, tenants)
    outcome = run(burst, stages(call_seconds, a_call, 200))
    assert outcome.settled == pytest.approx(2 * messages, abs=0.6)
    assert all(outcome.most_copies[name] <= policies()[name].most for name in NAMES)


@given(st.integers(100, 1_000), st.floats(0.1, 2))
@settings(max_examples=10, deadline=None)
def test_more_copies_never_take_longer(messages: int, call_seconds: float):
    """Scaled, a burst is through no later than with one copy of each."""
    burst, found = Burst(messages, tenants=20), stages(call_seconds, 1, 200)
    assert run(burst, found).drained_seconds <= run(burst, found, 1).drained_seconds + 0.2


def test_a_window_bounds_one_tenant_and_not_twenty():
    """With calls of two seconds a window of 20 lets one tenant use ten calls a second at most."""
    found = stages(2.0, 1, 20)
    one = run(Burst(2_000, tenants=1), found).drained_seconds
    assert one > 2_000 / (20 / 2.2)
    assert run(Burst(2_000, tenants=20), found).drained_seconds < one / 2


def test_the_rates_are_of_the_settings_and_stages_there_are():
    defaults = Settings()
    assert RATES["extractor"]["calls_at_once"] == defaults.llm_concurrency
    assert RATES["extractor"]["window"] == defaults.window
    assert set(NAMES) == set(STAGES) - {"maintenance"}


@pytest.mark.parametrize(
    ("burst", "call_seconds", "window"),
    [
        (Burst(10_000, tenants=20), 0.2, 200),
        (Burst(10_000, tenants=20), 2.0, 200),
        (Burst(10_000, tenants=1), 2.0, 200),
        (Burst(10_000, tenants=1), 2.0, 50),
        (Burst(10_000, 60, tenants=20), 0.2, 200),
        (Burst(100_000, tenants=20), 0.2, 200),
    ],
)
def test_the_page_says_what_comes_out(burst: Burst, call_seconds: float, window: float):
    """docs/scaling.md has the seconds of each burst, scaled and with one copy of each."""
    found = stages(call_seconds, 1, window)
    seconds = [run(burst, found, most).drained_seconds for most in (1, None)]
    one, scaled = (f"{round(each):,}" for each in seconds)
    assert re.search(rf"\| {one} s \| (\*\*)?{scaled} s(\*\*)? \|", PAGE), (one, scaled)


def test_a_burst_of_ten_thousand_is_through_in_minutes():
    """With the manifests' own targets, and calls of 200 ms as of 2 s."""
    for call_seconds, bound in ((0.2, 120.0), (2.0, 240.0)):
        found = stages(call_seconds, 1, 200)
        assert run(Burst(10_000, tenants=20), found).drained_seconds < bound
