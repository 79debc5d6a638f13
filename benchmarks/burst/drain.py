"""A burst of messages on its way through the stages, in steps of a tenth of a second. Pure.

Messages and facts are amounts that flow: a stage takes as much as its running copies can, of what
waits for it. A stream shows what a tenant's window lets it show, PostgreSQL all there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.burst.scaler import SYNC_SECONDS, Scaler

STEP_SECONDS = 0.1
GIVE_UP_SECONDS = 4 * 3_600.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What comes, and who has sent it; all at once if `over_seconds` is 0."""

    messages: float
    over_seconds: float = 0.0
    tenants: int = 1
    facts_a_message: float = 2.0

    def rate(self, now: float) -> float:
        """Messages that come in this step."""
        return self._by(now + STEP_SECONDS) - self._by(now)

    def _by(self, moment: float) -> float:
        """Messages that have come by then; none before the beginning."""
        if moment <= 0:
            return 0.0
        return self.messages * (min(1.0, moment / self.over_seconds) if self.over_seconds else 1.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one copy takes in a second, and how much of it one tenant may have announced."""

    name: str
    a_second: float
    window: float = float("inf")
    in_hand_seconds: float = 1.0
    """How long an item is in hand at least: what is announced cannot go through any faster."""

    entries_each: float = 1.0
    """Stream entries for each item that waits: less than 1 where a bell names many rows."""


@dataclass(slots=True)
class Copies:
    """Those that run, and those that are being started."""

    running: int
    starting: list[float] = field(default_factory=list)

    def become(self, wanted: int, ready_at: float) -> None:
        have = self.running + len(self.starting)
        self.starting += [ready_at] * max(0, wanted - have)
        excess = max(0, have - wanted)
        gone = min(excess, len(self.starting))
        self.starting = self.starting[: len(self.starting) - gone]
        self.running -= excess - gone

    def turn(self, now: float) -> None:
        ready = sum(at <= now for at in self.starting)
        self.starting = [at for at in self.starting if at > now]
        self.running += ready


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: seconds until nothing waited, and what was seen of each stage."""

    drained_seconds: float
    settled: float
    most_copies: Mapping[str, int]
    most_waiting: Mapping[str, float]
    waits: Sequence[tuple[float, float]]
    """(seconds, share of what came that had settled by then), every second."""

    def within(self, share: float) -> float:
        """Seconds by which so much of it had settled."""
        return next((seconds for seconds, done in self.waits if done >= share), float("inf"))


def drain(
    burst: Burst, stages: Sequence[Stage], scalers: Mapping[str, Scaler], start_seconds: float
) -> Outcome:
    """Let a burst through, with as many copies as the scalers ask for when they ask.

    A pod works `start_seconds` after it was asked for.
    """
    waiting = dict.fromkeys((stage.name for stage in stages), 0.0)
    copies = {name: Copies(scaler.copies) for name, scaler in scalers.items()}
    most_copies, most_waiting = {n: each.running for n, each in copies.items()}, dict(waiting)
    settled, total = 0.0, burst.messages * burst.facts_a_message
    waits: list[tuple[float, float]] = []
    for step in range(int(GIVE_UP_SECONDS / STEP_SECONDS)):
        now = step * STEP_SECONDS
        waiting[stages[0].name] += burst.rate(now)
        if step % round(SYNC_SECONDS / STEP_SECONDS) == 0:
            _scale(now, stages, waiting, scalers, copies, burst.tenants, start_seconds)
        for name, each in copies.items():
            each.turn(now)
            most_copies[name] = max(most_copies[name], each.running)
            most_waiting[name] = max(most_waiting[name], waiting[name])
        settled += _flow(stages, waiting, copies, burst)
        if step % round(1 / STEP_SECONDS) == 0:
            waits.append((now, settled / total))
        if now >= burst.over_seconds and total - settled < 0.5:
            waits.append((now + STEP_SECONDS, 1.0))
            return Outcome(now + STEP_SECONDS, settled, most_copies, most_waiting, waits)
    return Outcome(float("inf"), settled, most_copies, most_waiting, waits)


def _scale(
    now: float,
    stages: Sequence[Stage],
    waiting: Mapping[str, float],
    scalers: Mapping[str, Scaler],
    copies: Mapping[str, Copies],
    tenants: int,
    start_seconds: float,
) -> None:
    for stage in stages:
        rows = waiting[stage.name]
        shown = min(rows, stage.window * tenants) * stage.entries_each
        wanted = scalers[stage.name].decide(now, shown, rows)
        copies[stage.name].become(wanted, now + start_seconds)


def _flow(
    stages: Sequence[Stage], waiting: dict[str, float], copies: Mapping[str, Copies], burst: Burst
) -> float:
    """Move what the copies can take one stage on; returns what has settled."""
    coming = 0.0
    for number, stage in enumerate(stages):
        can = copies[stage.name].running * stage.a_second * STEP_SECONDS
        announced = stage.window * burst.tenants
        can = min(can, announced * STEP_SECONDS / stage.in_hand_seconds)
        taken = min(waiting[stage.name], can)
        waiting[stage.name] += coming - taken
        coming = taken * (burst.facts_a_message if number == 0 else 1.0)
    return coming
