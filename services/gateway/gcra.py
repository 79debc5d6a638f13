"""How fast a caller may send (pure): the generic cell rate algorithm, on integers of microseconds.

A bucket is one number: the moment at which it will be empty again. Each request pours in one
interval; a request that would overflow the tolerance is refused and pours nothing. So a minute's
worth may come at once, and then one each interval. `gcra.lua` does the same in Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many requests a minute; `name` is what callers are told."""

    name: str
    per_minute: int

    @property
    def interval_us(self) -> int:
        return max(1, MINUTE_US // self.per_minute)

    @property
    def tolerance_us(self) -> int:
        return self.interval_us * self.per_minute


@dataclass(frozen=True, slots=True)
class Count:
    """What a bucket holds with this request in it; more than its tolerance: refused."""

    limit: Limit
    held_us: int

    @property
    def wait_us(self) -> int:
        """How long until the request would pass; 0 when it does."""
        return max(0, self.held_us - self.limit.tolerance_us)

    @property
    def remaining(self) -> int:
        """How many more would pass at this moment."""
        return max(0, self.limit.tolerance_us - self.held_us) // self.limit.interval_us

    @property
    def reset_us(self) -> int:
        """How long until the bucket is empty again."""
        return min(self.held_us, self.limit.tolerance_us)


def pour(
    empty_at: Sequence[int], now_us: int, limits: Sequence[Limit]
) -> tuple[bool, list[int], list[Count]]:
    """Count one request: whether it passes, the buckets afterwards, and what each holds.

    A bucket never holds more than its tolerance, even if the clock was set back since.
    """
    counts = [
        Count(limit, min(max(moment - now_us, 0), limit.tolerance_us) + limit.interval_us)
        for moment, limit in zip(empty_at, limits, strict=True)
    ]
    passed = not any(count.wait_us for count in counts)
    after = [now_us + count.held_us for count in counts] if passed else list(empty_at)
    return passed, after, counts


def headers(counts: Sequence[Count]) -> dict[str, str]:
    """Tell what is left by the limit that is nearest; seconds are rounded up."""
    if not counts:
        return {}
    nearest = min(counts, key=lambda count: (count.remaining, -count.reset_us))
    policies = (f'"{count.limit.name}";q={count.limit.per_minute};w=60' for count in counts)
    return {
        "RateLimit-Limit": str(nearest.limit.per_minute),
        "RateLimit-Remaining": str(nearest.remaining),
        "RateLimit-Reset": str(seconds(nearest.reset_us)),
        "RateLimit-Policy": ", ".join(policies),
    }


def seconds(microseconds: int) -> int:
    return -(-microseconds // 1_000_000)
