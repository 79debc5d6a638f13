"""What every stage does with stream entries: hold, work, announce, acknowledge, claim.

What was read waits in hand for its tenant's turn, so that a tenant who brings much stands behind
himself. Entries in hand are *held*: their idle time is refreshed, so that claims take only from the
dead. A dead worker's entries are claimed; after three attempts that began, one is worked on alone,
after five it is refused. Nothing here knows what a fact is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.broker import Announcer, RawEntry
from shared.crash import AtPoint, ignore_point
from shared.entries import Entry as Entry  # noqa: PLC0414  stages take it from here
from shared.errors import ConfigurationError, CrashLoopError, NotNowError
from shared.events import Announcement
from shared.fairness import Turns
from shared.isolation import is_conflict, is_outage
from shared.metrics.catalogue import BATCH_ENTRIES, ENTRIES, STAGE_PAUSES
from shared.observability import Worked, working
from shared.together import Together

log = structlog.get_logger()

ALONE_AFTER = 3  # attempts that began: a crash loop is suspected
DEAD_AFTER = 5
ENTRIES_A_TURN = 100  # that a stage takes at once, unless it knows better
_CLAIM_BATCH = 100
_LONG_ABANDONED_MS = 86_400_000
_LARGE_BATCH = 50  # entries; beyond, a pause gains nothing
_LONGEST_WAIT_SECONDS = 60.0
_CANCEL_SECONDS = 1.0
_MOST_BYTES = 32 * 1024 * 1024
"""Of entries in hand; then nothing more is read until some of it is done."""
_MOST_WAITING = 400
"""Entries in hand that have not begun: enough to take turns among, few enough that another worker,
started meanwhile, finds something to do, and that a crash makes suspects of few."""
_OUTAGE_BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Stage(Protocol):
    """What a stage brings; everything else about delivery is here."""

    @property
    def name(self) -> str: ...

    @property
    def streams(self) -> tuple[str, ...]: ...

    @property
    def concurrency(self) -> int: ...

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        """Take what is worked on next, by turns, parted into what goes side by side."""

    async def work(self, entries: Sequence[Entry]) -> Sequence[Announcement]:
        """Think, commit, and return what to announce. Fenced: a second delivery writes nothing.

        Raises only when a server is away, on ConfigurationError and on NotNowError; what is wrong
        with an item is recorded by the stage itself.
        """

    async def refuse(self, entry: Entry, error: Exception) -> None:
        """Record durably that this entry cannot be worked on."""

    async def heartbeat(self) -> None:
        """Keep alive what the stage itself holds; called every third of a claim's idle time."""

    def hurry(self) -> None:
        """The process stops: finish what is under way, cancel what would take long to begin."""

    async def release(self) -> None:
        """Give up what the stage itself holds; called at the very end."""


