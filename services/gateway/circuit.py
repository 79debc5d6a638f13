"""Leaves a server alone for a moment after it failed, so that no request waits for it again."""

from __future__ import annotations

import time
from collections.abc import Callable


class Circuit:
    """Open after a failure, for `pause_seconds`; closed by time alone."""

    def __init__(
        self, pause_seconds: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause = pause_seconds
        self._monotonic = monotonic
        self._closed_from = 0.0

    @property
    def is_open(self) -> bool:
        return self._monotonic() < self._closed_from

    def failed(self) -> None:
        self._closed_from = self._monotonic() + self._pause
