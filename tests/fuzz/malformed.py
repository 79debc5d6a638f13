"""Malformed requests and stream entries beside good neighbours, over both entrances.

`python -m tests.fuzz.malformed --count 100000 --seed 1` starts a real `memoire up` on a folder of its
own and exits with 1 unless: nothing malformed was answered with 2xx or 5xx, every neighbour was settled
exactly once, and every bad stream entry is one dead letter with its reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis.asyncio import Redis

from shared.topology import MESSAGES
from tests.acceptance.instance import Instance, running
from tests.fuzz.bad_entries import BadEntries
from tests.fuzz.bad_requests import BadRequest, BadRequests

_SENDERS = 12
_NEIGHBOUR_EVERY = 20
_ANSWER_SECONDS = 60.0
_CALM_SECONDS = 120.0
_WAITING_ENTRIES = 2_000
NO_LIMITS = {"MEMOIRE_RATE_LIMIT_PER_MINUTE": "0", "MEMOIRE_TENANT_RATE_LIMIT_PER_MINUTE": "0"}
_OPEN = """SELECT (SELECT count(*) FROM chat_logs WHERE state <> 'extracted')
                + (SELECT count(*) FROM memory_facts WHERE state <> 'settled')"""
# A neighbour is one message, one fact that rests on it, one event that tells of it.
_NEIGHBOURS = """
SELECT c.user_id, count(DISTINCT c.id), count(DISTINCT f.id), count(e.seq)
  FROM chat_logs c
  LEFT JOIN memory_facts f ON f.tenant_id = c.tenant_id AND f.user_id = c.user_id
                          AND c.id = ANY(f.source_message_ids) AND f.state = 'settled'
  LEFT JOIN events e ON e.tenant_id = f.tenant_id AND e.fact_id = f.id AND e.event = 'fact.settled'
 WHERE c.user_id LIKE 'neighbour-%' GROUP BY 1"""
_DEAD = """SELECT split_part(subject_id, ':', 3), count(*) FROM failures
            WHERE stage = 'extractor' AND dead_at IS NOT NULL AND error <> '' GROUP BY 1"""


@dataclass(slots=True)
class Report:
    """What was sent and what became of it; `faults` is empty after a good run."""

    requests: int = 0
    entries: int = 0
    neighbours: int = 0
    settled_once: int = 0
    dead_letters: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        return {
            "malformed requests": self.requests,
            "bad stream entries": self.entries,
            "answers": dict(sorted(self.answers.items())),
            "dead letters": self.dead_letters,
            "neighbours": self.neighbours,
            "settled exactly once": self.settled_once,
            "faults": self.faults[:20],
            "seconds": round(self.seconds, 1),
        }


class Target(Protocol):
    """What is sent to: a gateway's address and key, and its rows to judge by."""

    url: str
    key: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]: ...


class Run:
    """Sends `count` malformed things, half over each entrance, and a neighbour after every 20."""

    def __init__(self, instance: Target, redis: Redis, count: int, seed: int) -> None:
        self._instance = instance
        self._redis = redis
        self._count = count
        self._requests = BadRequests(instance.key, seed)
        self._entries = BadEntries(seed)
        self._seed = seed
        self._sent: dict[str, str] = {}
        self._users: set[str] = set()
        where = urlsplit(instance.url)
        self._address = (where.hostname or "", where.port or 0)
        self.report = Report()

    async def go(self) -> Report:
        begun = time.monotonic()
        numbers = iter(range(self._count))
        await asyncio.gather(*(self._send_all(numbers) for _ in range(_SENDERS)))
        await self._calm()
        self._judge_neighbours()
        self._judge_entries()
        self.report.seconds = time.monotonic() - begun
        return self.report

    async def _send_all(self, numbers: Any) -> None:
        for number in numbers:
            if number % 2:
                await self._send_entry()
            else:
                await self._send_request(self._requests.next())
            if number % _NEIGHBOUR_EVERY == 0:
                await self._send_neighbour(number)

    async def _send_request(self, bad: BadRequest) -> None:
        self.report.requests += 1
        self.report.kinds[bad.kind] += 1
        status = await self._answer(bad)
        self.report.answers[status] += 1
        if status[0] not in "4-":
            self.report.faults.append(f"{bad.kind}: {status} for {bad.data[:300]!r}")

    async def _answer(self, bad: BadRequest) -> str:
        """The status; `-` where nobody answers: what ends early, or what was hung up on."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._exchange(bad)
        except TimeoutError:
            return "no answer"
        except OSError:
            return "-"

    async def _exchange(self, bad: BadRequest) -> str:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            with suppress(ConnectionError):  # it may answer before it has read everything
                writer.write(bad.data)
                if not bad.waits:
                    writer.write_eof()
                await writer.drain()
            first = await reader.readline()
            return first.split(b" ")[1].decode() if first.startswith(b"HTTP/1.1 ") else "-"
        finally:
            writer.close()

    async def _send_entry(self) -> None:
        self.report.entries += 1
        entry = self._entries.next()
        added = await self._redis.xadd(MESSAGES, dict(entry))
        self._sent[added.decode()] = repr(entry)[:300]
        while await self._redis.xlen(MESSAGES) > _WAITING_ENTRIES:
            await asyncio.sleep(0.05)

    async def _send_neighbour(self, number: int) -> None:
        self.report.neighbours += 1
        user = f"neighbour-{self._seed}-{number}"
        self._users.add(user)
        message = {
            "user_id": user,
            "role": "user",
            "content": "I live in Lisbon",
            "message_id": "1",
        }
        if number % (2 * _NEIGHBOUR_EVERY):
            await self._redis.xadd(
                MESSAGES, {**message, "whatever": "\x00\x01 of no field of ours"}
            )
            return
        body = json.dumps(message).encode()
        head = f"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nX-API-Key: {self._instance.key}\r\n"
        head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        status = await self._answer(BadRequest("neighbour", head.encode() + body))
        if status != "202":
            self.report.faults.append(f"{user} was answered {status}")

    async def _calm(self) -> None:
        """Wait until the stream is empty and every row has come to its end."""
        deadline = time.monotonic() + _CALM_SECONDS
        while await self._redis.xlen(MESSAGES) or self._instance.rows(_OPEN)[0][0]:
            if time.monotonic() > deadline:
                self.report.faults.append("it did not come to rest")
                return
            await asyncio.sleep(0.5)

    def _judge_neighbours(self) -> None:
        found = {user: tuple(counts) for user, *counts in self._instance.rows(_NEIGHBOURS)}
        for user in sorted(self._users):
            if found.get(user) == (1, 1, 1):
                self.report.settled_once += 1
            else:
                self.report.faults.append(f"{user}: {found.get(user)}")

    def _judge_entries(self) -> None:
        found = dict(self._instance.rows(_DEAD))
        for entry, said in self._sent.items():
            if found.get(entry) == 1:
                self.report.dead_letters += 1
            else:
                self.report.faults.append(f"{found.get(entry, 0)} dead letters for {said}")


def run(data: Path, count: int, seed: int) -> Report:
    """Start an instance, send, judge, stop it."""

    async def sent(instance: Instance) -> Report:
        redis = Redis.from_url(instance.status()["redis_url"])
        try:
            return await Run(instance, redis, count, seed).go()
        finally:
            await redis.aclose()

    with running(data, **NO_LIMITS) as instance:
        return asyncio.run(sent(instance))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memoire-malformed-") as folder:
        report = run(Path(folder) / "data", asked.count, asked.seed)
    sys.stdout.write(json.dumps(report.shown(), indent=1) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
