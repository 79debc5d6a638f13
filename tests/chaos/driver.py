"""One run: clients send, faults happen, everything heals, and the auditor looks.

The same seed gives the same messages and the same faults in the same order; what they meet is
the machine's.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.chaos import auditor, report
from tests.chaos.accounts import Accounts
from tests.chaos.clients import Clients
from tests.chaos.faults import KINDS, Ground, Kind
from tests.chaos.instance import ADMIN_KEY, Instance, Member, built, two_of_each
from tests.chaos.profiles import Profile
from tests.chaos.report import Report
from tests.chaos.world import Said, tell

_READY_SECONDS = 300.0
_LOOK_SECONDS = 0.25
_JOB_SECONDS = 2.0
_HOUR = {"MEMOIRE_CLOCK_AHEAD_SECONDS": "3600"}
_OPEN = """
    SELECT (SELECT count(*) FROM chat_logs
             WHERE state <> 'extracted' AND retry_at IS DISTINCT FROM 'infinity')
         + (SELECT count(*) FROM memory_facts
             WHERE state <> 'settled' AND retry_at IS DISTINCT FROM 'infinity')
         + (SELECT count(*) FROM jobs WHERE state = 'requested')
         + (SELECT count(*) FROM failures WHERE next_attempt_at IS NOT NULL AND payload IS NOT NULL)
           AS open"""
_REVIVABLE = """
    SELECT id FROM failures
     WHERE dead_at IS NOT NULL AND error NOT LIKE '%%choke%%'
       AND (payload IS NULL OR payload ? 'user_id')"""


def members() -> list[Member]:
    """Two of each process, one extractor and one gateway an hour off."""
    everyone = two_of_each()
    extractor = max(i for i, m in enumerate(everyone) if m.process == "extractor")
    everyone[extractor] = Member("extractor", _HOUR)
    gateway = max(i for i, m in enumerate(everyone) if m.process == "gateway")
    everyone[gateway] = Member("gateway", {"MEMOIRE_CLOCK_AHEAD_SECONDS": "-3600"})
    return everyone


def run(seed: int, profile: Profile, data: Path, kinds: list[Kind] | None = None) -> Report:
    """Run once on a data folder of its own; what was found, in one report."""
    begun = time.monotonic()
    accounts = Accounts()
    with built(data, profile.settings) as instance:
        chaos = Run(instance, accounts, seed, profile, kinds or KINDS)
        settled_after = instance.run(chaos.all)
        readings = auditor.read(instance.database_url, instance.redis_url)
        took = report.end_to_end(instance.database_url)
        model = instance.provider
    findings = auditor.audit(accounts, readings)
    for example in findings.examples:
        print(example)  # noqa: T201
    return report.build(
        accounts,
        readings,
        findings,
        data=data,
        took=took,
        seed=seed,
        redriven=chaos.redriven,
        model_calls=model.calls,
        paid_calls=model.paid_calls,
        seconds=round(time.monotonic() - begun, 1),
        settled_after=settled_after,
    )


class Run:
    """The driver of one run, in the loop beside the processes."""

    def __init__(
        self,
        instance: Instance,
        accounts: Accounts,
        seed: int,
        profile: Profile,
        kinds: list[Kind],
    ) -> None:
        self._instance = instance
        self._accounts = accounts
        self._seed = seed
        self._profile = profile
        self._kinds = kinds
        self._busy: dict[str, asyncio.Lock] = {kind.resource: asyncio.Lock() for kind in kinds}
        self.redriven = 0

    async def all(self, instance: Instance) -> float | None:
        """Everything in order; seconds from the last fault to quiet, None when it never came."""
        profile = self._profile
        instance.provider.delay_seconds = profile.model_delay
        instance.add(members())
        self._accounts.faults["clock an hour off"] = 2
        await ready(instance)
        story = tell(self._seed, profile.messages, profile.users, poison_share=profile.poison_share)
        clients = Clients(instance, self._accounts, self._seed)
        jobs = asyncio.create_task(self._ask_for_jobs())
        told = _for_so_long(story, 60 * profile.most_minutes)
        sending = asyncio.create_task(clients.send(told, profile.messages / profile.lasting))
        await self._inject()
        await sending
        jobs.cancel()
        return await self.settle()

    async def _inject(self) -> None:
        """Begin faults at even intervals; those of one resource wait for each other."""
        pause = self._profile.lasting / max(1, self._profile.faults)
        async with asyncio.TaskGroup() as injected:
            for number, kind in enumerate(deck(self._seed, self._kinds, self._profile.faults)):
                rng = random.Random(f"{self._seed} {number}")
                injected.create_task(self._one(kind, rng))
                await asyncio.sleep(pause * rng.uniform(0.5, 1.5))

    async def _one(self, kind: Kind, rng: random.Random) -> None:
        ground = Ground(self._instance, self._accounts, self._profile.scale, rng)
        async with self._busy[kind.resource]:
            await _until_done(lambda: kind.inject(ground))
            self._accounts.faults[kind.name] += 1

    async def _ask_for_jobs(self) -> None:
        """Have users' beliefs folded anew in the middle of everything."""
        rng = random.Random(self._seed)
        async with httpx.AsyncClient(headers={"X-API-Key": ADMIN_KEY}, timeout=5) as http:
            while True:
                await asyncio.sleep(_JOB_SECONDS)
                url = rng.choice(self._instance.gateways)
                user = f"u{rng.randrange(self._profile.users)}"
                with suppress(httpx.HTTPError, OSError):
                    await http.post(f"{url}/v1/users/{user}/consolidate")

    async def settle(self) -> float | None:
        """Wait until nothing is open, as an operator would: redriving what died of the faults.

        A slow machine may take its time; who makes no headway for `settle_within` has failed.
        """
        begun = headway = time.monotonic()
        fewest: int | None = None
        while time.monotonic() - headway < self._profile.settle_within:
            with suppress(psycopg.Error, httpx.HTTPError, OSError):
                revived, rows = await self._redrive(), await self._open_rows()
                if revived + rows + await _backlog(self._instance) == 0:
                    return round(time.monotonic() - begun, 1)
                if fewest is None or rows < fewest:
                    fewest, headway = rows, time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _open_rows(self) -> int:
        rows = await ask(self._instance, _OPEN)
        return int(str(rows[0]["open"]))

    async def _redrive(self) -> int:
        dead = [str(row["id"]) for row in await ask(self._instance, _REVIVABLE)]
        if dead:
            async with httpx.AsyncClient(headers={"X-API-Key": ADMIN_KEY}, timeout=10) as http:
                url = self._instance.gateways[0]
                for at in range(0, len(dead), 100):
                    body = {"ids": dead[at : at + 100]}
                    answer = await http.post(f"{url}/v1/dead-letters/redrive", json=body)
                    answer.raise_for_status()
            self.redriven += len(dead)
        return len(dead)


