"""Waits for rows: one look at PostgreSQL every 25 ms serves everybody who waits.

PostgreSQL is asked, not Redis: it is the truth, and waiting works while Redis is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import psycopg

from services.gateway import trace_store
from services.gateway.trace_store import Table
from shared.db import Database
from shared.failures.store import RowRef

_LOOK_SECONDS = 0.025


@dataclass(slots=True, eq=False)
class _Waiter:
    table: Table
    open: dict[RowRef, None]
    ended: asyncio.Future[None] = field(repr=False)


class RowWatch:
    """Tells when rows are done or dead; looks only while somebody waits."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiters: set[_Waiter] = set()
        self._task: asyncio.Task[None] | None = None

    async def ended(self, table: Table, refs: Iterable[RowRef]) -> None:
        """Return when none of the rows can change any more by itself.

        Raises psycopg.Error when PostgreSQL goes away.
        """
        waiter = _Waiter(table, dict.fromkeys(refs), asyncio.get_running_loop().create_future())
        if not waiter.open:
            return
        await self._look({waiter})  # mostly it has ended already, or there is time
        if waiter.ended.done():
            return
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_on(), name="row-watch")
        try:
            await waiter.ended
        finally:
            self._waiters.discard(waiter)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _look_on(self) -> None:
        while self._waiters:
            waiters = set(self._waiters)
            try:
                await self._look(waiters)
            except (psycopg.Error, OSError) as error:
                for waiter in waiters:
                    if not waiter.ended.done():
                        waiter.ended.set_exception(error)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, waiters: set[_Waiter]) -> None:
        """Look once, with one statement a table, and wake whose rows have all ended."""
        tables = {waiter.table for waiter in waiters}
        tenants = {ref.tenant for waiter in waiters for ref in waiter.open}
        async with self._db.of(*tenants).autocommit() as tx:
            for table in tables:
                mine = [waiter for waiter in waiters if waiter.table == table]
                refs = list({ref: None for waiter in mine for ref in waiter.open})
                rows = await trace_store.progress_of(tx, table, refs)
                moving = {row["id"] for row in rows if not (row["done"] or row["dead"])}
                for waiter in mine:
                    waiter.open = {ref: None for ref in waiter.open if ref.id in moving}
                    if not waiter.open and not waiter.ended.done():
                        waiter.ended.set_result(None)
