"""`memoire jobs`: schedules and jobs straight from PostgreSQL, so the gateway may be down."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from services.console import store
from services.console.dead import in_database
from services.console.environment import read_settings
from services.console.errors import MISCONFIGURED, CommandError, explained
from services.console.screen import screen, table
from services.console.servers import Servers, find_servers
from services.maintenance.jobs import known_kinds
from services.maintenance.schedule import next_slot
from shared.broker import Announcer, connect_redis
from shared.events import Announcement
from shared.ids import trace_id
from shared.jobs.store import overview, read_job, request_job, user_exists
from shared.topology import JobKind

_LOOK_SECONDS = 0.1
_RING_SECONDS = 1.0


def read_jobs(data_dir: Path | None) -> list[dict[str, Any]]:
    """Each kind with its schedule and its counts."""
    settings = read_settings(data_dir=data_dir)
    rows = in_database(data_dir, lambda tx: overview(tx, known_kinds()))
    return [_shown(row, settings.cron_of(row["kind"])) for row in rows]


def _shown(row: dict[str, Any], cron: str) -> dict[str, Any]:
    following = next_slot(cron, row["now"]) if cron else None
    return {
        "kind": row["kind"],
        "cron": cron,
        "last": _time(row["last_slot"]),
        "last_finished": _time(row["last_finished_at"]),
        "next": _time(following),
        **{name: row[name] for name in ("requested", "running", "done", "failed")},
        "oldest_seconds": row["oldest_seconds"],
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def print_jobs(found: list[dict[str, Any]]) -> None:
    counts = ("requested", "running", "done", "failed")
    shown = table(None, "kind", "cron", "last", "next", *counts, "oldest", right=counts)
    for job in found:
        oldest = "" if job["oldest_seconds"] is None else f"{job['oldest_seconds']:.0f} s"
        moments = (job[name] or "never" for name in ("last", "next"))
        numbers = (f"{job[name]:,}" for name in counts)
        shown.add_row(job["kind"], job["cron"] or "off", *moments, *numbers, oldest)
    screen().print(shown if found else "This version has no jobs.")


def run_job(
    data_dir: Path | None, kind: str, tenant: str, user: str, patience_seconds: float
) -> dict[str, Any]:
    """Ask for a job, wait for it, and say what became of it."""
    known = {name: name for name in known_kinds()}
    if kind not in known:
        raise CommandError(f"{kind}: no job; there are {', '.join(known)}", MISCONFIGURED)
    servers = find_servers(data_dir)
    with explained():
        return asyncio.run(_run(servers, known[kind], tenant, user, patience_seconds))


async def _run(
    servers: Servers, kind: JobKind, tenant: str, user: str, patience_seconds: float
) -> dict[str, Any]:
    async with store.transaction(servers.database_url) as tx:
        if not await user_exists(tx, tenant, user):
            raise CommandError(f"{user}: no such user of tenant {tenant}")
        job, announcements = await request_job(tx, tenant, user, kind)
    await _ring(servers.redis_url, announcements)
    row: dict[str, Any] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_seconds):
            while not row or (row["state"] != "done" and not row["dead"]):
                await asyncio.sleep(_LOOK_SECONDS)
                row = await _look(servers.database_url, tenant, user, job)
    row = row or await _look(servers.database_url, tenant, user, job)
    state = "failed" if row["dead"] else row["state"]
    return {
        "trace_id": trace_id(job),
        "kind": kind,
        "state": state,
        "result": row["result"],
        "error": None if state == "done" else row["error"],
    }


async def _ring(url: str | None, announcements: list[Announcement]) -> None:
    """Ring at once where Redis can be reached; otherwise the sweep does in a few seconds."""
    if url is None:
        return
    redis = connect_redis(url, timeout_seconds=_RING_SECONDS)
    await Announcer(redis).announce(announcements)
    await redis.aclose()


async def _look(url: str, tenant: str, user: str, job: UUID) -> dict[str, Any]:
    async with store.transaction(url) as tx:
        row = await read_job(tx, tenant, user, job)
    if row is None:
        raise CommandError(f"job {job} is gone")
    return row
