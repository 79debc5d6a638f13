"""Looks at both servers every few seconds and tells what it saw.

Every sweeper looks for itself: it only reads. While a server is away nothing old is told of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

import psycopg
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.maintenance.watch import store, streams
from services.maintenance.watch.store import Rows
from services.maintenance.watch.streams import Streams
from shared.db import OperatorDatabase, Row
from shared.metrics import sweeping as metrics
from shared.metrics.kinds import Gauge
from shared.metrics.labels import MOST_TENANTS, RANK, RESOURCE
from shared.settings import Settings
from shared.spending.store import Limits
from shared.topology import STAGES

log = structlog.get_logger()

_OF_POSTGRES: tuple[Gauge, ...] = (
    metrics.OPEN_ROWS,
    metrics.OLDEST_OPEN_ROW,
    metrics.DEAD_ROWS,
    metrics.TENANT_OPEN_MESSAGES,
    metrics.BUDGET_LEFT,
    metrics.LEAST_BUDGET_LEFT,
)
_OF_REDIS: tuple[Gauge, ...] = (
    metrics.STREAM_ENTRIES,
    metrics.STREAM_PENDING,
    metrics.OLDEST_PENDING,
    metrics.CONSUMERS,
    metrics.IDLE_CONSUMERS,
)


class Watch:
    """One process' eye on what waits; it does nothing where metrics are off."""

    def __init__(self, db: OperatorDatabase, redis: Redis, settings: Settings) -> None:
        self._db = db
        self._redis = redis
        self._limits = Limits.of(settings.tenant_tokens_per_day, settings.tenant_money_per_day)
        self._evicted: int | None = None

    async def look(self) -> None:
        """Look once; a server that is away is told as such."""
        if not metrics.WATCHED_AT.is_open:
            return
        await self._look_at_postgres()
        await self._look_at_redis()
        metrics.WATCHED_AT.set(time.time())

    async def _look_at_postgres(self) -> None:
        try:
            async with self._db.autocommit() as tx:
                seen = await store.look(tx, self._limits)
        except (psycopg.Error, TimeoutError) as error:
            _away("postgres", _OF_POSTGRES, error)
            return
        metrics.SERVER_UP.set(1, server="postgres")
        _tell_rows(seen)
        _tell_budgets(seen)

    async def _look_at_redis(self) -> None:
        try:
            seen = await streams.look(self._redis)
        except (RedisError, TimeoutError, OSError) as error:
            _away("redis", _OF_REDIS, error)
            return
        metrics.SERVER_UP.set(1, server="redis")
        _tell_streams(seen)
        if seen.server:
            metrics.REDIS_MEMORY.set(seen.server["used_memory"])
            metrics.REDIS_MEMORY_LIMIT.set(seen.server["maxmemory"])
            metrics.REDIS_EVICTED.add(self._newly_evicted(int(seen.server["evicted_keys"])))

    def _newly_evicted(self, total: int) -> int:
        """Evictions since the last look; Redis counts from its own start, and we from ours."""
        before, self._evicted = self._evicted, total
        if before is None:
            return 0
        return total - before if total >= before else total


def _away(server: str, gauges: Iterable[Gauge], error: Exception) -> None:
    log.debug("nothing is told of a server that is away", server=server, error=str(error))
    metrics.SERVER_UP.set(0, server=server)
    for gauge in gauges:
        gauge.replace({})


def _tell_rows(seen: Rows) -> None:
    for stage in STAGES:
        waiting: dict[str, Any] = seen.waiting.get(stage) or {}
        metrics.OPEN_ROWS.set(waiting.get("open") or 0, stage=stage)
        metrics.OLDEST_OPEN_ROW.set(waiting.get("oldest_seconds") or 0, stage=stage)
        metrics.DEAD_ROWS.set(seen.dead.get(stage, 0), stage=stage)
    metrics.HELD_BACK_MESSAGES.set(sum(row["held_back"] for row in seen.held_back))
    metrics.HELD_BACK_TENANTS.set(sum(row["held_back"] > 0 for row in seen.held_back))
    ranks = sorted(RANK.values or ())
    most = [row["open"] for row in seen.held_back[: len(ranks)]]
    most += [0] * (len(ranks) - len(most))
    for rank, messages in zip(ranks, most, strict=True):
        metrics.TENANT_OPEN_MESSAGES.set(messages, rank=rank)
    metrics.OLDEST_TRANSACTION.set(seen.server["oldest_seconds"])
    metrics.CONNECTIONS.set(seen.server["connections"])
    metrics.CONNECTION_LIMIT.set(seen.server["limit"])


def _tell_budgets(seen: Rows) -> None:
    metrics.SPENT_TENANTS.set(seen.spent_tenants)
    for resource in RESOURCE.values or ():
        left = [row[resource] for row in seen.budgets if row[resource] is not None]
        metrics.LEAST_BUDGET_LEFT.set(min(left, default=1.0), resource=resource)
    own = islice((row for row in seen.budgets if row["own"]), MOST_TENANTS)
    metrics.BUDGET_LEFT.replace(dict(_shares(own)))


def _shares(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, str], float]]:
    for row in rows:
        for resource in RESOURCE.values or ():
            if row[resource] is not None:
                yield (row["tenant_id"], resource), row[resource]


def _tell_streams(seen: Streams) -> None:
    for stream, entries in seen.lengths.items():
        metrics.STREAM_ENTRIES.set(entries, stream=stream)
    for stream, backlog in seen.backlogs.items():
        metrics.STREAM_PENDING.set(backlog.pending, stream=stream)
        metrics.OLDEST_PENDING.set(backlog.oldest_seconds, stream=stream)
    for stage, (active, idle) in seen.consumers.items():
        metrics.CONSUMERS.set(active, stage=stage)
        metrics.IDLE_CONSUMERS.set(idle, stage=stage)
