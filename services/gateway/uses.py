"""Counts which facts are recalled, behind the requests' backs and in batches.

A crash loses the last few seconds, and so does a database that is away for long: a fact that is of
use is used again. What is counted keeps facts from fading and weighs when the essential ones are
chosen; no answer depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import psycopg
import structlog

from services.gateway.store import queries
from shared.db import Database

log = structlog.get_logger()

_CAPACITY = 20_000  # facts that wait; what is used beyond is not counted
_BATCH = 1_000
_PAUSE_SECONDS = 5.0
_LAST_SECONDS = 1.0

Used = tuple[str, str, UUID]
"""A tenant, a user and a fact."""


class UseCounter:
    """Facts with how often they were used since they were last written; one task writes them."""

    def __init__(self, db: Database, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._db = db
        self._pause_seconds = pause_seconds
        self._waiting: dict[Used, int] = {}
        self._task: asyncio.Task[None] | None = None

    def count(self, tenant: str, user: str, facts: Iterable[Mapping[str, Any]]) -> None:
        """Count facts that an answer showed, as far as they are believed or planned now."""
        for fact in facts:
            if fact["status"] not in {"current", "planned", "due"}:
                continue
            key = (tenant, user, fact["id"])
            if key in self._waiting or len(self._waiting) < _CAPACITY:
                self._waiting[key] = self._waiting.get(key, 0) + 1
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write_on(), name="uses")

    async def flush(self) -> None:
        """Write what waits; it goes on waiting where PostgreSQL is away."""
        while self._waiting:
            batch = sorted(self._waiting.items())[:_BATCH]
            for used, _ in batch:
                del self._waiting[used]
            try:
                await self._save(batch)
            except psycopg.Error as error:
                log.debug("uses are counted later", error=str(error).strip())
                for used, times in batch:
                    self._waiting[used] = self._waiting.get(used, 0) + times
                return

    async def stop(self) -> None:
        """Write the last of it, if that takes no longer than a second."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self.flush()
        except TimeoutError:
            self._waiting.clear()

    async def _write_on(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause_seconds)
            await self.flush()

    async def _save(self, batch: list[tuple[Used, int]]) -> None:
        params = {
            "tenants": [tenant for (tenant, _, _), _ in batch],
            "users": [user for (_, user, _), _ in batch],
            "ids": [fact for (_, _, fact), _ in batch],
            "uses": [times for _, times in batch],
        }
        async with self._db.of(*{tenant for (tenant, _, _), _ in batch}).transaction() as tx:
            await tx.execute(queries["save_uses"], params)
            await tx.execute(queries["keep_used"], params)
            await tx.execute(queries["tell_decay"], params)
