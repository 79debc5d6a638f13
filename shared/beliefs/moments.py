"""Moments, units of precision and half-open stretches of time; all of it in UTC.

Inside the fold BEGINNING and FOREVER stand for "no bound"; outside they are None.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from shared.beliefs.observations import Precision

Stretch: TypeAlias = tuple[datetime, datetime]

BEGINNING = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12, "years": 36}  # "a few years" reach over three


def unit_end(at: datetime, precision: Precision | None) -> datetime:
    """Where the unit that begins `at` ends; `at` itself when the moment is exact."""
    if precision in _DAYS:
        return later(at, timedelta(days=_DAYS[precision]))
    months = _MONTHS.get(precision or "instant", 0)
    return _months_later(at, months) if months else at


def _months_later(at: datetime, months: int) -> datetime:
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    if year > FOREVER.year:
        return FOREVER
    for shorter in range(4):
        try:
            return at.replace(year=year, month=month + 1, day=at.day - shorter)
        except ValueError:  # the 31st of a month of 28 to 30 days
            continue
    raise AssertionError(at)


def later(at: datetime, span: timedelta) -> datetime:
    """`at` plus `span`, or FOREVER beyond the calendar."""
    return at + span if FOREVER - at > span else FOREVER


def next_midnight(at: datetime) -> datetime:
    """The end of the UTC day that holds `at`."""
    return later(at.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1))


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same moments as ordered stretches that neither touch nor overlap."""
    result: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)


def without(stretch: Stretch, holes: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """What remains of a stretch outside ordered, disjoint holes."""
    start, end = stretch
    rest: list[Stretch] = []
    for hole_start, hole_end in holes:
        if start < hole_start:
            rest.append((start, min(hole_start, end)))
        start = max(start, hole_end)
    rest.append((start, end))
    return tuple((a, b) for a, b in rest if a < b)


def until(stretches: Iterable[Stretch], end: datetime) -> tuple[Stretch, ...]:
    """The stretches cut off at `end`."""
    return tuple((a, min(b, end)) for a, b in stretches if a < min(b, end))


def holds_at(stretches: Iterable[Stretch], at: datetime) -> bool:
    """Whether any of the stretches holds the moment."""
    return any(a <= at < b for a, b in stretches)


def bounded_below(at: datetime) -> datetime | None:
    """None for BEGINNING."""
    return None if at == BEGINNING else at


def bounded_above(at: datetime) -> datetime | None:
    """None for FOREVER."""
    return None if at == FOREVER else at
