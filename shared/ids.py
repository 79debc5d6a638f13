"""Identifiers: deterministic where a second delivery must find the first, else ordered by time.

Never sequence values: those are used twice after a crash of an asynchronous commit.
"""

from __future__ import annotations

import os
import threading
from uuid import UUID, uuid5

from shared.clock import now_ns

_NAMESPACE = UUID("6d656d6f-6972-4e00-8000-000000000000")
_SEPARATOR = "\x1f"  # no identifier of a caller may contain a control character


class _Ticks:
    """Time in units of 2^-12 ms that never repeats or goes back within this process."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, now_ns() * 4096 // 1_000_000)
            return self._last


_ticks = _Ticks()


def time_ordered_id() -> UUID:
    """Make a UUID version 7 that sorts after every one this process made before.

    RFC 9562 §6.2, method 3: the 12 bits after the milliseconds are a fraction of one.
    """
    ticks = _ticks.next()
    high = (ticks >> 12 & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64
    low = int.from_bytes(os.urandom(8), "big") >> 2 | 0x2 << 62
    return UUID(int=high | low)


def derived_id(*parts: object) -> UUID:
    """Make the same UUID from the same parts, always and everywhere."""
    return uuid5(_NAMESPACE, _SEPARATOR.join(str(part) for part in parts))


def chat_log_id(tenant: str, user: str, message_key: str) -> UUID:
    return derived_id("chat_log", tenant, user, message_key)


def fact_id(tenant: str, generation: int, source_message: UUID, ordinal: int) -> UUID:
    return derived_id("fact", tenant, generation, source_message, ordinal)


def trace_id(row: UUID) -> str:
    """Name the trace of a message, stated fact or job: the row's own id, as 32 hex digits."""
    return row.hex


def row_of_trace(trace: str) -> UUID | None:
    """Read a trace id back; None for anything that is not one."""
    try:
        return UUID(hex=trace)
    except ValueError:
        return None
