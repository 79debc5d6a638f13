"""Benchmarks of what runs by the clock: consolidation of a large user, a night, retention.

Each has a PostgreSQL of its own. The work itself is done by a process of its own, so that its peak
of memory is its own too; it prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import psycopg

from benchmarks.figures import quantile, show
from shared.db import OperatorDatabase
from shared.embedded.postgres import EmbeddedPostgres
from shared.migrate import migrate
from shared.settings import Settings

MODEL = "all-MiniLM-L6-v2-int8"

_USERS = """
    INSERT INTO users (tenant_id, user_id)
    SELECT 'default', 'u' || n FROM generate_series(1, %(users)s) n"""

_FACTS = """
    INSERT INTO memory_facts (tenant_id, user_id, id, generation, content, category, subject, slot,
        value, value_key, cardinality, claim, temporal_state, said_at, recorded_at, message_key,
        ordinal, confidence, source_message_ids, session_id, state, settled_at, standing,
        canonical_id, believed)
    SELECT 'default', 'u' || u, id, 1,
           CASE WHEN slotted THEN 'Lives in City' || mod(n, 7)
                WHEN mod(n, 10) = 1
                THEN 'Likes to read about topic' || n - 1 || ' on field' || mod(n - 1, 97)
                ELSE 'Likes reading about topic' || n || ' on field' || mod(n, 97) END,
           'user_preference', 'user', CASE WHEN slotted THEN 'home_city' END,
           CASE WHEN slotted THEN 'City' || mod(n, 7) END,
           CASE WHEN slotted THEN 'city' || mod(n, 7) END, CASE WHEN slotted THEN 'one' END,
           'holds', 'current', said, said, 'm' || n, 1, 0.9, ARRAY[gen_random_uuid()], 's',
           'settled', now(), 'belief', id, tstzmultirange(tstzrange(said, NULL))
      FROM generate_series(1, %(users)s) u, generate_series(1, %(facts)s) n,
           LATERAL (SELECT gen_random_uuid() AS id, mod(n, 20) = 5 AS slotted,
                           now() - (%(facts)s - n) * interval '1 hour' AS said OFFSET 0) AS made"""

_VECTORS = """
    INSERT INTO fact_vectors
    SELECT tenant_id, user_id, id, %(model)s,
           (SELECT array_agg(sin(hashtext(substring(content FROM 'topic[0-9]+')) * 0.001 * d)
                             / sqrt(192.0))::vector::halfvec FROM generate_series(1, 384) d)
      FROM memory_facts WHERE slot IS NULL"""
"""A direction per topic: what says the same is near, whatever its words."""

_MESSAGES = """
    INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256, role,
                           content, said_at, recorded_at, state, announced_at, extracted_at)
    SELECT 'default', 'u' || mod(n, 5000), gen_random_uuid(), 's' || mod(n, 10), 'm' || n, '',
           'user', 'I told you about subject ' || n || ' and what it is like to live with it',
           at, at, 'extracted', at, at
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) n,
           LATERAL (SELECT now() - (%(rows)s::bigint - n)
                           * (interval '730 days' / %(rows)s::bigint) AS at) t"""


@contextmanager
def database() -> Iterator[str]:
    """A migrated database of its own, as durable as a real one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "data") as server,
    ):
        migrate(server.url)
        yield server.url


def consolidate(facts: int = 10_000) -> None:
    """One user with many facts, a tenth of them duplicates that were never compared: twice."""
    with database() as url:
        _fill(url, 1, facts)
        for time_ in ("first", "second"):
            show(f"consolidate {facts:,} facts, {time_} time", _in_a_process(url))


def nightly(users: int = 200, facts: int = 200) -> None:
    """A job for every user, one after the other in one process: twice."""
    with database() as url:
        _fill(url, users, facts)
        for time_ in ("first", "second"):
            title = f"a night over {users:,} users × {facts:,} facts, {time_} time"
            show(title, _in_a_process(url))


def retention(rows: int = 1_000_000) -> None:
    """Remove the older half of the messages, in batches of a thousand, resting after each."""
    with database() as url:
        begun = time.monotonic()
        _fill_messages(url, rows)
        figures: dict[str, Any] = {"seconds to fill": time.monotonic() - begun}
        figures |= asyncio.run(_retain(url))
        show(f"retention, the older half of {rows:,} messages", figures)


def _fill(url: str, users: int, facts: int) -> None:
    sizes = {"users": users, "facts": facts, "model": MODEL}
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            _USERS,
            _FACTS,
            _VECTORS,
        ):
            connection.execute(statement.encode(), sizes)
        connection.execute("VACUUM ANALYZE")


def _fill_messages(url: str, rows: int, step: int = 250_000) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(1, rows + 1, step):
            span = {"first": first, "last": min(first + step - 1, rows), "rows": rows}
            connection.execute(_MESSAGES.encode(), span)
        connection.execute("VACUUM ANALYZE chat_logs")


# ---- at work


