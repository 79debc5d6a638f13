"""Single promises, measured: `python -m tests.chaos.rows killed` prints what it found as JSON.

Each scenario has an instance to itself (two of every process, the settings that users have) and
returns figures; `BOUNDS` says what they must stay within.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from shared.topology import MESSAGES
from tests.chaos import steady
from tests.chaos.accounts import Accounts
from tests.chaos.driver import ask, ready
from tests.chaos.faults import Ground, Scale, redis_emptied
from tests.chaos.instance import ADMIN_KEY, Instance, built, two_of_each
from tests.chaos.report import log_lines, quantile

Figures = dict[str, float]
_PATIENCE_SECONDS = 1_200.0
_OPEN = """SELECT (SELECT count(*) FROM chat_logs WHERE extracted_at IS NULL
                      AND retry_at IS DISTINCT FROM 'infinity')
                + (SELECT count(*) FROM memory_facts WHERE state <> 'settled') AS n"""
_TOOK = """
    SELECT extract(epoch FROM greatest(c.extracted_at, max(f.settled_at)) - {since})::float8
           AS seconds
      FROM chat_logs c LEFT JOIN memory_facts f ON f.tenant_id = c.tenant_id
           AND f.user_id = c.user_id AND f.source_message_ids[1] = c.id
     WHERE c.state = 'extracted' AND c.{where}
     GROUP BY c.tenant_id, c.user_id, c.id"""


_PARTS = """
    SELECT extract(epoch FROM c.recorded_at - c.said_at)::float8 AS stored,
           extract(epoch FROM min(e.created_at) - c.recorded_at)::float8 AS reserved,
           extract(epoch FROM c.extracted_at - min(e.created_at))::float8 AS extracted,
           extract(epoch FROM max(f.embedded_at) - c.extracted_at)::float8 AS embedded,
           extract(epoch FROM max(f.compared_at) - max(f.embedded_at))::float8 AS compared,
           extract(epoch FROM max(f.settled_at) - max(f.compared_at))::float8 AS settled
      FROM chat_logs c
      LEFT JOIN extractions e ON e.tenant_id = c.tenant_id AND e.user_id = c.user_id
      LEFT JOIN memory_facts f ON f.tenant_id = c.tenant_id
           AND f.user_id = c.user_id AND f.source_message_ids[1] = c.id
     WHERE c.state = 'extracted' AND c.{where}
     GROUP BY c.tenant_id, c.user_id, c.id"""


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario, and what its figures may at most be."""

    scenario: Callable[[Instance], Awaitable[Figures]]
    most: Figures
    settings: dict[str, str]


# ---- what scenarios are made of


def said(number: int, user: str, session: str = "s", *, poison: bool = False) -> dict[str, str]:
    text = "POISON" if poison else f"home_city=Oslo holds current from {2000 + number % 20}"
    return {
        "user_id": user,
        "session_id": session,
        "role": "user",
        "content": f"{text} [{number}]",
        "message_id": f"m{number}",
    }


def http() -> httpx.AsyncClient:
    return httpx.AsyncClient(headers={"X-API-Key": ADMIN_KEY}, timeout=30)


async def store(instance: Instance, messages: Sequence[dict[str, str]]) -> None:
    """Send messages in batches of 500, one after another."""
    async with http() as client:
        for at in range(0, len(messages), 500):
            body = {"messages": messages[at : at + 500]}
            answer = await client.post(f"{instance.gateways[0]}/v1/ingest/batch", json=body)
            assert answer.status_code == 202, answer.text


async def settled(instance: Instance) -> float:
    """Wait until nothing is open; how many seconds that took."""
    begun = time.monotonic()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await ask(instance, _OPEN))[0]["n"]:
            await asyncio.sleep(0.1)
    return time.monotonic() - begun


async def took(instance: Instance, where: str, since: str = "c.recorded_at") -> list[float]:
    """Seconds that messages took, from being stored (or said) to being settled."""
    rows = await ask(instance, _TOOK.format(where=where, since=since))
    return [float(str(row["seconds"])) for row in rows]


async def parts(instance: Instance, where: str) -> Figures:
    """Where the time went, at the 95th percentile."""
    rows = await ask(instance, _PARTS.format(where=where))
    return {
        name: round(quantile([float(str(row[name] or 0)) for row in rows], 0.95), 2)
        for name in rows[0]
    }


