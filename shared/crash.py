"""A test hook: dying at a named point, as if by `kill -9`.

Set `MEMOIRE_CRASH_AT=<process>:<point>` and the process ends there, without a chance to clean up.
Tests in the same process replace `reach` through `Delivery(at_point=…)` instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable

AtPoint = Callable[[str], None]


def crash_hook(process: str) -> AtPoint:
    """Build the hook for this process from the environment; mostly one that does nothing."""
    target_process, _, target_point = os.environ.get("MEMOIRE_CRASH_AT", "").partition(":")

    def reach(point: str) -> None:
        if process == target_process and point == target_point:
            os._exit(137)

    return reach


def ignore_point(_point: str) -> None:
    return None
