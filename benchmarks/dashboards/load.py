"""A mixed load on a real instance, with everything that a dashboard should show once.

Applications send, ask and make mistakes; others put messages straight on Redis. One after the other
a tenant floods, the chat model fails, workers are killed, Redis is emptied, embeddings fail, a
transaction stays open, jobs are asked for. Counted and timed by shares of the run, and it ends.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import psycopg
from redis import RedisError

from benchmarks.instance import Instance, free_port, wait_for
from shared.topology import JOB_KINDS, MESSAGES

_WHAT = (
    "I live in {}", "I moved to {} last year", "I have a friend named {}", "I work at {}",
    "I like {} very much", "I cannot stand {}", "My favourite dish is {}", "I am learning {}",
)  # fmt: skip
_WORDS = (
    "Lisbon", "Oslo", "Porto", "Sara", "Bruno", "Acme", "chess", "sailing", "Portuguese", "pottery",
    "ramen", "opera", "Kyoto", "hiking", "jazz", "tapas", "Ines", "Globex", "climbing", "Finnish",
)  # fmt: skip
_QUESTIONS = ("Where do I live?", "Who are my friends?", "What do I like to eat?", "my hobbies")
_TENANTS = ("shop", "clinic", "travel")
_USERS = 40
_FLOOD = 1_200
_BUDGET_TOKENS = {"shop": 2_000_000, "clinic": 60_000, "travel": 150_000}


@contextmanager
def model() -> Iterator[str]:
    """The model server's URL, while it runs."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.dashboards.model", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # callers are killed meanwhile
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _feels(url, "well"), 60, "the model server")
        yield url
    finally:
        process.terminate()
        process.wait()


