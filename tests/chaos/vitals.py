"""What everybody holds at one moment: memory and files by process, streams, tuples, connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from redis import Redis

from shared.topology import SETTLED, STAGES
from tests.chaos.instance import Instance

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_TABLES = """
    SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead, n_tup_upd AS updated,
           autovacuum_count AS vacuums, pg_total_relation_size(relid) AS bytes
      FROM pg_stat_user_tables"""
_CONNECTIONS = "SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Process:
    """One process, or a server with all its children; kilobytes."""

    pid: int
    anonymous: float
    """What no file backs, shared pages by share: leaks show here, and file caches do not."""
    own: float
    """What would come back if it ended (USS)."""
    resident: float
    files: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Vitals:
    """One sample; `at` is seconds since the first."""

    at: float
    processes: dict[str, Process]
    streams: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    settled_kept: int = 0
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    connections: int = 0


def sample(instance: Instance, at: float) -> Vitals:
    """Look at everybody once; a few milliseconds a process."""
    processes = {
        label: process
        for label in instance.labels()
        if (pid := instance.pid(label)) and (process := _process(pid, [pid]))
    }
    for name, server in instance.servers.items():
        if server.pid and (process := _process(server.pid, list(_family(server.pid)))):
            processes[name] = process
    streams, pending, kept = _redis(instance.redis_url)
    with psycopg.connect(instance.database_url, autocommit=True, row_factory=dict_row) as asking:
        tables: list[dict[str, Any]] = asking.execute(_TABLES).fetchall()
        connections = asking.execute(_CONNECTIONS).fetchone()
    assert connections
    return Vitals(
        at=at,
        processes=processes,
        streams=streams,
        pending=pending,
        settled_kept=kept,
        tables={table.pop("name"): table for table in tables},
        connections=connections["n"] - 1,  # without our own
    )


def _redis(url: str) -> tuple[dict[str, int], int, int]:
    pending = 0
    with Redis.from_url(url) as redis:
        lengths = {s: _length(redis, s) for streams in STAGES.values() for s in streams}
        for group, streams in STAGES.items():
            for stream in streams:
                if redis.exists(stream):
                    found: Any = redis.xpending(stream, group)
                    pending += found["pending"]
        return lengths, pending, _length(redis, SETTLED)


def _length(redis: Redis, stream: str) -> int:
    return int(redis.xlen(stream))  # type: ignore[arg-type]


# ---- /proc


def _family(pid: int) -> Iterator[int]:
    """A process and everything below it."""
    yield pid
    with suppress(OSError):
        for children in (_PROC / str(pid) / "task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))


def _process(pid: int, family: list[int]) -> Process | None:
    """Add up a family; None when its head has just died."""
    found = [numbers for member in family if (numbers := _numbers(member))]
    if not found:
        return None
    anonymous, own, resident, files, cpu = (sum(each) for each in zip(*found, strict=True))
    return Process(pid, anonymous, own, resident, int(files), round(cpu, 2))


def _numbers(pid: int) -> tuple[float, float, float, int, float] | None:
    folder = _PROC / str(pid)
    try:
        rollup = (folder / "smaps_rollup").read_text().splitlines()[1:]
        files = sum(1 for _ in (folder / "fd").iterdir())
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return None
    sizes = {name: float(rest.split()[0]) for name, _, rest in (x.partition(":") for x in rollup)}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    cpu = (int(stat[11]) + int(stat[12])) / _TICKS
    return sizes["Pss_Anon"] + sizes.get("SwapPss", 0.0), own, sizes["Rss"], files, cpu