async def until(condition: Callable[[], Any]) -> float:
    begun = time.monotonic()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


# ---- the scenarios


async def slow_consumers(instance: Instance) -> Figures:
    """Without a fault, however slow the consumers, nothing is announced twice."""
    instance.provider.delay_seconds = 1.0
    instance.provider.embedding_delay_seconds = 0.5
    await store(instance, [said(n, f"u{n % 1_000}") for n in range(10_000)])
    seconds = await settled(instance)
    again = sum(
        line["bells"]
        for line in log_lines(instance.data, "sweeper")
        if "bells rung again" in line.get("event", "")
    )
    return {"reannounced": again, "messages": 10_000, "seconds": seconds}


async def emptied(instance: Instance) -> Figures:
    """FLUSHALL with 5,000 messages stored and in flight."""
    instance.provider.delay_seconds = 0.05
    await store(instance, [said(n, f"u{n % 500}") for n in range(5_000)])
    open_rows = (await ask(instance, _OPEN))[0]["n"]
    await redis_emptied(Ground(instance, Accounts(), Scale(), random.Random(1)))
    return {"settled_seconds": await settled(instance), "open_then": float(str(open_rows))}


async def killed(instance: Instance) -> Figures:
    """The worker is killed in the middle of a call of 20 s: another asks again."""
    instance.provider.delay_seconds = 20.0
    await store(instance, [said(1, "ana")])
    await until(lambda: instance.provider.calls == 1)
    await asyncio.sleep(3)
    worker = (await ask(instance, "SELECT worker FROM extractions"))[0]["worker"]
    pid = int(str(worker).split("-")[-2])
    [label] = [x for x in instance.labels("extractor") if instance.pid(x) == pid]
    instance.signal(label, signal.SIGKILL)
    resumed = await until(lambda: instance.provider.calls == 2)
    instance.provider.delay_seconds = 0.0
    await settled(instance)
    return {"resumed_seconds": resumed, "calls": instance.provider.calls}


async def living_call(instance: Instance) -> Figures:
    """A call of 60 s is never doubled while its worker lives."""
    instance.provider.delay_seconds = 60.0
    await store(instance, [said(1, "ana")])
    await settled(instance)
    return {"calls": instance.provider.calls}


async def poison(instance: Instance) -> Figures:
    """One message in twenty can never be extracted; the others hardly notice."""
    instance.provider.delay_seconds = 0.05
    count = 5_000
    plain = [said(n, f"plain{n % 1_000}") for n in range(count)]
    mixed = [said(count + n, f"mixed{n % 1_000}", poison=n % 20 == 7) for n in range(count)]
    for messages in (plain, mixed):
        await store(instance, messages)
        await settled(instance)
    dead = await ask(
        instance,
        """SELECT count(*) FILTER (WHERE error <> '') AS n FROM failures
            WHERE dead_at IS NOT NULL""",
    )
    without = quantile(await took(instance, "user_id LIKE 'plain%'"), 0.99)
    beside = quantile(await took(instance, "user_id LIKE 'mixed%'"), 0.99)
    return {
        "not_dead": count // 20 - float(str(dead[0]["n"])),
        "p99_without": without,
        "p99_beside": beside,
        "times": round(beside / without, 2),
    }


async def away(instance: Instance) -> Figures:
    """Redis or the model server down or paused: ingest does not notice."""
    figures: Figures = {"refused": 0}

    async def measure(name: str, number: int) -> None:
        milliseconds: list[float] = []
        async with http() as client:
            for n in range(number, number + 300):
                begun = time.monotonic()
                url = f"{instance.gateways[0]}/v1/ingest"
                answer = await client.post(url, json=said(n, f"u{n % 20}"))
                milliseconds.append(1000 * (time.monotonic() - begun))
                figures["refused"] += answer.status_code != 202
                await asyncio.sleep(0.02)
        figures[f"{name}_p95_ms"] = quantile(milliseconds, 0.95)

    await measure("idle", 0)
    instance.kill_server("valkey", signal.SIGSTOP)
    await measure("redis_paused", 1_000)
    instance.kill_server("valkey", signal.SIGCONT)
    instance.kill_server("valkey", signal.SIGKILL, hold=True)
    await measure("redis_down", 2_000)
    instance.release("valkey")
    instance.provider.fault = "refused"
    await measure("provider_down", 3_000)
    instance.provider.fault = "timeout"
    await measure("provider_paused", 4_000)
    instance.provider.fault = None
    usual = max(25.0, figures["idle_p95_ms"])
    slowest = max(number for name, number in figures.items() if name.endswith("_p95_ms"))
    return {**figures, "times": round(slowest / usual, 2)}


