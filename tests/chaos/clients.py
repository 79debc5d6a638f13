"""Applications that send messages: over HTTP with retries, in batches, and straight to Redis.

They try again until they are told that a message is accepted, as real ones do: with its
`message_id`, or else with their Idempotency-Key. An entry of Redis without either is sent once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.broker import connect_redis
from shared.topology import MESSAGES
from tests.chaos.accounts import Accounts
from tests.chaos.instance import ADMIN_KEY, Instance
from tests.chaos.world import Said

_BATCH = 20
_WAITING = 50
_TIMEOUT_SECONDS = 5.0
_WORKERS = {"http": 8, "batch": 2, "redis": 4}


class Clients:
    """Sends everything at a pace, and enters into the accounts what it was promised."""

    def __init__(self, instance: Instance, accounts: Accounts, seed: int) -> None:
        self._instance = instance
        self._accounts = accounts
        self._rng = random.Random(seed * 31)
        self._queues: dict[str, asyncio.Queue[Said | None]] = {
            way: asyncio.Queue(_WAITING) for way in _WORKERS
        }

    async def send(self, messages: Iterable[Said], per_second: float) -> None:
        """Send all, at most so many a second; returns when every one is accepted.

        Who is slower than that is waited for: nothing is taken from `messages` much too early.
        """
        async with asyncio.TaskGroup() as workers:
            for way, count in _WORKERS.items():
                for _ in range(count):
                    workers.create_task(self._work(way))
            began = time.monotonic()
            for number, said in enumerate(messages):
                await self._queues[said.way].put(said)
                if (ahead := began + number / per_second - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
            for way, count in _WORKERS.items():
                for _ in range(count):
                    await self._queues[way].put(None)

    async def _work(self, way: str) -> None:
        queue = self._queues[way]
        redis = connect_redis(self._instance.proxied_redis_url, timeout_seconds=2)
        headers = {"X-API-Key": ADMIN_KEY}
        async with httpx.AsyncClient(headers=headers, timeout=_TIMEOUT_SECONDS) as http:
            while (said := await queue.get()) is not None:
                if way == "redis":
                    await self._add(redis, said)
                elif way == "http":
                    await self._post(http, "/v1/ingest", said.body(), [said])
                else:
                    several = [said, *self._more(queue)]
                    body = {"messages": [one.body() for one in several]}
                    await self._post(http, "/v1/ingest/batch", body, several)
        await redis.aclose()

    def _more(self, queue: asyncio.Queue[Said | None]) -> list[Said]:
        """Take what else is waiting, up to a batch."""
        found: list[Said] = []
        most = self._rng.randrange(_BATCH)
        while len(found) < most and not queue.empty():
            if (said := queue.get_nowait()) is None:
                queue.put_nowait(None)
                break
            found.append(said)
        return found

    async def _post(
        self, http: httpx.AsyncClient, path: str, body: object, several: Sequence[Said]
    ) -> None:
        first = several[0]
        headers = {} if first.message_id else {"Idempotency-Key": f"k{first.number}"}
        asked = datetime.now(UTC)
        while True:
            begun = time.monotonic()
            try:
                url = self._rng.choice(self._instance.gateways)
                answer = await http.post(url + path, json=body, headers=headers)
            except (httpx.HTTPError, OSError):
                await asyncio.sleep(self._rng.uniform(0.05, 0.3))
                continue
            if answer.status_code == 202:
                self._accounts.ingest_ms.append(1000 * (time.monotonic() - begun))
                for said in several:
                    self._accounts.accept(said, asked, datetime.now(UTC))
                return
            if answer.status_code != 503:
                self._accounts.refused.append(f"{answer.status_code} {answer.text[:200]}")
                return
            await asyncio.sleep(self._rng.uniform(0.05, 0.3))

    async def _add(self, redis: Redis, said: Said) -> None:
        fields = {**said.body(), "tenant": said.tenant}
        asked = datetime.now(UTC)
        while True:
            try:
                await redis.xadd(MESSAGES, fields)  # type: ignore[arg-type]
            except (RedisError, OSError, TimeoutError):
                if said.message_id is None:
                    self._accounts.unsure[said.number] = said
                    return
                await asyncio.sleep(self._rng.uniform(0.05, 0.3))
                continue
            self._accounts.accept(said, asked, datetime.now(UTC))
            return
