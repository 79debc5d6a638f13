"""Dates as precise as they were written: `2015`, `2015-06`, `2015-06-01`, or a full time (pure)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shared.beliefs.observations import Precision

_PARTIAL = re.compile(r"^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?$")
_FORMATS: dict[str, str] = {"year": "%Y", "years": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}


def parse_date(text: str) -> tuple[datetime, Precision]:
    """Read a date and the precision it was written with; raises ValueError for anything else."""
    if match := _PARTIAL.match(text.strip()):
        year, month, day = match.groups()
        precision: Precision = "day" if day else "month" if month else "year"
        return datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC), precision
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC), "instant"
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range") from error


def format_date(moment: datetime | None, precision: str | None) -> str | None:
    """Write a date as precisely as it is known."""
    if moment is None:
        return None
    if precision in _FORMATS:
        return moment.astimezone(UTC).strftime(_FORMATS[precision]).zfill(4)
    return moment.isoformat()
