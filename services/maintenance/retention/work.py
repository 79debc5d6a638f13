"""Retention at work: bounded batches, each its own transaction, with a rest after every one.

It runs beside the sweep, with a connection of its own, so that neither waits for the other. Who
gets the lock removes a batch; a process that dies leaves whole batches behind it. After a batch it
rests as long as the batch took: PostgreSQL, its WAL and autovacuum have half of the time to
themselves. Within a turn it goes on where it was, and does not read again what is dead by now.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import psycopg
import structlog

from services.maintenance.retention import store
from services.maintenance.retention.facts import remove_superseded
from services.maintenance.retention.store import Place
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Row, Transaction
from shared.events import Announcement
from shared.jobs.store import request_job
from shared.process import every
from shared.retention.store import Windows, windows
from shared.settings import Settings

log = structlog.get_logger()

_TURN_SECONDS = 60.0  # between turns; one that has more to do goes on at once in the next
_LONGEST_SECONDS = 50.0
_BATCH = 1_000
_PROFILES = 100
_FACTS = 200  # superseded facts looked at in one batch
_LOOK_AGAIN_SECONDS = 3_600.0

Step = Callable[[Transaction], Awaitable[int]]


class Retention:
    """Any number may run; whoever gets the lock removes this batch."""

    def __init__(
        self,
        db: OperatorDatabase,
        settings: Settings,
        announcer: Announcer | None = None,
        *,
        at_point: AtPoint = ignore_point,
        batch: int = _BATCH,
    ) -> None:
        self._db = db
        self._settings = settings
        self._announcer = announcer
        self._at_point = at_point
        self._batch = batch
        self._told: list[Announcement] = []
        self._places: dict[str, Place] = {}
        self._looked: dict[str, float] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        await every(_TURN_SECONDS, partial(self._calmly, stopping), stopping)

    async def _calmly(self, stopping: asyncio.Event) -> None:
        try:
            await self.turn(stopping)
        except (psycopg.Error, TimeoutError) as error:
            log.warning("retention skipped", error=str(error).strip())

    async def turn(self, stopping: asyncio.Event | None = None) -> Mapping[str, int]:
        """Remove what is past its window, until nothing is or the turn is over; counts by kind."""
        ends = time.monotonic() + _LONGEST_SECONDS
        removed: Counter[str] = Counter()
        steps = deque(await self._steps())
        while steps and time.monotonic() < ends and not (stopping and stopping.is_set()):
            name, step = steps.popleft()
            begun = time.monotonic()
            if done := await self._batch_of(step):
                removed[name] += done
                steps.append((name, step))  # behind the others: no tenant waits for another's years
                await asyncio.sleep(time.monotonic() - begun)
        if removed:
            log.info("removed what was past its window", **removed)
        return removed

    async def _batch_of(self, step: Step) -> int:
        self._told = []
        async with self._db.transaction() as tx:
            if not await store.elect(tx):
                return 0
            done = await step(tx)
            if done:
                self._at_point("removed")
        if done:
            self._at_point("kept")
        if self._told and self._announcer is not None:
            await self._announcer.announce(self._told)
        return done

    async def _steps(self) -> list[tuple[str, Step]]:
        """Name what there is to remove, and how a batch of it is removed."""
        settings, default = self._settings, Windows.of(self._settings)
        steps: list[tuple[str, Step]] = [
            ("profiles ended", self._end_profiles),
            ("profiles stale", self._renew_profiles),
        ]
        async with self._db.autocommit() as tx:
            for tenant, own in (await windows(tx)).items():
                kept = own.beside(default)
                if kept.message_days:
                    before = await store.cutoff(tx, kept.message_days)
                    steps.append(("messages", self._messages_step(tenant, before)))
                if kept.superseded_days and self._looks_again(tenant):
                    before = await store.cutoff(tx, kept.superseded_days)
                    steps.append(("facts", self._facts_step(tenant, before)))
        kinds = {
            "keys": (store.remove_keys, settings.idempotency_key_days),
            "events": (store.remove_events, settings.event_days),
            "failures": (store.remove_failures, settings.failure_days),
        }
        for name, (remove, days) in kinds.items():
            if days:
                steps.append((name, partial(_remove, remove, days, self._batch)))
        return steps

    async def _end_profiles(self, tx: Transaction) -> int:
        """Have profiles written anew whose facts have ended by themselves."""
        return await self._ask_for(tx, await store.end_profiles(tx, _PROFILES))

    async def _renew_profiles(self, tx: Transaction) -> int:
        """Have profiles written anew that lost a source, once the user's affairs have calmed."""
        seconds = self._settings.profile_stale_seconds
        return await self._ask_for(tx, await store.stale_profiles(tx, seconds, _PROFILES))

    async def _ask_for(self, tx: Transaction, profiles: Sequence[Row]) -> int:
        for row in profiles:
            _, bells = await request_job(tx, row["tenant_id"], row["user_id"], "consolidate")
            self._told += bells
        return len(profiles)

    def _looks_again(self, tenant: str) -> bool:
        looked = self._looked.get(tenant)
        return looked is None or time.monotonic() - looked >= _LOOK_AGAIN_SECONDS

    def _messages_step(self, tenant: str, before: datetime) -> Step:
        after = store.BEGINNING

        async def step(tx: Transaction) -> int:
            nonlocal after
            gone = await store.remove_messages(tx, tenant, after, before, self._batch)
            after = max((row["recorded_at"] for row in gone), default=after)
            return len(gone)

        return step

    def _facts_step(self, tenant: str, before: datetime) -> Step:
        """Looks at all that is superseded, over as many turns as it takes; then rests for a while.

        What something else still needs stays, and would be folded again every minute.
        """

        async def step(tx: Transaction) -> int:
            place = self._places.get(tenant, Place())
            looked, place, told = await remove_superseded(tx, tenant, place, before, _FACTS)
            self._places[tenant] = place
            if not looked:
                self._places.pop(tenant)
                self._looked[tenant] = time.monotonic()
            self._told += told
            return looked

        return step


async def _remove(
    remove: Callable[[Transaction, int, int], Awaitable[int]],
    days: int,
    limit: int,
    tx: Transaction,
) -> int:
    return await remove(tx, days, limit)