class Delivery:
    """One consumer of a stage's group."""

    def __init__(
        self,
        redis: Redis,
        stage: Stage,
        *,
        consumer: str,
        claim_idle_ms: int = 6_000,
        configuration_pause_seconds: float = 15.0,
        batch_pause_seconds: float = 0.0,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._redis: Any = redis  # redis-py types every answer as the union of all it could be
        self._stage = stage
        self._announce = Together(self._announce_many)
        self._acknowledge = Together(self._acknowledge_many)
        self._announcer = Announcer(redis)
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms
        self._pause_seconds = configuration_pause_seconds
        self._batch_pause_seconds = batch_pause_seconds
        self._at_point = at_point
        self._slots = asyncio.Semaphore(stage.concurrency)
        self._waiting: Turns[Entry] = Turns()
        self._beginning: asyncio.Task[None] | None = None
        self._held: dict[str, set[str]] = {stream: set() for stream in stage.streams}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._room = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    # ---- working on entries

    async def deliver(self, stream: str, entries: Sequence[RawEntry]) -> None:
        """Take a batch in hand; returns when there is room for another, so reading keeps pace.

        After a small batch it returns a little later: more will have come to be read together.
        """
        batch = [Entry(stream, entry_id, fields) for entry_id, fields in entries]
        BATCH_ENTRIES.observe(len(batch), stage=self._stage.name)
        await self._take_in_hand(batch, "read")
        if len(entries) < _LARGE_BATCH and self._batch_pause_seconds:
            await self._pause(self._batch_pause_seconds)

    async def _take_in_hand(self, batch: Sequence[Entry], delivery: str) -> None:
        """Let entries wait for their turn; returns when there is room for more."""
        ENTRIES.add(len(batch), stage=self._stage.name, delivery=delivery)
        for entry in batch:
            self._held[entry.stream].add(entry.id)
            self._waiting.add(entry.raw.get(b"tenant"), entry)
            self._bytes += entry.size
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin_by_turns())
        await asyncio.sleep(0)  # what may begin at once does
        while self._too_much_in_hand() and not self.stopping:
            self._room.clear()
            await self._room.wait()

    def _too_much_in_hand(self) -> bool:
        return self._bytes > _MOST_BYTES or len(self._waiting) > _MOST_WAITING

    async def _begin_by_turns(self) -> None:
        """Begin what waits as slots become free; who comes meanwhile has his turn."""
        try:
            while self._waiting:
                await self._slots.acquire()
                first, *others = self._stage.next_groups(self._waiting)
                self._begin(first)
                for group in others:
                    await self._slots.acquire()
                    self._begin(group)
                self._room.set()
        finally:
            self._beginning = None

    def _begin(self, group: Sequence[Entry]) -> None:
        task = asyncio.create_task(self._deliver_group(group))
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, sum(entry.size for entry in group)))

    def _finished(self, size: int, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._bytes -= size
        self._room.set()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("entries left pending", error=repr(error))

    async def _deliver_group(self, entries: Sequence[Entry]) -> None:
        with self._holding(entries), working(self._stage.name, entries) as worked:
            self._at_point("read")
            announcements = await self._work(entries, worked)
            if announcements is None:
                return
            self._at_point("announce")
            await self._announce(announcements)
            self._at_point("acknowledge")
            await self._acknowledge(entries)
            worked.ended()
            self._at_point("acknowledged")

    async def _work(
        self, entries: Sequence[Entry], worked: Worked
    ) -> Sequence[Announcement] | None:
        """Work until it is done, through outages; None when the process stops first."""
        failures = 0
        while not self._stopping.is_set():
            try:
                return await self._stage.work(entries)
            except ConfigurationError as error:
                log.error("stage paused: an operator must act", error=str(error))
                STAGE_PAUSES.add(stage=self._stage.name, reason="configuration")
                await self._pause(self._pause_seconds)
            except NotNowError as error:  # nothing more is read meanwhile: the backlog stays
                STAGE_PAUSES.add(stage=self._stage.name, reason="not_now")
                await self._pause(min(error.wait_seconds, _LONGEST_WAIT_SECONDS))
            except Exception as error:
                if not (is_outage(error) or is_conflict(error)):
                    log.exception("entries refused", entries=len(entries))
                    await self._refuse_all(entries, error)
                    worked.refused()
                    return []
                log.warning("waiting for a server", error=str(error).strip())
                STAGE_PAUSES.add(stage=self._stage.name, reason="outage")
                last = len(_OUTAGE_BACKOFF_SECONDS) - 1
                await self._pause(_OUTAGE_BACKOFF_SECONDS[min(failures, last)])
                failures += 1
        return None

    async def _refuse_all(self, entries: Sequence[Entry], error: Exception) -> None:
        for entry in entries:
            await self._stage.refuse(entry, error)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _announce_many(
        self, announcements: Sequence[Sequence[Announcement]]
    ) -> Sequence[None]:
        """Ring for several groups in one pipeline."""
        await self._announcer.announce([one for group in announcements for one in group])
        return [None] * len(announcements)

    async def _acknowledge_many(self, groups: Sequence[Sequence[Entry]]) -> Sequence[None]:
        """Acknowledge and delete in one MULTI, so that a stream's length is its backlog."""
        by_stream: dict[str, list[str]] = {}
        for group in groups:
            for entry in group:
                by_stream.setdefault(entry.stream, []).append(entry.id)
        pipeline = self._redis.pipeline(transaction=True)
        for stream, ids in by_stream.items():
            pipeline.xack(stream, self._stage.name, *ids)
            pipeline.xdel(stream, *ids)
        try:
            await pipeline.execute()
        except RedisError as error:  # they come again, and change nothing
            log.warning("entries not acknowledged", error=str(error))
        return [None] * len(groups)

    # ---- holding

    @contextmanager
    def _holding(self, entries: Sequence[Entry]) -> Iterator[None]:
        held = [(entry.stream, entry.id) for entry in entries]
        for stream, entry_id in held:
            self._held[stream].add(entry_id)
        try:
            yield
        finally:
            for stream, entry_id in held:
                self._held[stream].discard(entry_id)

    async def refresh_held(self) -> None:
        """Refresh the idle time of what is held and still ours, without counting an attempt."""
        for stream, held in self._held.items():
            if not held:
                continue
            ours = await self._redis.xpending_range(
                stream, self._stage.name, "-", "+", len(held) + _CLAIM_BATCH, self._consumer
            )
            ids = [entry["message_id"] for entry in ours if entry["message_id"].decode() in held]
            if ids:
                await self._redis.xclaim(
                    stream, self._stage.name, self._consumer, 0, ids, justid=True
                )

    # ---- claiming from the dead

    async def claim_abandoned(self) -> int:
        """Take over entries whose holder stopped refreshing them; returns how many."""
        claimed = 0
        if self.stopping:
            return claimed
        for stream in self._stage.streams:
            more = True
            while more and not self.stopping:
                found, more = await self._claim_some(stream)
                claimed += found
        return claimed

    async def _claim_some(self, stream: str) -> tuple[int, bool]:
        """Claim of the oldest that are abandoned; how many, and whether there may be more."""
        pending = await self._redis.xpending_range(
            stream, self._stage.name, "-", "+", _CLAIM_BATCH, idle=self._claim_idle_ms
        )
        mine = self._held[stream]
        abandoned = [p for p in pending if p["message_id"].decode() not in mine]
        together = {
            p["message_id"]: p["times_delivered"] + 1
            for p in abandoned
            if p["times_delivered"] < ALONE_AFTER
        }
        claimed = await self._claim(stream, together) if together else 0
        for entry in abandoned:
            if entry["times_delivered"] >= ALONE_AFTER:
                claimed += await self._claim_alone(stream, entry)
        return claimed, claimed > 0 and len(pending) == _CLAIM_BATCH

    async def _claim(self, stream: str, attempts: Mapping[bytes, int]) -> int:
        entries = await self._redis.xclaim(
            stream, self._stage.name, self._consumer, self._claim_idle_ms, list(attempts)
        )
        if entries:
            log.info("claimed from a dead worker", stream=stream, entries=len(entries))
            batch = [Entry(stream, row.decode(), raw, attempts[row]) for row, raw in entries]
            await self._take_in_hand(batch, "claimed")
        return len(entries)

    async def _claim_alone(self, stream: str, pending: dict[str, Any]) -> int:
        """Work on a suspect while nothing else is under way, or refuse it after enough tries."""
        async with self._nothing_else():
            ids = [pending["message_id"]]
            entries = await self._redis.xclaim(
                stream, self._stage.name, self._consumer, self._claim_idle_ms, ids
            )
            for entry_id, raw in entries:
                attempt = pending["times_delivered"] + 1
                await self._try_alone(Entry(stream, entry_id.decode(), raw, attempt), pending)
        return len(entries)

    async def _try_alone(self, entry: Entry, pending: dict[str, Any]) -> None:
        if pending["times_delivered"] < DEAD_AFTER:
            ENTRIES.add(stage=self._stage.name, delivery="alone")
            task = asyncio.create_task(self._deliver_group([entry]))
            await asyncio.wait({task})
            if not task.cancelled() and (failure := task.exception()) is not None:
                log.error("entry left pending", error=repr(failure))
        else:
            error = CrashLoopError(f"its worker died {pending['times_delivered']} times")
            await self._stage.refuse(entry, error)
            await self._acknowledge([entry])

    @asynccontextmanager
    async def _nothing_else(self) -> AsyncIterator[None]:
        """Wait until nothing is under way, and let nothing begin."""
        for _ in range(self._stage.concurrency):
            await self._slots.acquire()
        try:
            yield
        finally:
            for _ in range(self._stage.concurrency):
                self._slots.release()

    # ---- stopping

    async def drain(self, grace_seconds: float) -> None:
        """Let what is in flight finish; what has not begun stays for others."""
        self._stopping.set()
        self._room.set()
        if self._beginning is not None:
            self._beginning.cancel()
        self._stage.hurry()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_seconds)
        if unfinished := set(self._tasks):
            for task in unfinished:
                task.cancel()
            await asyncio.wait(unfinished, timeout=_CANCEL_SECONDS)

    async def give_back(self) -> int:
        """Offer what is still pending under this consumer to whoever claims next; how many.

        It is made to look abandoned, without counting an attempt: nobody waits until it really is.
        """
        given = 0
        for stream in self._stage.streams:
            start = "-"
            while pending := await self._redis.xpending_range(
                stream, self._stage.name, start, "+", _CLAIM_BATCH, self._consumer
            ):
                ids = [entry["message_id"] for entry in pending]
                await self._redis.xclaim(
                    stream, self._stage.name, self._consumer, 0, ids,
                    idle=_LONG_ABANDONED_MS, justid=True,
                )  # fmt: skip
                given += len(ids)
                start = f"({ids[-1].decode()}"
        return given
