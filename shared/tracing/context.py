"""W3C trace context as text (pure): `traceparent` and nothing else."""

from __future__ import annotations

import re

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def valid(said: object) -> str | None:
    """A `traceparent` of version 00 as it is; None for anything else, which is nobody's fault."""
    return said if isinstance(said, str) and _TRACEPARENT.fullmatch(said) else None


def trace_of(traceparent: str) -> str:
    """The 32 hex digits that name the trace."""
    return traceparent[3:35]


def span_of(traceparent: str) -> str:
    """The 16 hex digits that name the span it was sent from."""
    return traceparent[36:52]


def is_sampled(traceparent: str) -> bool:
    return bool(int(traceparent[53:55], 16) & 1)