def _in_a_process(url: str) -> dict[str, Any]:
    """Do every user's job in a process of its own, and return what it says of itself."""
    command = [sys.executable, "-m", "benchmarks.upkeep", url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


async def _all_jobs(url: str) -> dict[str, Any]:
    from services.deduper.overlooked import Overlooked  # noqa: PLC0415
    from services.maintenance.consumer import MaintenanceStage  # noqa: PLC0415
    from services.maintenance.jobs.means import Means  # noqa: PLC0415
    from shared.failures.store import RetryPolicy, RowRef  # noqa: PLC0415

    db = OperatorDatabase(url, durable=True, max_connections=3, by_key=True)
    await db.open()
    held = _Held()
    stage = MaintenanceStage(
        durable=db, policy=RetryPolicy(), means=Means(Overlooked(MODEL)), at_point=held.at_point
    )
    async with db.autocommit() as tx:
        jobs = await tx.rows(
            "INSERT INTO jobs (tenant_id, user_id, id, kind, announced_at)"
            " SELECT tenant_id, user_id, gen_random_uuid(), 'consolidate', now() FROM users"
            " RETURNING tenant_id, user_id, id"
        )
    before, begun, cpu = _peak_mb(), time.monotonic(), time.process_time()
    for job in jobs:
        left = True
        while left:
            left = bool(
                [
                    stream
                    for stream, _ in await stage.process(
                        [RowRef(job["tenant_id"], job["user_id"], job["id"])]
                    )
                    if "jobs" in stream
                ]
            )
    seconds, spent = time.monotonic() - begun, time.process_time() - cpu
    async with db.autocommit() as tx:
        merged = await tx.value("SELECT count(*) AS n FROM memory_facts WHERE standing = 'merged'")
        changed = await tx.value(
            "SELECT sum((result ->> 'changed')::int) AS n FROM jobs WHERE id = ANY(%(ids)s)",
            {"ids": [job["id"] for job in jobs]},
        )
    await db.close()
    return {
        "wall seconds": seconds,
        "CPU seconds of the process": spent,
        "facts merged by now": merged,
        "standings changed by this run": int(changed or 0),
        "peak memory, MB": _peak_mb(),
        "  of it before the first job": before,
        "transactions under the user's lock": len(held.seconds),
        "  p95, ms": 1000 * quantile(held.seconds, 0.95),
        "  longest, ms": 1000 * max(held.seconds),
    }


class _Held:
    """How long each transaction had its user."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._since = 0.0

    def at_point(self, point: str) -> None:
        if point == "moved":
            self._since = time.monotonic()
        elif point == "committed":
            self.seconds.append(time.monotonic() - self._since)


async def _retain(url: str) -> dict[str, Any]:
    from services.maintenance.retention.work import Retention  # noqa: PLC0415

    db = OperatorDatabase(url, durable=False, max_connections=1, by_key=True)
    await db.open()
    batches: list[float] = []
    since = time.monotonic()

    def at_point(point: str) -> None:
        nonlocal since
        if point == "kept":
            batches.append(time.monotonic() - since)

    work = Retention(db, Settings(retain_message_days=365), at_point=at_point)
    inner = work._batch_of  # noqa: SLF001  timed from its beginning

    async def timed(step: Any) -> int:
        nonlocal since
        since = time.monotonic()
        return await inner(step)

    work._batch_of = timed  # type: ignore[method-assign]  # noqa: SLF001
    plans = {"plan of a batch": await _plan(db)}
    begun, removed = time.monotonic(), 0
    while more := (await work.turn()).get("messages", 0):
        removed += more
    seconds = time.monotonic() - begun
    plans["plan of a look that finds nothing, from the very beginning"] = await _plan(db)
    await db.close()
    return {
        "removed": removed,
        "seconds, rests included": seconds,
        "rows a second, rests included": removed / seconds,
        "batch of 1,000, p50 ms": 1000 * quantile(batches, 0.5),
        "batch of 1,000, p95 ms": 1000 * quantile(batches, 0.95),
        "batch of 1,000, longest ms": 1000 * max(batches),
        "first hundred batches, mean ms": 1000 * fmean(batches[:100]),
        "last hundred batches, mean ms": 1000 * fmean(batches[-100:]),
        **plans,
    }


async def _plan(db: OperatorDatabase) -> str:
    """How the statement that removes is carried out at this moment; nothing stays removed."""
    from services.maintenance.retention import store  # noqa: PLC0415

    async with db.autocommit() as tx:
        before = await store.cutoff(tx, 365)
    params = {"tenant": "default", "after": store.BEGINNING, "before": before, "limit": 1_000}
    explain = (
        f"EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off) {store.queries['remove_messages']}"
    )
    with suppress(_EnoughSeenError):
        async with db.transaction() as tx:
            rows = await tx.rows(explain, params)
            raise _EnoughSeenError
    return "".join(f"\n      {row['QUERY PLAN']}" for row in rows)


class _EnoughSeenError(Exception):
    """Rolls back."""


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_all_jobs(sys.argv[1]))) + "\n")
