"""What goes wrong, one function a kind. Each begins, waits, ends what it began, and returns.

`Scale` says how long things last: beyond the times after which the product gives somebody up.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.topology import MESSAGES, PROCESSES, STAGES
from tests.chaos import provider
from tests.chaos.accounts import Accounts
from tests.chaos.instance import Instance

_STREAMS = tuple(stream for streams in STAGES.values() for stream in streams)
_TRIES = 100
_AHEAD_OF_ITS_FILE = timedelta(seconds=5)  # Redis has two
_ANSWERS_ARRIVE_SECONDS = 0.5  # that were on their way when it was killed


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds that faults last; `stop` lies beyond lease and claim times."""

    stop: float = 9.0
    redis_down: float = 60.0
    postgres_down: float = 10.0
    pause: float = 5.0
    network: float = 5.0
    provider: float = 5.0


@dataclass(slots=True)
class Ground:
    """What faults act on."""

    instance: Instance
    accounts: Accounts
    scale: Scale
    rng: random.Random

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        """Redis itself, past the proxy, with the timeouts of somebody who operates it."""
        client = Redis.from_url(
            self.instance.redis_url, socket_timeout=5, socket_connect_timeout=5, retry=None
        )
        try:
            yield client
        finally:
            await client.aclose()


Fault = Callable[[Ground], Awaitable[None]]


# ---- processes


def kill(process: str) -> Fault:
    async def fault(ground: Ground) -> None:
        if living := ground.instance.labels(process + "-"):
            ground.instance.signal(ground.rng.choice(living), signal.SIGKILL)

    return fault


def stop(process: str) -> Fault:
    """Stop a process for longer than anybody waits for it, and let it wake up late."""

    async def fault(ground: Ground) -> None:
        living = ground.instance.labels(process + "-")
        if not living:
            return
        label = ground.rng.choice(living)
        ground.instance.signal(label, signal.SIGSTOP)
        await asyncio.sleep(ground.scale.stop)
        ground.instance.signal(label, signal.SIGCONT)

    return fault


async def roll(ground: Ground) -> None:
    """SIGTERM to one process after another, each when the one before is back: a deployment."""
    for label in ground.instance.labels():
        before = ground.instance.signal(label, signal.SIGTERM)
        for _ in range(_TRIES):
            await asyncio.sleep(0.1)
            if ground.instance.pid(label) not in (None, before):
                break


# ---- Redis


async def redis_kill(ground: Ground) -> None:
    await _killed_and_down(ground)
    ground.instance.release("valkey")
    await _until_up(ground, "valkey")


async def redis_restart(ground: Ground) -> None:
    ground.instance.kill_server("valkey", signal.SIGTERM)
    await _until_up(ground, "valkey")


async def redis_down(ground: Ground) -> None:
    await _killed_and_down(ground)
    await asyncio.sleep(ground.scale.redis_down)
    ground.instance.release("valkey")
    await _until_up(ground, "valkey")


async def _killed_and_down(ground: Ground) -> None:
    """Kill it; what it answered last and had not written yet is written down.

    While its disk is busy with an fsync, `everysec` answers up to two seconds ahead of its file.
    """
    since = datetime.now(UTC) - _AHEAD_OF_ITS_FILE
    ground.instance.kill_server("valkey", signal.SIGKILL, hold=True)
    await _until(lambda: not ground.instance.server_up("valkey"))
    await asyncio.sleep(_ANSWERS_ARRIVE_SECONDS)
    files = (ground.instance.data / "valkey" / "appendonlydir").glob("*.aof")
    written = b"".join(file.read_bytes() for file in files)
    ground.accounts.sweep_unwritten(written, since)


async def redis_pause(ground: Ground) -> None:
    ground.instance.kill_server("valkey", signal.SIGSTOP)
    await asyncio.sleep(ground.scale.pause)
    ground.instance.kill_server("valkey", signal.SIGCONT)


async def redis_clients_killed(ground: Ground) -> None:
    async with ground.redis() as redis:
        await redis.client_kill_filter(_type="normal", skipme=True)


async def redis_emptied(ground: Ground) -> None:
    """FLUSHALL; what was an entry and nothing else at that instant is written down."""
    async with ground.redis() as redis, redis.pipeline(transaction=True) as transaction:
        transaction.xrange(MESSAGES)
        transaction.flushall()
        entries, _ = await transaction.execute()
    _sweep_away(ground, entries)


async def redis_without_its_file(ground: Ground) -> None:
    """Kill it and delete its append-only file: it comes back as if new."""
    async with ground.redis() as redis:
        await redis.client_pause(10_000, all=False)  # nobody is answered from here on
        entries = await redis.xrange(MESSAGES)
    ground.instance.kill_server("valkey", signal.SIGKILL, hold=True)
    await _until(lambda: not ground.instance.server_up("valkey"))
    shutil.rmtree(ground.instance.data / "valkey" / "appendonlydir", ignore_errors=True)
    _sweep_away(ground, entries)
    ground.instance.release("valkey")
    await _until_up(ground, "valkey")


def _sweep_away(ground: Ground, entries: object) -> None:
    for _, fields in entries or ():  # type: ignore[attr-defined]
        if b"content" in fields:
            number = fields[b"content"].decode(errors="replace").rpartition("[")[2].rstrip("]")
            if number.isdecimal():
                ground.accounts.swept_away.add(int(number))
            else:
                ground.accounts.garbage -= 1


# ---- entries


async def entries_duplicated(ground: Ground) -> None:
    """Send again what waits or is being worked on: bells, and messages with a key of their own."""
    async with ground.redis() as redis:
        for stream in _STREAMS:
            entries = await redis.xrange(stream, count=200)
            for _, fields in _repeatable(entries):
                await redis.xadd(stream, fields)


