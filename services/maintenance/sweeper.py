"""The sweeper: rings again the bells that were lost, and only those.

It takes PostgreSQL's time first, then looks at each stream's oldest bell, then selects rows. A row
is lost if it is open and was announced before that bell, or the stream is empty and it was
announced more than a few seconds ago. Bells are compared by their `at`, never by entry id: with
Redis' clock a minute ahead, ids caused 6,714 false announcements in 2,500 messages, `at` none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from services.maintenance import store
from services.maintenance.jobs import decay, load_jobs
from services.maintenance.scheduler import Scheduler
from services.maintenance.store import Sweep
from services.maintenance.watch.work import Watch
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Transaction
from shared.erasure.store import being_erased, hold_off
from shared.erasure.work import Eraser
from shared.events import Announcement
from shared.metrics.sweeping import RUNG_AGAIN, SWEEP_SECONDS, SWEEPS
from shared.process import every
from shared.settings import Settings
from shared.tenant_slots import store as tenant_slots
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, SETTLED, STAGES
from shared.tracing import spans
from shared.tracing.store import contexts_told

log = structlog.get_logger()

_STATES = {"extracted": EXTRACTED, "embedded": EMBEDDED, "compared": COMPARED}
_LOOK_AHEAD = 1_000  # entries without `at` (messages from outside) before the oldest bell
_HOUSEKEEPING_SECONDS = 60.0
_GONE_AFTER_MS = 600_000
_REFOLDED_USERS = 200  # looked at in one turn, after a change of slots


class UnknownOldestBellError(Exception):
    """The stream is too full of messages to see its oldest bell: nothing can be called lost."""


class Sweeper:
    """Any number may run; whoever gets the lock does this sweep."""

    def __init__(
        self,
        db: OperatorDatabase,
        redis: Redis,
        settings: Settings,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._redis: Any = redis  # redis-py types every answer as the union of all it could be
        self._settings = settings
        self._announcer = Announcer(redis, settings.settled_max_length)
        self._at_point = at_point
        self._eraser = Eraser(db, redis, at_point=at_point)
        self.watch = Watch(db, redis, settings)
        jobs = {**load_jobs(), "decay": decay.job(settings.faded_below)}
        self.scheduler = Scheduler(db, self._announcer, settings, jobs, at_point)

    async def run(self, stopping: asyncio.Event) -> None:
        settings = self._settings
        async with asyncio.TaskGroup() as loops:
            loops.create_task(every(settings.sweep_seconds, self._calmly(self.sweep), stopping))
            loops.create_task(
                every(settings.window_ms / 1000, self._calmly(self.refill_windows), stopping)
            )
            loops.create_task(
                every(settings.sweep_seconds, self._calmly(self.spread_refolds), stopping)
            )
            loops.create_task(every(_HOUSEKEEPING_SECONDS, self._calmly(self.keep_house), stopping))
            loops.create_task(
                every(
                    settings.sweep_seconds,
                    self._calmly(partial(self._eraser.resume, self._db)),
                    stopping,
                )
            )
            loops.create_task(every(settings.watch_seconds, self.watch.look, stopping))
            turn, forget = self._calmly(self.scheduler.turn), self._calmly(self.scheduler.forget)
            loops.create_task(every(settings.sweep_seconds, turn, stopping))
            loops.create_task(every(_HOUSEKEEPING_SECONDS, forget, stopping))

    def _calmly(self, action: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """Skip a turn while a server is away."""

        async def turn() -> None:
            try:
                await action()
            except (RedisError, psycopg.Error, TimeoutError) as error:
                log.warning("sweep skipped", error=str(error).strip())
                await asyncio.sleep(1.0)

        return turn

    # ---- lost bells

    async def sweep(self) -> int:
        """Announce what lost its bell; returns how many bells were rung."""
        with timed_sweep() as turn:
            return await self._sweep(turn)

    async def _sweep(self, turn: Turn) -> int:
        async with self._db.autocommit() as tx:
            now = await store.now_if_open(tx)
        if now is None:
            turn.outcome = "nothing_open"
            return 0
        oldest = await self._oldest_bells()  # before anything is locked: Redis may hang
        sweep = Sweep(now, self._settings.lost_after_seconds, self._settings.sweep_limit)
        async with self._db.transaction() as tx:
            if not await store.elect(tx, store.SWEEP):
                turn.outcome = "not_elected"
                return 0
            self._at_point("locked")
            announcements: list[Announcement] = []
            if MESSAGES in oldest:
                announcements += await store.lost_messages(tx, sweep, oldest[MESSAGES])
            for state, stream in _STATES.items():
                announcements += await store.lost_facts(tx, sweep, state, oldest[stream])
            for kind, stream in JOBS.items():
                announcements += await store.lost_jobs(tx, sweep, kind, oldest[stream])
            await self._resend_entries(tx, sweep)
            traces = await contexts_told(tx, announcements)
            if announcements:
                self._at_point("marked")
        turn.outcome = "swept"
        with spans.span("ring again", links=traces) if traces else nullcontext():
            await self._ring_again(announcements)
        return len(announcements)

    async def _ring_again(self, announcements: Sequence[Announcement]) -> None:
        if announcements:
            streams = Counter(stream for stream, _ in announcements)
            log.info("bells rung again", bells=len(announcements), streams=dict(streams))
            for stream, bells in streams.items():
                RUNG_AGAIN.add(bells, stream=stream)
        await self._announce(announcements)

    async def _announce(self, announcements: Sequence[Announcement]) -> None:
        if announcements:
            self._at_point("announce")
            await self._announcer.announce(announcements)
            self._at_point("announced")

    async def _oldest_bells(self) -> dict[str, datetime | None]:
        """Read each work stream's oldest bell; a stream too full of messages to see it is left out.

        Nothing can be called lost there.
        """
        oldest: dict[str, datetime | None] = {}
        for stream in (MESSAGES, *_STATES.values(), *JOBS.values()):
            with suppress(UnknownOldestBellError):
                oldest[stream] = await self._oldest_bell(stream)
        return oldest

    async def _oldest_bell(self, stream: str) -> datetime | None:
        """Read the `at` of the oldest bell still in a stream; None when it holds none."""
        start, seen = "-", 0
        while seen < _LOOK_AHEAD:
            entries = await self._redis.xrange(stream, min=start, count=100)
            if not entries:
                return None
            for entry_id, fields in entries:
                if at := _announced_at(fields):
                    return at
                start = f"({entry_id.decode()}"
            seen += len(entries)
        raise UnknownOldestBellError(stream)

    async def _resend_entries(self, tx: Transaction, sweep: Sweep) -> None:
        """Put redriven entries on their stream again; their first entry's id keeps them unique."""
        due = await store.due_entries(tx, sweep)
        if not due:
            return
        users = {(failure["tenant_id"], failure["user_id"] or "") for failure in due}
        await hold_off(tx, sorted(users))  # from here on no tombstone comes between
        erased = await being_erased(tx, sorted(users))
        for failure in due:
            if (failure["tenant_id"], failure["user_id"]) in erased:
                continue
            stream, _, _ = failure["subject_id"].rsplit(":", 2)
            fields = dict(failure["payload"])
            if stream == MESSAGES and "at" not in fields:
                fields.setdefault("message_id", failure["subject_id"])
            await self._redis.xadd(stream, fields)
        await store.forget_entries(tx, [failure["id"] for failure in due])

    # ---- fairness

    async def refill_windows(self) -> int:
        """Announce messages that waited for their tenant's window."""
        async with self._db.autocommit() as tx:
            if not await store.anybody_waits(tx):
                return 0
        async with self._db.transaction() as tx:
            if not await store.elect(tx, store.WINDOWS):
                return 0
            self._at_point("locked")
            announcements = await store.refill_windows(tx, self._settings.window)
            if announcements:
                self._at_point("marked")
        await self._announce(announcements)
        return len(announcements)

    # ---- changed slots

    async def spread_refolds(self) -> int:
        """Have the next users' beliefs follow a change of their tenant's slots."""
        async with self._db.autocommit() as tx:
            if not await tenant_slots.anything_to_refold(tx):
                return 0
            announcements = await tenant_slots.spread_refolds(tx, _REFOLDED_USERS)
        await self._announce(announcements)
        return len(announcements)

    # ---- housekeeping

    async def keep_house(self) -> None:
        """Trim the public stream by age, and remove consumers that are gone and hold nothing."""
        async with self._db.autocommit() as tx:
            now = await tx.value("SELECT clock_timestamp() AS now")
        oldest = now - timedelta(hours=self._settings.settled_max_age_hours)
        await self._redis.xtrim(SETTLED, minid=int(oldest.timestamp() * 1000))
        for group, streams in STAGES.items():
            for stream in streams:
                await self._remove_gone_consumers(stream, group)

    async def _remove_gone_consumers(self, stream: str, group: str) -> None:
        try:
            consumers = await self._redis.xinfo_consumers(stream, group)
        except ResponseError:  # no such stream or group yet
            return
        for consumer in consumers:
            if consumer["pending"] == 0 and consumer["idle"] > _GONE_AFTER_MS:
                await self._redis.xgroup_delconsumer(stream, group, consumer["name"])


class Turn:
    """What became of one turn of the sweep."""

    outcome = "failed"


@contextmanager
def timed_sweep() -> Iterator[Turn]:
    """Time a turn and count it by what became of it."""
    turn = Turn()
    try:
        with SWEEP_SECONDS.timing():
            yield turn
    finally:
        SWEEPS.add(outcome=turn.outcome)


def _announced_at(fields: dict[bytes, bytes]) -> datetime | None:
    """Read a bell's `at`; a message from outside has none, or nothing to be believed."""
    if b"at" not in fields or b"content" in fields:
        return None
    try:
        at = datetime.fromisoformat(fields[b"at"].decode())
    except ValueError:
        return None
    return at if at.tzinfo else None