def _for_so_long(messages: Iterator[Said], seconds: float) -> Iterator[Said]:
    until = time.monotonic() + seconds
    return takewhile(lambda _: time.monotonic() < until, messages)


def deck(seed: int, kinds: list[Kind], count: int) -> Iterator[Kind]:
    """Draw faults as cards: every kind comes once before any comes twice."""
    rng = random.Random(seed)
    cards: list[Kind] = []
    for _ in range(count):
        if not cards:
            cards = rng.sample(kinds, len(kinds))
        yield cards.pop()


async def _until_done(inject: Callable[[], Awaitable[None]]) -> None:
    """Inject a fault; where another fault keeps it from its server, try again."""
    for _ in range(50):
        try:
            await inject()
        except Exception as error:
            if "redis" not in type(error).__module__ and not isinstance(error, OSError):
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def ask(instance: Instance, statement: str) -> list[dict[str, object]]:
    """Ask PostgreSQL, past the proxy."""
    connecting = psycopg.AsyncConnection.connect(
        instance.database_url, autocommit=True, connect_timeout=5, row_factory=dict_row
    )
    async with await connecting as connection:
        cursor = await connection.execute(statement.replace("%%", "%").encode())
        return await cursor.fetchall()


async def _backlog(instance: Instance) -> int:
    readings = await asyncio.to_thread(_lengths, instance.redis_url)
    return sum(readings)


def _lengths(redis_url: str) -> list[int]:
    from redis import Redis
    from redis.exceptions import RedisError

    from shared.topology import STAGES

    try:
        with Redis.from_url(redis_url, socket_timeout=2, retry=None) as redis:
            return [int(redis.xlen(s)) for streams in STAGES.values() for s in streams]  # type: ignore[arg-type]
    except RedisError:
        return [1]


async def ready(instance: Instance) -> None:
    """Wait until every gateway answers."""
    async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient(timeout=2) as http:
        while not instance.gateways:
            await asyncio.sleep(0.05)
        for url in list(instance.gateways):
            while True:
                with suppress(httpx.HTTPError, OSError):
                    if (await http.get(f"{url}/v1/health/ready")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
