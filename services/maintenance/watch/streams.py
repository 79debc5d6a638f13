"""What the sweeper's watch reads of Redis: streams, their groups, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.topology import SETTLED, STAGES

_IDLE_AFTER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Of one stream: how many of its entries are pending, and for how long the oldest has been."""

    pending: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Streams:
    """One look."""

    lengths: dict[str, int]
    backlogs: dict[str, Backlog]
    consumers: dict[str, tuple[int, int]]
    """By stage: those that asked lately, and those that did not."""
    server: Mapping[str, Any]
    """What INFO says; empty where it may not be asked."""


async def look(redis: Redis) -> Streams:
    """Look once at everything; raises RedisError where Redis is away."""
    client: Any = redis  # redis-py types every answer as the union of all it could be
    seconds, microseconds = await client.time()
    now_ms = seconds * 1_000 + microseconds / 1_000
    lengths, backlogs, consumers = {SETTLED: int(await client.xlen(SETTLED))}, {}, {}
    for stage, streams in STAGES.items():
        names: dict[bytes, int] = {}
        for stream in streams:
            lengths[stream] = int(await client.xlen(stream))
            backlogs[stream] = await _backlog(client, stream, stage, now_ms)
            for each in await _consumers(client, stream, stage):
                names[each["name"]] = min(each["idle"], names.get(each["name"], each["idle"]))
        idle = sum(ms > _IDLE_AFTER_MS for ms in names.values())
        consumers[stage] = (len(names) - idle, idle)
    return Streams(lengths, backlogs, consumers, await _server(client))


async def _server(client: Any) -> Mapping[str, Any]:
    try:
        return {**await client.info("memory"), **await client.info("stats")}
    except ResponseError:  # an ACL without INFO
        return {}


async def _backlog(client: Any, stream: str, group: str, now_ms: float) -> Backlog:
    """Pending entries; their age by Redis' own clock, which made their ids."""
    try:
        summary = await client.xpending(stream, group)
    except ResponseError:  # no such stream or group yet
        return Backlog(0, 0.0)
    if not summary["pending"]:
        return Backlog(0, 0.0)
    began_ms = int(summary["min"].partition(b"-")[0])
    return Backlog(int(summary["pending"]), max(0.0, (now_ms - began_ms) / 1_000))


async def _consumers(client: Any, stream: str, group: str) -> list[Any]:
    try:
        found: list[Any] = await client.xinfo_consumers(stream, group)
    except ResponseError:
        return []
    return found