async def neighbours(instance: Instance) -> Figures:
    """One tenant floods, over Redis and over HTTP; another one says little, and waits no longer."""
    instance.provider.delay_seconds = 0.05
    redis = Redis.from_url(instance.redis_url)
    numbers = iter(range(10_000_000))
    figures: Figures = {}

    async def quiet(phase: str) -> float:
        for n in range(25):
            entry = {**said(next(numbers), f"{phase}{n}"), "tenant": "quiet"}
            await redis.xadd(MESSAGES, entry)  # type: ignore[arg-type]
            await asyncio.sleep(0.4)
        where = f"tenant_id = 'quiet' AND c.user_id LIKE '{phase}%'"
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(await took(instance, where)) < 25:
                await asyncio.sleep(0.2)
        figures.update({f"{phase}_{k}": v for k, v in (await parts(instance, where)).items()})
        return quantile(await took(instance, where, "c.said_at"), 0.95)

    idle = await quiet("idle")
    flood = [{**said(next(numbers), f"u{n % 2_000}"), "tenant": "loud"} for n in range(25_000)]
    async with redis.pipeline(transaction=False) as pipeline:
        for entry in flood:
            pipeline.xadd(MESSAGES, entry)  # type: ignore[arg-type]
        await pipeline.execute()
    over_redis = await quiet("redis")
    flooding = asyncio.create_task(
        store(instance, [said(next(numbers), f"u{n % 2_000}") for n in range(25_000)])
    )
    over_http = await quiet("http")
    flooding.cancel()
    with suppress(asyncio.CancelledError):
        await flooding
    await redis.aclose()
    return {
        **figures,
        "idle_p95": idle,
        "flood_over_redis_p95": over_redis,
        "flood_over_http_p95": over_http,
        "times": round(max(over_redis, over_http) / idle, 2),
    }


ROWS: dict[str, Row] = {
    "slow_consumers": Row(slow_consumers, {"reannounced": 0}, {}),
    "emptied": Row(emptied, {"settled_seconds": 30}, {}),
    "killed": Row(killed, {"resumed_seconds": 10, "calls": 2}, {}),
    "living_call": Row(living_call, {"calls": 1}, {"MEMOIRE_LLM_TIMEOUT_SECONDS": "90"}),
    "poison": Row(poison, {"not_dead": 0, "times": 2}, {}),
    "away": Row(away, {"refused": 0, "times": 2}, {}),  # 50 ms, or twice what is usual there
    "neighbours": Row(neighbours, {"times": 2}, {}),
}


def measure(name: str) -> Figures:
    """Run one scenario on an instance of its own."""
    row = ROWS[name]

    async def work(instance: Instance) -> Figures:
        instance.add(two_of_each())
        await ready(instance)
        return await row.scenario(instance)

    with (
        tempfile.TemporaryDirectory(prefix="memoire-row-") as folder,
        built(Path(folder) / "data", row.settings, proxied=False) as instance,
    ):
        return instance.run(work)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rows", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *ROWS, "steady"])
    parser.add_argument("--minutes", type=float, default=60.0, help="of `steady`")
    parser.add_argument("--rate", type=float, default=20.0, help="its messages a second")
    parser.add_argument("--seed", type=int, default=1, help="its seed")
    given = parser.parse_args()
    for name in given.names or list(ROWS):
        if name == "steady":
            load = steady.Load(minutes=given.minutes, rate=given.rate, seed=given.seed)
            figures = steady.measure(load, Path(tempfile.mkdtemp(prefix="memoire-steady-")))
        else:
            figures = measure(name)
        print(json.dumps({"row": name, **figures}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
