"""Time as the rest of the code sees it: injected, always in UTC, always aware.

A test hook: `MEMOIRE_CLOCK_AHEAD_SECONDS` lets a process live that far in the future, or in the
past. No time of a row and no order of events depends on it: PostgreSQL's clock says when.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_AHEAD = timedelta(seconds=float(os.environ.get("MEMOIRE_CLOCK_AHEAD_SECONDS", "0")))


def utc_now() -> datetime:
    return datetime.now(UTC) + _AHEAD


def now_ns() -> int:
    """Nanoseconds since 1970."""
    return time.time_ns() + int(_AHEAD.total_seconds() * 1e9)
