"""`memoire status`: what waits before each stage, and whether anybody is working on it.

PostgreSQL says what is open, Redis what is announced; either may be away, and that is then said.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.console import store
from services.console.environment import read_settings
from services.console.errors import NOT_RUNNING, CommandError
from services.console.ready import embedding_warning, is_ready
from services.console.servers import Servers, find_servers
from shared.broker import connect_redis
from shared.dead_letters.store import count_by_stage
from shared.migrate import isolation_gap
from shared.spaces.store import read as read_spaces
from shared.spending import store as spending
from shared.topology import PROCESSES, STAGES

STUCK_AFTER_SECONDS = 60.0
TIMEOUT_SECONDS = 3.0
HEALTHY, DEGRADED = 0, 1


@dataclass(frozen=True, slots=True)
class Status:
    """`report` is the JSON of the contract; `problems` say why the exit code is not 0."""

    report: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return DEGRADED if self.problems else HEALTHY


def read_status(data_dir: Path | None) -> Status:
    """Look once at everything; CommandError (exit 3) when nothing runs."""
    return asyncio.run(_read(find_servers(data_dir)))


async def _read(servers: Servers) -> Status:
    problems: list[str] = []
    (waiting, dead), backlog = await asyncio.gather(
        _rows(servers.database_url, problems), _streams(servers.redis_url, problems)
    )
    if not servers.supervised and len(problems) == 2:
        raise CommandError("; ".join(problems), NOT_RUNNING)
    stages = {
        stage: {
            "stream": ",".join(streams),
            **backlog[stage],
            "open": waiting.get(stage, {}).get("open", 0) if waiting is not None else None,
            "oldest_seconds": (waiting or {}).get(stage, {}).get("oldest_seconds"),
            "dead": dead.get(stage, 0) if dead is not None else None,
            "pids": servers.pids.get(stage, []),
        }
        for stage, streams in STAGES.items()
    }
    problems += await _spending(servers.database_url)
    embeddings = await _embeddings(servers)
    isolation = await _isolation(servers.database_url, problems)
    problems += _stuck(stages) + _missing(servers) + await _silent_gateway(servers)
    beside = {"embeddings": embeddings, "isolation": isolation}
    return Status(_report(servers, stages, problems) | beside, problems)


def _report(servers: Servers, stages: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    others = (*(name for name in PROCESSES if name not in STAGES), "postgres", "valkey")
    return {
        "status": "degraded" if problems else "healthy",
        "problems": problems,
        "gateway_url": servers.gateway_url,
        "database_url": servers.database_url,
        "redis_url": servers.redis_url,
        "stages": stages,
        "processes": {
            name: {"pids": servers.pids[name]} for name in others if name in servers.pids
        },
    }


async def _rows(
    url: str, problems: list[str]
) -> tuple[dict[str, dict[str, Any]] | None, dict[str, int] | None]:
    """Open rows and dead letters by stage; None and a problem when PostgreSQL cannot say."""
    try:
        async with store.transaction(url) as tx:
            dead = await count_by_stage(tx)
            return await store.open_rows(tx), {row["stage"]: row["dead"] for row in dead}
    except psycopg.Error as error:
        problems.append(f"PostgreSQL does not answer: {str(error).strip().splitlines()[0]}")
        return None, None


async def _spending(url: str) -> list[str]:
    """Which models are left alone and why, and whose budget is spent."""
    try:
        async with store.transaction(url) as tx:
            paused = await spending.pauses(tx)
            spent = await spending.over_budget(tx)
    except psycopg.Error:  # that PostgreSQL is away has been said
        return []
    found = [
        f"{row['purpose']} paused since {row['since']:%H:%M:%S} UTC: {row['model']} at "
        f"{row['provider']}: {row['reason']}"
        for row in paused
    ]
    return [*found, *(f"today's budget of tenant {tenant} is spent" for tenant in spent)]


async def _embeddings(servers: Servers) -> dict[str, Any] | None:
    """Whose vectors count, and what the gateway says of it; None where PostgreSQL cannot say.

    Another model configured than active is no problem yet: everything goes on, as before.
    """
    try:
        async with store.transaction(servers.database_url) as tx:
            spaces = await read_spaces(tx)
    except psycopg.Error:  # that PostgreSQL is away, or not migrated, has been said
        return None
    url = servers.gateway_url if servers.pids.get("gateway") else None
    warning = await asyncio.to_thread(embedding_warning, url) if url else None
    return {
        "active_model": spaces.active.model if spaces else None,
        "migrating_to": spaces.filling.model if spaces and spaces.filling else None,
        "warning": warning,
    }


async def _isolation(url: str, problems: list[str]) -> dict[str, Any] | None:
    """Whether the database itself keeps tenants apart; None where PostgreSQL cannot say."""
    try:
        gap = await asyncio.to_thread(isolation_gap, url)
    except psycopg.Error:  # that PostgreSQL is away, or not migrated, has been said
        return None
    wanted = read_settings().row_security
    if gap and wanted:
        problems.append(f"row-level security is not in force: {gap}; see docs/isolation.md")
    return {"row_security": wanted and not gap, "gap": gap}


async def _streams(url: str | None, problems: list[str]) -> dict[str, dict[str, int | None]]:
    """Length and pending entries by stage; None and a problem when Redis cannot say."""
    unknown: dict[str, dict[str, int | None]] = {
        stage: {"length": None, "pending": None} for stage in STAGES
    }
    if url is None:
        problems.append("MEMOIRE_REDIS_URL is not set")
        return unknown
    redis = connect_redis(url, timeout_seconds=TIMEOUT_SECONDS)
    try:
        return {stage: await _backlog(redis, stage, streams) for stage, streams in STAGES.items()}
    except (RedisError, OSError) as error:
        problems.append(f"Redis does not answer: {error}")
        return unknown
    finally:
        await redis.aclose()


async def _backlog(redis: Redis, stage: str, streams: tuple[str, ...]) -> dict[str, int | None]:
    lengths = [await redis.xlen(stream) for stream in streams]
    pending = [await _pending(redis, stream, stage) for stream in streams]
    return {"length": sum(lengths), "pending": sum(pending)}


async def _pending(redis: Redis, stream: str, group: str) -> int:
    try:
        return int((await redis.xpending(stream, group))["pending"])
    except ResponseError:  # no such stream or group yet
        return 0


def _stuck(stages: dict[str, Any]) -> list[str]:
    return [
        f"{name}: a row has waited {stage['oldest_seconds']:.0f} s"
        for name, stage in stages.items()
        if (stage["oldest_seconds"] or 0) > STUCK_AFTER_SECONDS
    ]


async def _silent_gateway(servers: Servers) -> list[str]:
    """A gateway that has a pid and does not answer; whoever runs it elsewhere watches it there."""
    if not servers.pids.get("gateway"):
        return []
    alive = await asyncio.to_thread(is_ready, servers.gateway_url)
    return [] if alive else [f"the gateway at {servers.gateway_url} is not ready"]


def _missing(servers: Servers) -> list[str]:
    """Processes that the supervisor should be running and is not."""
    if not servers.supervised:
        return []
    return [f"{name} does not run" for name in PROCESSES if not servers.pids.get(name)]
