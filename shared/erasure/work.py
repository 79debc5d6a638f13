"""Erasing at work: a tombstone, then batches, each its own transaction, then what Redis holds.

It may die anywhere: the tombstone says what is left to do, and the sweeper's process goes on with
it. Who erases the same user at once takes turns, batch by batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.crash import AtPoint, ignore_point
from shared.db import Database, OperatorDatabase, Row, Transaction
from shared.erasure import store, streams
from shared.erasure.law import Position, user_sha256
from shared.erasure.store import Erasure
from shared.erasure.tables import AT_ONCE, BY_BATCH, LAST
from shared.isolation import is_conflict

log = structlog.get_logger()

Result = TypeVar("Result")

_BATCH = 1_000
_TRIES = 6
_LOOK_SECONDS = 0.05
_AT_ONCE = 10  # erasures resumed in one turn


class Eraser:
    """Erases users. Its database must be durable where the tombstone is promised to somebody."""

    def __init__(
        self,
        db: Database,
        redis: Redis | None,
        *,
        at_point: AtPoint = ignore_point,
        batch: int = _BATCH,
    ) -> None:
        self._db = db
        self._redis = redis
        self._at_point = at_point
        self._batch = batch

    async def begin(self, tenant: str, user: str, actor: str) -> Erasure:
        """Set the tombstone: from now on nothing about the user comes in, or into being.

        Where an erasure is under way it is found again.
        """

        async def work(tx: Transaction) -> Erasure:
            await store.hold_user(tx, tenant, user)
            await store.lock_user(tx, tenant, user)
            # Read under the lock: what a sweep sends again, it sends before it or not at all.
            place = await streams.last_place(self._redis)
            row = await store.set_tombstone(tx, tenant, user, actor, place)
            erasure = Erasure(tenant, user_sha256(tenant, user), row)
            for table in AT_ONCE:
                if erased := await store.erase(tx, table, (tenant, user), None):
                    await store.count(tx, erasure, {table: erased})
            self._at_point("tombstone")
            return erasure

        erasure = await self._patiently(tenant, work)
        self._at_point("begun")
        return erasure

    async def complete(self, erasure: Erasure) -> None:
        """Erase, or wait for who does, until it is finished, or only Redis is missing."""
        while not await self._advance(erasure):
            await asyncio.sleep(_LOOK_SECONDS)

    async def resume(self, everyone: OperatorDatabase) -> int:
        """Go on with what others left unfinished; returns how many are finished now."""
        async with everyone.autocommit() as tx:
            waiting = await store.unfinished(tx, _AT_ONCE)
        done = [await self._advance(erasure) for erasure in waiting]
        return sum(done)

    async def _advance(self, erasure: Erasure) -> bool:
        """Do what there is to do; False when somebody else has it in hand."""
        for table in () if await self._is_over(erasure) else BY_BATCH:
            while erased := await self._batch_of(erasure, table):
                if erased < 0:
                    return await self._is_over(erasure)
        cleared = await self._clear(erasure)
        if not await self._patiently(erasure.tenant, lambda tx: self._end(tx, erasure, cleared)):
            return await self._is_over(erasure)
        self._at_point("ended")
        return True

    async def _batch_of(self, erasure: Erasure, table: str) -> int:
        """Erase some rows of a table; 0: none are left, -1: somebody else has the erasure."""

        async def work(tx: Transaction) -> int:
            taken = await store.take(tx, erasure)
            if taken is None:
                return -1
            if taken["gone"]:
                return 0
            erased = await store.erase(tx, table, _whose(taken), self._batch)
            if erased:
                so_far = taken["counts"].get(table, 0)
                await store.count(tx, erasure, {table: so_far + erased})
                self._at_point("batch")
            return erased

        erased = await self._patiently(erasure.tenant, work)
        if erased > 0:
            self._at_point("erased")
        return erased

    async def _clear(self, erasure: Erasure) -> dict[str, int] | None:
        """Take the user's entries out of Redis; None while it is away."""
        async with self._db.of(erasure.tenant).transaction() as tx:
            taken = await store.take(tx, erasure)
        if taken is None or self._redis is None:
            return None
        place = Position(int(taken["stream_ms"]), int(taken["stream_seq"]))
        try:
            cleared = await streams.clear(self._redis, *_whose(taken), place, taken["gone_by"])
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("an erasure waits for Redis", error=str(error))
            return None
        self._at_point("cleared")
        return cleared

    async def _end(self, tx: Transaction, erasure: Erasure, cleared: dict[str, int] | None) -> bool:
        """Erase what came in between, and end; False when somebody else has it."""
        taken = await store.take(tx, erasure)
        if taken is None:
            return False
        if not taken["gone"]:
            counts = dict(taken["counts"])
            for table in (*AT_ONCE, *BY_BATCH, *LAST):
                erased = await store.erase(tx, table, _whose(taken), None)
                counts[table] = counts.get(table, 0) + erased
            counts["idempotency_keys"] = await store.erase_idempotency_keys(tx, _whose(taken))
            await store.gone(tx, erasure, taken["user_id"], counts)
        if cleared is not None or self._redis is None:
            await store.finish(tx, erasure, cleared)
        self._at_point("end")
        return True

    async def _is_over(self, erasure: Erasure) -> bool:
        async with self._db.of(erasure.tenant).autocommit() as tx:
            return await store.is_over(tx, erasure)

    async def _patiently(
        self, tenant: str, work: Callable[[Transaction], Awaitable[Result]]
    ) -> Result:
        """Run work in one transaction, again when somebody was in the way."""
        for _ in range(_TRIES - 1):
            try:
                async with self._db.of(tenant).transaction() as tx:
                    return await work(tx)
            except Exception as error:
                if not is_conflict(error):
                    raise
                log.info("an erasure waits for a transaction", error=str(error).strip())
        async with self._db.of(tenant).transaction() as tx:
            return await work(tx)


def _whose(taken: Row) -> tuple[str, str]:
    return taken["tenant_id"], taken["user_id"]
