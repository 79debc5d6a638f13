"""Rings bells behind the request's back: ingest answers whatever state Redis is in.

A bell that finds the queue full, Redis away or the circuit open is dropped: its row knows that it
waits, and the sweep rings again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from redis.asyncio import Redis

from services.gateway.circuit import Circuit
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.events import Announcement

_CAPACITY = 10_000
_PIPELINE = 500
_RING_SECONDS = 0.5
_FLUSH_SECONDS = 1.0


class BellRinger:
    """A bounded queue of announcements and one task that publishes them in pipelines.

    A pipeline that takes longer than `ring_seconds` counts as Redis being away; the last ones, at
    the stop, have `flush_seconds` together.
    """

    def __init__(
        self,
        redis: Redis | None,
        *,
        settled_max_length: int = 100_000,
        ring_seconds: float = _RING_SECONDS,
        flush_seconds: float = _FLUSH_SECONDS,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._announcer = Announcer(redis, settled_max_length) if redis is not None else None
        self._ring_seconds = ring_seconds
        self._flush_seconds = flush_seconds
        self._at_point = at_point
        self._waiting: deque[Announcement] = deque()
        self._wake = asyncio.Event()
        self._circuit = Circuit()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bells")

    def ring(self, announcements: Iterable[Announcement]) -> None:
        """Queue announcements; returns at once and never fails."""
        if self._announcer is None or self._circuit.is_open:
            return
        room = _CAPACITY - len(self._waiting)
        for _, announcement in zip(range(room), announcements, strict=False):
            self._waiting.append(announcement)
        self._wake.set()

    async def stop(self) -> None:
        """Ring what is queued, within `flush_seconds`, and end."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=self._flush_seconds)
        try:
            async with asyncio.timeout(self._flush_seconds):
                while self._waiting:
                    await self._publish()
        except TimeoutError:
            self._waiting.clear()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._publish()

    async def _publish(self) -> None:
        """Publish the oldest bells; when that fails, drop all that wait and pause."""
        assert self._announcer is not None
        bells = [self._waiting[at] for at in range(min(_PIPELINE, len(self._waiting)))]
        self._at_point("ring")
        try:
            async with asyncio.timeout(self._ring_seconds):
                rung = await self._announcer.announce(bells)
        except (TimeoutError, OSError):
            rung = False
        if not rung:
            self._circuit.failed()
            self._waiting.clear()
            return
        self._at_point("rung")
        for _ in bells:
            self._waiting.popleft()
