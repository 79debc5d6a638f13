"""Whether a row of samples is flat (pure): what an hour more of the same would add.

The slope is the median of the slopes between all pairs of samples (Theil and Sen), so that one
sample taken in the middle of something large does not tilt it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

WARM_UP_SHARE = 0.25
_HOUR_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Trend:
    """Of the samples after the warm-up: their middle, and by how much they grow."""

    first: float
    last: float
    middle: float
    highest: float
    per_hour: float
    """What an hour would add, in the samples' own unit."""
    seen: float
    """What the time looked at has added, by the same slope."""

    @property
    def share_per_hour(self) -> float:
        return self.per_hour / self.middle if self.middle else 0.0

    def flat(self, most_per_hour: float, noise: float) -> bool:
        """Whether it grows by at most this share an hour, or by no more than noise does."""
        return self.share_per_hour <= most_per_hour or self.seen <= noise


def after_warm_up(times: Sequence[float]) -> int:
    """The index of the first sample that counts."""
    if not times:
        return 0
    begins = times[0] + WARM_UP_SHARE * (times[-1] - times[0])
    return next(index for index, at in enumerate(times) if at >= begins)


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit what comes after the warm-up; times are seconds, in order."""
    start = after_warm_up(times)
    points = list(zip(times[start:], values[start:], strict=True))
    slopes = [(b - a) / (u - t) for (t, a), (u, b) in combinations(points, 2) if u > t]
    slope = median(slopes) if slopes else 0.0
    counted = [value for _, value in points]
    return Trend(
        first=counted[0],
        last=counted[-1],
        middle=median(counted),
        highest=max(counted),
        per_hour=slope * _HOUR_SECONDS,
        seen=slope * (points[-1][0] - points[0][0]),
    )
