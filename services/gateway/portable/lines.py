"""What an export consists of (pure): kinds of lines, in their order, and what of them is read back.

What others rest on comes first, so that an import can take the lines as they come: verdicts and
acts before the facts they are about, the profile behind all facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

VERSION = 1

KINDS = (
    "session",
    "message",
    "removed",
    "extraction",
    "judgement",
    "replay",
    "act",
    "verdict",
    "fact",
    "use",
    "profile",
    "event",
    "failure",
)
"""Between the first line (`user`) and the last (`end`)."""

READ_BACK = KINDS[: KINDS.index("event")]
"""An import makes events of its own, and what failed is only shown."""


def grouped(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Part lines by kind, in the order in which they must be stored.

    What is not read back is left out. Raises ValueError, saying which line (from 0) is none.
    """
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("user", *READ_BACK)}
    for place, line in enumerate(lines):
        kind = line.get("type")
        if kind in found:
            found[kind].append({name: value for name, value in line.items() if name != "type"})
        elif kind not in (*KINDS, "end"):
            raise ValueError(f"{place}: a line of an export has a type")
    return {kind: rows for kind, rows in found.items() if rows}
