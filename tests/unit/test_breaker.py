"""The breaker's laws, under any sequence of calls, answers, failures and passing time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.breaker import Breaker, BreakerPace, Permit, Trouble

PACE = BreakerPace(failures=3, first_seconds=1, longest_seconds=8, configuration_seconds=5)
TROUBLES: st.SearchStrategy[Trouble] = st.sampled_from(["away", "slow", "configuration"])
SECONDS = st.sampled_from([0.0, 0.3, 1.0, 2.5, 8.0, 30.0])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class AnyCalls(RuleBasedStateMachine):
    """Calls overlap, end in any order, and time passes between them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(PACE, self.clock)
        self.calls: list[Permit] = []
        self.asked_for = 0.0  # until when a Retry-After asked to be left alone
        self.proven = False

    @rule()
    def ask(self) -> None:
        waiting = self.breaker.wait_seconds()
        permit = self.breaker.admit()
        assert (permit is None) == (waiting > 0), "the wait told is the wait kept"
        if permit is not None:
            if self.breaker.is_open:
                assert self.clock.now >= self.asked_for, "never before Retry-After"
                assert permit.probe
                assert self.breaker.admit() is None, "one probe at a time"
            self.calls.append(permit)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.breaker.answered(self._one(data))
        self.asked_for, self.proven = 0.0, True
        assert not self.breaker.is_open
        assert self.breaker.wait_seconds() == 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), trouble=TROUBLES, retry_after=SECONDS)
    def fail(self, data: st.DataObject, trouble: Trouble, retry_after: float) -> None:
        permit = self._one(data)
        was_open = self.breaker.is_open
        blamed = self.breaker.failed(permit, trouble, retry_after)
        self.asked_for = max(self.asked_for, self.clock.now + retry_after)
        assert blamed == (trouble == "slow" or (trouble == "away" and self.proven))
        self.proven = False
        assert self.breaker.is_open or not was_open
        if trouble == "configuration":
            assert self.breaker.is_open
        if self.breaker.is_open and permit.probe:
            assert self.breaker.wait_seconds() > 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.breaker.cancelled(self._one(data))

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def somebody_may_ask_in_time(self) -> None:
        longest = max(PACE.longest_seconds, PACE.configuration_seconds)
        bound = max(longest, self.asked_for - self.clock.now)
        assert self.breaker.wait_seconds() <= bound + 1e-9

    def _one(self, data: st.DataObject) -> Permit:
        return self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))


TestAnyCalls = AnyCalls.TestCase


@given(st.integers(1, 10), st.integers(0, 9))
def test_it_opens_after_that_many_failures_in_a_row(failures: int, before: int) -> None:
    """One fewer leaves it closed, and an answer between begins the count anew."""
    breaker = Breaker(BreakerPace(failures=failures), Clock())
    for _ in range(min(before, failures - 1)):
        _fail(breaker)
    permit = breaker.admit()
    assert permit is not None
    breaker.answered(permit)
    for _ in range(failures):
        assert not breaker.is_open
        _fail(breaker)
    assert breaker.is_open


def test_pauses_double_up_to_the_longest_and_begin_small_again_after_an_answer() -> None:
    """1, 2, 4, 8, 8 seconds: an outage of an hour costs some hundred probes, not thousands."""
    clock = Clock()
    breaker = Breaker(PACE, clock)
    waits = []
    for _ in range(PACE.failures - 1):
        _fail(breaker)
    for _ in range(5):
        _fail(breaker)
        waits.append(breaker.wait_seconds())
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 8]
    permit = breaker.admit()
    assert permit is not None
    breaker.answered(permit)
    for _ in range(PACE.failures):
        _fail(breaker)
    assert breaker.wait_seconds() == 1


def test_calls_that_were_under_way_when_it_opened_do_not_make_the_pause_longer() -> None:
    """Eight calls that fail together are one failure of the provider, not eight."""
    clock = Clock()
    breaker = Breaker(PACE, clock)
    permits = [breaker.admit() for _ in range(8)]
    for permit in permits:
        assert permit is not None
        breaker.failed(permit, "away")
    assert breaker.wait_seconds() == 1


def test_a_lost_probe_lets_the_next_one_ask() -> None:
    """A cancelled probe says nothing; the next to ask probes."""
    clock = Clock()
    breaker = Breaker(PACE, clock)
    for _ in range(PACE.failures):
        _fail(breaker)
    clock.now += 1
    probe = breaker.admit()
    assert probe is not None
    assert breaker.admit() is None
    breaker.cancelled(probe)
    assert breaker.admit() is not None


@pytest.mark.parametrize("others_answered", [True, False])
def test_who_brings_the_server_down_among_others_is_found(others_answered: bool) -> None:
    """With answers in between each such failure is the item's own; in an outage none is."""
    clock = Clock()
    breaker = Breaker(BreakerPace(failures=3), clock)
    blamed = []
    for _ in range(20):
        clock.now += 60
        if others_answered:
            permit = breaker.admit()
            assert permit is not None
            breaker.answered(permit)
        blamed.append(_fail(breaker))
    assert blamed == [others_answered] * 20


def _fail(breaker: Breaker) -> bool:
    permit = breaker.admit()
    assert permit is not None
    return breaker.failed(permit, "away")