async def entries_shuffled(ground: Ground) -> None:
    """Put what waits into another order, all at once."""
    async with ground.redis() as redis:
        for stream in _STREAMS:
            entries = _repeatable(await redis.xrange(stream, count=200))
            ground.rng.shuffle(entries)
            async with redis.pipeline(transaction=True) as transaction:
                for entry_id, fields in entries:
                    transaction.xadd(stream, fields)
                    transaction.xdel(stream, entry_id)
                await transaction.execute()


def _repeatable(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> list[tuple[bytes, dict]]:
    return [
        (entry_id, fields)
        for entry_id, fields in entries
        if {b"message_id", b"timestamp"} <= fields.keys()  # else it would be another message,
        or (b"at" in fields and b"content" not in fields)  # or said at another time
    ]


async def garbage(ground: Ground) -> None:
    """Entries that make no sense, in every stream."""
    async with ground.redis() as redis:
        for stream in (MESSAGES, "memoire:facts:extracted"):
            with suppress(RedisError):
                await redis.xadd(stream, {b"\xff": b"\xfe", "at": "nonsense", "content": "?"})
                ground.accounts.garbage += 1


# ---- PostgreSQL


def postgres(number: signal.Signals) -> Fault:
    """End it: SIGQUIT at once, SIGINT in order, SIGKILL without its knowing."""

    async def fault(ground: Ground) -> None:
        ground.instance.kill_server("postgres", number)
        await _until_up(ground, "postgres")

    return fault


async def postgres_down(ground: Ground) -> None:
    ground.instance.kill_server("postgres", signal.SIGQUIT, hold=True)
    await asyncio.sleep(ground.scale.postgres_down)
    ground.instance.release("postgres")
    await _until_up(ground, "postgres")


async def postgres_backends_terminated(ground: Ground) -> None:
    statement = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name LIKE 'memoire-%'"""
    with suppress(psycopg.Error):
        connecting = psycopg.AsyncConnection.connect(
            ground.instance.database_url, autocommit=True, connect_timeout=5
        )
        async with await connecting as connection:
            await connection.execute(statement)


async def _until_up(ground: Ground, name: str) -> None:
    await _until(lambda: ground.instance.server_up(name))


async def _until(condition: Callable[[], bool]) -> None:
    await asyncio.sleep(0.1)
    for _ in range(_TRIES):
        if condition():
            return
        await asyncio.sleep(0.1)


# ---- the network


def network_cut(server: str) -> Fault:
    async def fault(ground: Ground) -> None:
        proxy = ground.instance.proxies[server]
        proxy.cut()
        await asyncio.sleep(ground.scale.network)
        proxy.heal()

    return fault


def network_half_open(server: str) -> Fault:
    async def fault(ground: Ground) -> None:
        proxy = ground.instance.proxies[server]
        proxy.half_open(ground.rng)
        await asyncio.sleep(ground.scale.network)
        proxy.heal()

    return fault


def network_slow(server: str) -> Fault:
    async def fault(ground: Ground) -> None:
        proxy = ground.instance.proxies[server]
        proxy.slow(ground.rng.uniform(0.02, 0.2))
        await asyncio.sleep(ground.scale.network)
        proxy.heal()

    return fault


def network_reset(server: str) -> Fault:
    async def fault(ground: Ground) -> None:
        ground.instance.proxies[server].reset(ground.rng)

    return fault


# ---- the model server


def provider_fails(kind: provider.Fault) -> Fault:
    async def fault(ground: Ground) -> None:
        ground.instance.provider.fault = kind
        await asyncio.sleep(ground.scale.provider)
        ground.instance.provider.fault = None

    return fault


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault by name; those of one `resource` never overlap."""

    name: str
    resource: str
    inject: Fault


def _kinds() -> list[Kind]:
    kinds = [Kind(f"kill {p}", f"kill {p}", kill(p)) for p in PROCESSES]
    kinds += [Kind(f"stop {p}", f"stop {p}", stop(p)) for p in PROCESSES]
    kinds += [
        Kind("roll", "roll", roll),
        Kind("redis killed", "redis", redis_kill),
        Kind("redis restarted", "redis", redis_restart),
        Kind("redis emptied", "redis", redis_emptied),
        Kind("redis AOF deleted", "redis", redis_without_its_file),
        Kind("redis paused", "redis", redis_pause),
        Kind("redis down", "redis", redis_down),
        Kind("redis clients killed", "redis", redis_clients_killed),
        Kind("entries duplicated", "redis", entries_duplicated),
        Kind("entries shuffled", "redis", entries_shuffled),
        Kind("garbage", "redis", garbage),
        Kind("postgres stopped at once", "postgres", postgres(signal.SIGQUIT)),
        Kind("postgres killed", "postgres", postgres(signal.SIGKILL)),
        Kind("postgres restarted", "postgres", postgres(signal.SIGINT)),
        Kind("postgres backends terminated", "postgres", postgres_backends_terminated),
        Kind("postgres down", "postgres", postgres_down),
    ]
    for server in ("postgres", "redis"):
        kinds += [
            Kind(f"network cut: {server}", server, network_cut(server)),
            Kind(f"network half-open: {server}", server, network_half_open(server)),
            Kind(f"network slow: {server}", server, network_slow(server)),
            Kind(f"network reset: {server}", server, network_reset(server)),
        ]
    kinds += [Kind(f"provider {f}", "provider", provider_fails(f)) for f in provider.FAULTS]
    return kinds


KINDS = _kinds()
