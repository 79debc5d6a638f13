"""The formula of the horizontal autoscaler, as KEDA feeds it: how many copies metrics ask for.

Pure. Follows `autoscaling/v2` with AverageValue targets: the largest of what each metric asks for,
a tolerance, policies of how fast, and a window over which scaling down is put off.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.1  # of the ratio of wanted to current; Kubernetes' default
SYNC_SECONDS = 15.0  # between two decisions; Kubernetes' default


@dataclass(frozen=True, slots=True)
class Policy:
    """What a ScaledObject says of one stage; targets are a copy's share of each metric."""

    least: int
    most: int
    stream_target: float
    rows_target: float
    up_percent: float
    up_seconds: float
    down_percent: float
    down_seconds: float
    down_window_seconds: float

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Policy:
        """Read what a manifest says; raises KeyError where it lacks a trigger."""
        by_type = {each["type"]: each["metadata"] for each in spec["triggers"]}
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        (up,), (down,) = behavior["scaleUp"]["policies"], behavior["scaleDown"]["policies"]
        return cls(
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            stream_target=float(by_type["redis-streams"]["streamLength"]),
            rows_target=float(by_type["postgresql"]["targetQueryValue"]),
            up_percent=up["value"],
            up_seconds=up["periodSeconds"],
            down_percent=down["value"],
            down_seconds=down["periodSeconds"],
            down_window_seconds=behavior["scaleDown"]["stabilizationWindowSeconds"],
        )

    def asked_for(self, current: int, stream: float, rows: float) -> int:
        """Copies that the metrics ask for, within the bounds; `current` if it is near enough."""
        wanted = max(stream / self.stream_target, rows / self.rows_target)
        if current and abs(wanted / current - 1) <= TOLERANCE:
            return current
        floor = max(self.least, 1 if stream or rows else 0)
        return min(self.most, max(floor, math.ceil(wanted)))


@dataclass(slots=True)
class Scaler:
    """One stage's scaler: what it decided, and what it remembers for that."""

    policy: Policy
    copies: int = field(init=False)
    _asked: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.copies = self.policy.least

    def decide(self, now: float, stream: float, rows: float) -> int:
        """Decide once, as the autoscaler does every 15 seconds."""
        asked = self.policy.asked_for(self.copies, stream, rows)
        self._asked.append((now, asked))
        while self._asked[0][0] < now - self.policy.down_window_seconds:
            self._asked.popleft()
        if asked < self.copies:  # down only as far as all of the window agrees
            asked = min(self.copies, max(each for _, each in self._asked))
        before = self.copies
        self.copies = self._as_fast_as_allowed(now, asked)
        if self.copies != before:
            self._changes.append((now, self.copies - before))
        return self.copies

    def _as_fast_as_allowed(self, now: float, asked: int) -> int:
        policy = self.policy
        if asked > self.copies:
            began = self.copies - self._changed(now - policy.up_seconds, upward=True)
            return min(asked, max(1, math.ceil(began * (1 + policy.up_percent / 100))))
        if asked < self.copies:
            began = self.copies - self._changed(now - policy.down_seconds, upward=False)
            return max(asked, math.floor(began * (1 - policy.down_percent / 100)))
        return asked

    def _changed(self, since: float, *, upward: bool) -> int:
        """How many copies were added, or (negative) taken, in the policy's period."""
        recent = [by for when, by in self._changes if when > since]
        return sum(by for by in recent if (by > 0) == upward)
