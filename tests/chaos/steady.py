"""Steady load for as long as asked: `python -m tests.chaos.rows steady --minutes 60 --rate 20`.

Two of every process, the embedder that users have, messages over HTTP, in batches and straight to
Redis, a few of them sent again, and recalls beside them. Everything is sampled meanwhile; at the end
memory must have been flat, streams empty, dead tuples bounded, and the auditor content.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.chaos import auditor, steady_verdict
from tests.chaos.accounts import Accounts
from tests.chaos.clients import Clients
from tests.chaos.driver import Run, ready
from tests.chaos.faults import Scale
from tests.chaos.instance import ADMIN_KEY, Instance, built, two_of_each
from tests.chaos.profiles import Profile
from tests.chaos.vitals import Vitals, sample
from tests.chaos.world import Said, tell

_REPEATED_SHARE = 0.03
_REMEMBERED = 200
_JOB_SECONDS = 5.0
_SETTLE_SECONDS = 300.0
SETTINGS = {
    "MEMOIRE_EMBEDDINGS": "local",
    "MEMOIRE_SETTLED_MAX_LENGTH": "10000",  # full within minutes: what Valkey adds then is a leak
}
_READS = (
    ("POST", "/v1/recall", {"query": "Where do they live?"}),
    ("POST", "/v1/recall", {"query": "watches and maps", "view": "all", "explain": True}),
    ("POST", "/v1/context", {"query": "what to know before we talk"}),
    ("GET", "/v1/users/{user}/facts", {}),
    ("GET", "/v1/users/{user}/timeline", {}),
    ("GET", "/v1/users/{user}/conscious", {}),
)


@dataclass(frozen=True, slots=True)
class Load:
    """How much, for how long."""

    minutes: float = 60.0
    rate: float = 20.0
    """Messages a second."""
    reads: float = 2.0
    """Recalls and other reads a second."""
    users: int = 1_000
    seed: int = 1
    every_seconds: float = 15.0

    @property
    def messages(self) -> int:
        return int(self.minutes * 60 * self.rate)


def measure(load: Load, folder: Path) -> dict[str, Any]:
    """Run the load on an instance of its own; samples go to `vitals.jsonl` in the folder."""
    with built(folder / "data", SETTINGS) as instance:
        steady = Steady(instance, load, folder / "vitals.jsonl")
        settled_after = instance.run(steady.all)
        readings = auditor.read(instance.database_url, instance.redis_url)
    findings = auditor.audit(steady.accounts, readings)
    print(steady_verdict.table(steady.samples), file=sys.stderr, flush=True)  # noqa: T201
    verdict = steady_verdict.judge(steady.samples)
    return {
        "seed": load.seed,
        "minutes": load.minutes,
        "messages": len(steady.accounts.accepted),
        "repeated": steady.repeated,
        "reads": steady.reads,
        "errors": steady.errors[:10],
        "lost": findings.lost.total(),
        "double": findings.double.total(),
        "wrong": findings.wrong.total() + len(steady.accounts.refused),
        "stream_lengths": sum(readings.streams.values()),
        "pending": readings.pending,
        "settled_after": settled_after,
        **verdict,
    }


class Steady:
    """The load of one run, in the loop beside the processes."""

    def __init__(self, instance: Instance, load: Load, file: Path) -> None:
        self._instance = instance
        self._load = load
        self._file = file
        self._rng = random.Random(load.seed)
        self.accounts = Accounts()
        self.samples: list[Vitals] = []
        self.errors: list[str] = []
        self.repeated = self.reads = 0

    async def all(self, instance: Instance) -> float | None:
        """Send, read and sample; seconds until all was quiet afterwards, None: it never was."""
        load = self._load
        instance.provider.delay_seconds = 0.2
        instance.add(two_of_each())
        await ready(instance)
        beside = [
            asyncio.create_task(work)
            for work in (self._sample(), self._read(), self._ask_for_jobs())
        ]
        told = tell(load.seed, load.messages, load.users)
        await Clients(instance, self.accounts, load.seed).send(self._repeating(told), load.rate)
        for task in beside:
            task.cancel()
        ended = await asyncio.gather(*beside, return_exceptions=True)
        self.errors += [repr(e) for e in ended if not isinstance(e, asyncio.CancelledError)]
        return await quiet(instance, self.accounts)

    def _repeating(self, messages: Iterator[Said]) -> Iterator[Said]:
        """Send some of them again a while later, as clients that missed an answer do."""
        recent: list[Said] = []
        for said in messages:
            yield said
            if said.message_id and said.at:
                recent = [*recent[-_REMEMBERED:], said]
            if recent and self._rng.random() < _REPEATED_SHARE:
                self.repeated += 1
                yield self._rng.choice(recent)

    async def _sample(self) -> None:
        begun = time.monotonic()
        while True:
            vitals = await asyncio.to_thread(sample, self._instance, time.monotonic() - begun)
            self.samples.append(vitals)
            with self._file.open("a") as file:
                file.write(json.dumps(asdict(vitals)) + "\n")
            await asyncio.sleep(self._load.every_seconds)

    async def _read(self) -> None:
        """Ask what is known, of anybody, a few times a second."""
        async with _http() as http:
            while True:
                await asyncio.sleep(self._rng.expovariate(self._load.reads))
                method, path, body = self._rng.choice(_READS)
                user = f"u{self._rng.randrange(self._load.users)}"
                url = self._rng.choice(self._instance.gateways) + path.format(user=user)
                content = {**body, "user_id": user} if body else None
                self.reads += 1
                try:
                    answer = await http.request(method, url, json=content)
                except httpx.HTTPError as error:
                    self.errors.append(f"{path}: {error!r}")
                    continue
                if answer.status_code not in (200, 404):  # 404: nobody yet
                    self.errors.append(f"{path}: {answer.status_code} {answer.text[:200]}")

    async def _ask_for_jobs(self) -> None:
        async with _http() as http:
            while True:
                await asyncio.sleep(_JOB_SECONDS)
                user = f"u{self._rng.randrange(self._load.users)}"
                kind = self._rng.choice(("consolidate", "optimize", "decay"))
                url = self._rng.choice(self._instance.gateways)
                with suppress(httpx.HTTPError):
                    await http.post(f"{url}/v1/users/{user}/{kind}")


def _http() -> httpx.AsyncClient:
    """Lets go of idle connections before the gateway does, after 5 s: both at once is a race."""
    limits = httpx.Limits(keepalive_expiry=2)
    return httpx.AsyncClient(headers={"X-API-Key": ADMIN_KEY}, timeout=30, limits=limits)


async def quiet(instance: Instance, accounts: Accounts) -> float | None:
    """Wait until nothing is open; how many seconds that took."""
    patient = Profile(0, 0, 0, 0, _SETTLE_SECONDS, Scale())
    return await Run(instance, accounts, 0, patient, []).settle()