def settings(url: str, metrics_port: int) -> dict[str, str]:
    """Prices that show, and waits short enough for a run of minutes."""
    return {
        "llm_base_url": f"{url}/v1", "llm_api_key": "made-up", "llm_model": "made-up-chat",
        "embed_base_url": f"{url}/v1", "embed_api_key": "made-up", "embed_model": "made-up-vectors",
        "llm_price_input": "0.4", "llm_price_output": "1.6", "embed_price": "0.02",
        "max_attempts": "5", "retry_cap_seconds": "10", "provider_pause_cap_seconds": "8",
        "watch_seconds": "5", "optimize_cron": "*/2 * * * *",
        "schedule_spread_seconds": "5", "metrics_port": str(metrics_port), "log_level": "error",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """The load on one instance, for so many seconds."""

    instance: Instance
    model_url: str
    seconds: float

    def run(self) -> None:
        """Everybody at once, until the time is over; raises what any of them could not help."""
        self._budgets()
        everybody: list[Callable[[], None]] = [
            *(partial(self._application, number) for number in range(3)),
            self._publisher,
            self._troubles,
        ]
        with ThreadPoolExecutor(len(everybody)) as pool:
            for each in [pool.submit(one) for one in everybody]:
                each.result()

    def _budgets(self) -> None:
        for tenant, tokens in _BUDGET_TOKENS.items():
            command = [sys.executable, "-m", "services.cli", "budget", "set", "--tenant", tenant]
            command += ["--tokens", str(tokens), "--data", str(self.instance.data)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def _turns(self, every_seconds: float, seed: int) -> Iterator[random.Random]:
        """A turn every so often, with chance that is the same in every run."""
        chance, end = random.Random(seed), time.monotonic() + self.seconds
        while time.monotonic() < end:
            yield chance
            time.sleep(every_seconds * chance.uniform(0.5, 1.5))

    # ---- applications over HTTP

    def _application(self, number: int) -> None:
        """Say something, ask something, and get it wrong now and then."""
        with self.instance.client() as client:
            for chance in self._turns(0.35, number):
                user = f"u{min(int(chance.expovariate(0.15)), _USERS)}"
                with suppress(httpx.HTTPError):  # it is counted where it was answered
                    self._say(client, chance, user)
                    self._ask(client, chance, user)
                    if chance.random() < 0.06:
                        self._mistake(client, chance)

    def _say(self, client: httpx.Client, chance: random.Random, user: str) -> None:
        message = {"user_id": user, "role": "user", "content": _sentence(chance)}
        if chance.random() < 0.2:
            more = [{**message, "content": _sentence(chance)} for _ in range(8)]
            client.post("/v1/ingest/batch", json={"messages": more})
            return
        named = {"message_id": str(chance.randrange(300))} if chance.random() < 0.2 else {}
        client.post("/v1/ingest", json={**message, **named})

    def _ask(self, client: httpx.Client, chance: random.Random, user: str) -> None:
        query = chance.choice(_QUESTIONS) if chance.random() < 0.5 else _sentence(chance)
        body: dict[str, Any] = {"user_id": user, "query": query}
        match chance.randrange(10):
            case 0:
                client.post("/v1/context", json=body)
            case 1:
                client.get(f"/v1/users/{user}/facts")
            case 2:
                client.get(f"/v1/users/{user}/conscious")
            case _:
                client.post("/v1/recall", json=body)

    def _mistake(self, client: httpx.Client, chance: random.Random) -> None:
        match chance.randrange(4):
            case 0:
                client.post("/v1/recall", json={"user_id": "u1"})
            case 1:
                client.get("/v1/facts/0196900f-5c00-7000-8000-000000000001")
            case 2:
                client.get("/v1/users", headers={"X-API-Key": "wrong"})
            case _:
                said = {"user_id": "u1", "role": "user", "content": "What follows is unreadable"}
                client.post("/v1/ingest", json=said)

    # ---- programs on Redis

    def _publisher(self) -> None:
        with self.instance.redis() as redis:
            for chance in self._turns(0.5, 99):
                fields = {"user_id": f"r{chance.randrange(9)}", "role": "user"}
                fields |= {"tenant": chance.choice(_TENANTS), "content": _sentence(chance)}
                if chance.random() < 0.03:
                    fields = {"nonsense": "1"}
                with suppress(RedisError):
                    redis.xadd(MESSAGES, fields)

    # ---- what goes wrong

    def _troubles(self) -> None:
        """Each at its share of the run."""
        begun = time.monotonic()
        for share, trouble in (
            (0.15, self._flood),
            (0.30, lambda: self._feel("stumbling")),
            (0.36, lambda: self._feel("away")),
            (0.44, lambda: self._feel("well")),
            (0.50, self._kill),
            (0.60, self._empty),
            (0.66, lambda: self._feel("blind")),
            (0.72, lambda: self._feel("well")),
            (0.76, self._hold),
            (0.86, self._jobs),
        ):
            time.sleep(max(0.0, begun + share * self.seconds - time.monotonic()))
            trouble()

    def _feel(self, mood: str) -> None:
        if not _feels(self.model_url, mood):
            raise RuntimeError("the model server does not listen")

    def _flood(self) -> None:
        chance = random.Random(7)
        with self.instance.redis() as redis, redis.pipeline(transaction=False) as pipe:
            for number in range(_FLOOD):
                fields = {"user_id": f"f{number % 60}", "role": "user", "tenant": "flood"}
                fields |= {"content": _sentence(chance), "session_id": str(number // 60 % 4)}
                pipe.xadd(MESSAGES, fields)
            pipe.execute()

    def _kill(self) -> None:
        """Without a word, as the kernel does when memory is short; the supervisor starts anew."""
        for name in ("extractor", "deduper"):
            for pid in self.instance.pids()[name]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _empty(self) -> None:
        with self.instance.redis() as redis:
            redis.flushall()

    def _hold(self) -> None:
        """A transaction that somebody forgot."""
        with psycopg.connect(self.instance.database_url) as connection:
            connection.execute("SELECT pg_current_xact_id()")
            time.sleep(0.08 * self.seconds)

    def _jobs(self) -> None:
        with self.instance.client() as client:
            for number in range(12):
                for kind in JOB_KINDS:
                    with suppress(httpx.HTTPError):
                        client.post(f"/v1/users/u{number}/{kind}")


def _sentence(chance: random.Random) -> str:
    return chance.choice(_WHAT).format(chance.choice(_WORDS))


def _feels(url: str, mood: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.post(f"{url}/mood/{mood}").status_code == 200
    return False
