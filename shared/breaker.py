"""Decides when a provider may be asked: a circuit breaker, pure but for its injected clock.

Closed, everybody may. After some failures in a row it opens for a pause that doubles; then one
probe is let through, and what becomes of it decides. A wrong key or an empty account opens it at
once. It never calls, sleeps or logs.

**Who is to blame** for a server that seems away: an item's own input only if the server has
answered somebody since the failure before. So an outage burns no item's attempts, however long it
lasts, and an item that brings its server down among others that do not is found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Trouble = Literal["away", "slow", "configuration"]
"""`slow` is a time-out or a plain 500, which an input may cause by itself."""


@dataclass(frozen=True, slots=True)
class BreakerPace:
    """Failures in a row that open it; its pauses, in seconds: they double from first to longest."""

    failures: int = 5
    first_seconds: float = 1.0
    longest_seconds: float = 15.0
    configuration_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; handed back with what became of it."""

    epoch: int
    probe: bool


class Breaker:
    """One per provider and model in a process, shared by whoever asks it."""

    def __init__(
        self, pace: BreakerPace | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pace = pace or BreakerPace()
        self._now = monotonic
        self._failures = 0
        self._pauses = 0  # in a row
        self._epoch = 0  # counts openings, so that old calls are told from the probe
        self._until: float | None = None
        self._not_before = 0.0  # what Retry-After asked for
        self._probing = False
        self._proven = False  # it has answered since the last failure

    @property
    def is_open(self) -> bool:
        """Whether the provider is left alone, but for probes."""
        return self._until is not None

    @property
    def least_seconds(self) -> float:
        """How long an item waits at least whose provider seems away."""
        return self._pace.first_seconds

    def wait_seconds(self) -> float:
        """How long nobody may ask; 0 where somebody may."""
        if self._until is None:
            return 0.0
        if (left := self._until - self._now()) > 0:
            return left
        return self._pace.first_seconds if self._probing else 0.0

    def admit(self) -> Permit | None:
        """Leave for one call, or None; after a pause only the first to ask gets it."""
        if self.wait_seconds() > 0:
            return None
        self._probing = self.is_open
        return Permit(self._epoch, probe=self._probing)

    def answered(self, permit: Permit) -> None:
        """It answered, be it with a refusal: it is there, whenever it was asked."""
        del permit
        self._failures = self._pauses = 0
        self._until, self._not_before = None, 0.0
        self._probing = False
        self._proven = True

    def failed(self, permit: Permit, trouble: Trouble, retry_after: float = 0.0) -> bool:
        """Note a failure; returns whether the call's own input may be to blame for it."""
        blamed = trouble == "slow" or (trouble == "away" and self._proven)
        self._proven = False
        self._failures += 1
        self._not_before = max(self._not_before, self._now() + retry_after)
        if self._until is not None and not (permit.probe and permit.epoch == self._epoch):
            self._until = max(self._until, self._not_before)  # asked before it opened
        elif permit.probe or trouble == "configuration" or self._failures >= self._pace.failures:
            self._open(trouble)
        return blamed

    def cancelled(self, permit: Permit) -> None:
        """Nothing is known of the call; the next to ask may probe."""
        if permit.probe and permit.epoch == self._epoch:
            self._probing = False

    def _open(self, trouble: Trouble) -> None:
        pace = self._pace
        pause = min(pace.longest_seconds, pace.first_seconds * 2.0 ** min(self._pauses, 30))
        if trouble == "configuration":
            pause = pace.configuration_seconds
        self._until = max(self._now() + pause, self._not_before)
        self._pauses += 1
        self._epoch += 1
        self._probing = False
