"""What people may look up later, kept in the process and written about once a second.

Counts of calls, and which providers are left alone. Nothing decides by it and no call waits for it;
a process that is killed loses the last second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

import psycopg
import structlog

from shared.clock import Clock, utc_now
from shared.db import Database
from shared.spending import store
from shared.spending.prices import Tokens
from shared.spending.store import Counts, Line

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """Which model is asked, and what for."""

    purpose: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a provider is left alone, and for how many seconds from now."""

    kind: Literal["away", "configuration"]
    reason: str
    seconds: float


class Records(Protocol):
    """Where calls and pauses are told."""

    def count(
        self, asked: Asked, tenant: str, tokens: Tokens, money: Decimal, *, failed: bool
    ) -> None: ...

    def note(self, asked: Asked, pause: Pause | None) -> None: ...


class NoRecords:
    """Keeps nothing: for commands and tests that have no database at hand."""

    def count(
        self, asked: Asked, tenant: str, tokens: Tokens, money: Decimal, *, failed: bool
    ) -> None: ...

    def note(self, asked: Asked, pause: Pause | None) -> None: ...


class Books:
    """Adds up what happens, and writes it while there is something to write."""

    def __init__(self, db: Database, *, clock: Clock = utc_now, pause_seconds: float = 1.0) -> None:
        self._db = db
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._counted: dict[Line, Counts] = {}
        self._pauses: dict[Asked, Pause | None] = {}
        self._task: asyncio.Task[None] | None = None

    def count(
        self, asked: Asked, tenant: str, tokens: Tokens, money: Decimal, *, failed: bool
    ) -> None:
        """Count one call for one tenant, on the day it ended."""
        day = self._clock().date()
        line = Line(tenant, day, asked.purpose, asked.provider, asked.model)
        self._add(line, Counts(1, int(failed), tokens.input, tokens.output, money))
        self._begin()

    def note(self, asked: Asked, pause: Pause | None) -> None:
        """Note that a model is left alone, or asked again."""
        self._pauses[asked] = pause
        self._begin()

    async def flush(self) -> None:
        """Write what there is; it is kept where PostgreSQL is away."""
        counted, self._counted = self._counted, {}
        pauses, self._pauses = self._pauses, {}
        try:
            async with self._db.of(*{line.tenant for line in counted}).transaction() as tx:
                if counted:
                    await store.add(tx, counted)
                for asked, pause in pauses.items():
                    await _write_pause(tx, asked, pause)
        except psycopg.Error as error:
            log.debug("spending is written later", error=str(error).strip())
            for line, counts in counted.items():
                self._add(line, counts)
            self._pauses = {**pauses, **self._pauses}

    async def close(self) -> None:
        """Write the last of it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._counted or self._pauses:
            await self.flush()

    def _add(self, line: Line, more: Counts) -> None:
        counts = self._counted.setdefault(line, Counts())
        counts.calls += more.calls
        counts.failed += more.failed
        counts.input_tokens += more.input_tokens
        counts.output_tokens += more.output_tokens
        counts.money += more.money

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_on(), name="books")

    async def _write_on(self) -> None:
        while self._counted or self._pauses:
            await asyncio.sleep(self._pause_seconds)
            await asyncio.shield(asyncio.ensure_future(self.flush()))


async def _write_pause(tx: Any, asked: Asked, pause: Pause | None) -> None:
    if pause is None:
        await store.note_back(tx, asked.purpose, asked.provider, asked.model)
        return
    told: Mapping[str, Any] = {
        "purpose": asked.purpose,
        "provider": asked.provider,
        "model": asked.model,
        "kind": pause.kind,
        "reason": pause.reason.replace("\x00", "�")[:500],
        "seconds": pause.seconds,
    }
    await store.note_pause(tx, told)
