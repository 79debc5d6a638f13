"""Dates as precise as they were written: `2015`, `2015-06`, `2015-06-01`, or a full time (pure).

Two more can be read: a week, as ISO 8601 has it (`2026-W18`), and what is known only about, "a few
years ago" (`2023~`) or "some weeks ago" (`2026-04~`). They are shown in the first four, never more
precisely than they are known, with their precision beside them.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from shared.beliefs.moments import unit_end
from shared.beliefs.observations import Precision

_PARTIAL = re.compile(r"^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?$")
_WEEK = re.compile(r"^(\d{4})-W(\d{2})$")
_ABOUT = re.compile(r"^(\d{4})(?:-(\d{2}))?~$")
_YEARS = range(1000, 2200)
"""What somebody can tell of their life or of history; models write 0001 and 9999 for "unknown"."""
_FORMATS: dict[str, str] = {"year": "%Y", "years": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}


def parse_date(text: str) -> tuple[datetime, Precision]:
    """Read a date and the precision it was written with.

    Raises ValueError for anything else, and for years of which nobody can tell.
    """
    moment, precision = _read(text.strip())
    if moment.year not in _YEARS:
        raise ValueError(f"must lie between {_YEARS.start} and {_YEARS.stop - 1}")
    return moment, precision


def _read(text: str) -> tuple[datetime, Precision]:
    if match := _PARTIAL.match(text):
        year, month, day = match.groups()
        precision: Precision = "day" if day else "month" if month else "year"
        return datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC), precision
    if match := _WEEK.match(text):
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return datetime(monday.year, monday.month, monday.day, tzinfo=UTC), "week"
    if match := _ABOUT.match(text):
        about: Precision = "month" if match[2] else "years"
        return datetime(int(match[1]), int(match[2] or 1), 1, tzinfo=UTC), about
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC), "instant"
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range") from error


def ends_before(begins: str, ends: str) -> bool:
    """Whether a stretch would be over before it begins, however its dates are taken."""
    return unit_end(*parse_date(ends)) < parse_date(begins)[0]


def format_date(moment: datetime | None, precision: str | None) -> str | None:
    """Write a date as precisely as it is known."""
    if moment is None:
        return None
    if precision == "week":  # of the month that has most of it
        return format_date(moment + timedelta(days=3), "month")
    if precision in _FORMATS:
        return moment.astimezone(UTC).strftime(_FORMATS[precision]).zfill(4)
    return moment.isoformat()
