"""One session's extraction: reserve it, take what waits, ask once, commit, ring for what came.

The reservation is the fence: whatever dies, wakes late or is delivered twice, a message's facts are
committed once, from the first answer that came to be committed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from services.extractor import store
from services.extractor.asking import ask
from services.extractor.conversation import conversation
from services.extractor.extractors import Extractor
from services.extractor.facts import SourceMessage, Validated, validate
from services.extractor.store import Finished, Reservation
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.delivery import ALONE_AFTER, DEAD_AFTER
from shared.errors import (
    ConfigurationError,
    CrashLoopError,
    NotNowError,
    RetryableError,
)
from shared.events import Announcement, SessionBell
from shared.failures.store import RetryPolicy, RowRef
from shared.fairness import FairSlots
from shared.ids import trace_id
from shared.isolation import is_conflict, is_outage
from shared.metrics.catalogue import STAGE_PAUSES
from shared.tenant_slots.recent import RecentCatalogues
from shared.together import Together
from shared.topology import MESSAGES
from shared.tracing.spans import spans
from shared.tracing.store import contexts_of

log = structlog.get_logger()

_BYTES_PER_TOKEN = 4
_LINGER_ROUNDS = 5
_OUTAGE_PAUSE_SECONDS = 0.5
_SESSIONS_AT_ONCE = 256  # reserved; with a model most of them linger or wait for a call
_COMMIT_PAUSE_SECONDS = 0.02  # answers of a busy model come one by one; commits need not


@dataclass(frozen=True, slots=True)
class Pace:
    """How the extractor takes its time; seconds, except the budget, which is tokens a call."""

    lease_seconds: float
    quiet_seconds: float
    linger_seconds: float
    pause_seconds: float
    budget_tokens: int


class SessionWork:
    """Extracts sessions for one worker.

    Each session is worked on by itself; what they ask of the database at the same time is asked
    together, in one statement. Where more wait than can be worked on, or than may call, tenants
    take turns.
    """

    def __init__(
        self,
        *,
        db: Database,
        durable: Database,
        extractor: Extractor,
        pace: Pace,
        policy: RetryPolicy,
        worker: str,
        calls: int = 8,
        guards: bool = True,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._durable = durable  # paid answers and failures
        self._extractor = extractor
        self._pace = pace
        self._policy = policy
        self._worker = worker
        self._sessions = FairSlots(_SESSIONS_AT_ONCE)
        self._calls = FairSlots(calls)
        self._guards = guards
        self._at_point = at_point
        self._catalogues = RecentCatalogues(db)
        self._held: dict[UUID, Reservation] = {}
        self._waiting: set[asyncio.Task[Any]] = set()
        self._hurried = False
        self._reserve = Together(self._reserve_many)
        self._newest = Together(partial(store.seconds_since_newest, db))
        self._claim = Together(self._claim_many)
        self._postpone = Together(partial(store.postpone_sessions, db))
        self._surroundings = Together(partial(store.surroundings, db))
        self._commit = Together(self._commit_many, pause_seconds=_COMMIT_PAUSE_SECONDS)

    async def extract(self, bell: SessionBell) -> list[Announcement]:
        """Work on what waits in the session now, unless another worker holds it or nobody may ask.

        Returns what to announce: the facts, and a bell where more has come meanwhile.
        """
        if self._hurried:
            return [(MESSAGES, bell)]  # somebody else may look
        with self._interruptible():
            async with self._sessions.turn(bell.tenant):
                return await self._extract_once(bell)

    async def _extract_once(self, bell: SessionBell) -> list[Announcement]:
        if wait := self._extractor.wait_seconds(bell.tenant):
            await self._postpone((bell, _spread(wait)))
            return []
        self._at_point("reserve")
        held = await self._reserve(bell)
        if held is None:
            return []
        try:
            found = await self._extract_held(held, bell)
        except Exception:
            self._held.pop(held.id, None)
            raise
        self._held.pop(held.id, None)  # a cancelled one stays, to be released
        return found

    # ---- holding, and letting go

    async def keep_leases(self) -> None:
        """Renew what is held: a living call is never doubled. Called every third of a lease."""
        if not self._held:
            return
        asked = list(self._held.values())  # more may be reserved while this waits
        ours = await store.renew(self._db, asked, self._pace.lease_seconds)
        for reservation in asked:
            if reservation.id not in ours:
                self._held.pop(reservation.id, None)

    def hurry(self) -> None:
        """Begin no further call; who lingers, or waits for a turn, lets go at once."""
        self._hurried = True
        for task in self._waiting:
            task.cancel()

    async def release(self) -> None:
        """Give back what was not finished when the process had to stop: no attempt is counted.

        Whoever hears the bell next asks again, at once. Should our answer yet come to be committed
        first, it counts, and theirs does not.
        """
        held = list(self._held.values())
        self._held.clear()
        if held:
            await store.release(self._db, held)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let `hurry` cancel what follows, until it is asking a model."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    def _no_longer_interruptible(self) -> None:
        self._waiting.discard(cast("asyncio.Task[Any]", asyncio.current_task()))

    async def _extract_held(self, held: Reservation, bell: SessionBell) -> list[Announcement]:
        await self._let_it_fall_quiet(held)
        self._at_point("claim")
        messages = await self._claim(held)
        if not messages:
            return [(MESSAGES, bell)]  # what came meanwhile was told that somebody is at it
        if held.attempts > ALONE_AFTER:
            return await self._extract_suspect(held, messages)
        return await self._extract_messages(held, messages)

    async def _extract_suspect(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> list[Announcement]:
        """After three workers died over a reservation, go on with its first message alone."""
        if len(messages) == 1 and held.attempts > DEAD_AFTER:
            error = CrashLoopError(f"its worker died {held.attempts - 1} times")
            return await self._fail(held, messages, error)
        return await self._extract_messages(held, await self._only_first(held, messages, 1))

    async def _extract_messages(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> list[Announcement]:
        """Extract messages; half of them where a call fails, to find what poisons it."""
        with bound_contextvars(trace=trace_id(messages[0].id), attempt=held.attempts):
            while True:
                try:
                    return await self._observed(held, messages)
                except Exception as error:
                    if is_outage(error) or is_conflict(error):
                        raise
                    if (wait := self._wait_after(error)) is not None:
                        _tell_pause(error)
                        return await store.postpone(self._db, held, _spread(wait))
                    if len(messages) == 1 or isinstance(error, RetryableError):
                        return await self._fail(held, messages, error)
                    messages = await self._only_first(held, messages, len(messages) // 2)

    async def _observed(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> list[Announcement]:
        """Extract in the traces that the messages came with."""
        refs = [RowRef(held.tenant, held.user, message.id) for message in messages]
        parents = await contexts_of(self._db, "chat_logs", refs)
        attributes = {"messages": len(refs), "attempt": held.attempts}
        with spans(store.STAGE, parents, attributes):
            return await self._think_and_commit(held, messages)

    async def _think_and_commit(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> list[Announcement]:
        self._at_point("think")
        finished = await self._think(held, messages)
        self._no_longer_interruptible()
        self._at_point("commit")
        while True:
            try:
                return await self._commit(finished)
            except Exception as error:
                if not (finished.answer and (is_outage(error) or is_conflict(error))):
                    raise
                log.warning("a paid answer waits for PostgreSQL", error=str(error).strip())
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)

    async def _think(self, held: Reservation, messages: Sequence[SourceMessage]) -> Finished:
        """Find the facts in the user's own messages; the others' are context."""
        if not any(message.role == "user" for message in messages):
            return Finished(held, messages, Validated([], {}))
        around = await self._surroundings((held, messages[0].said_at))
        talk = conversation(messages, around.before, guards=self._guards)
        if not talk.spoken:
            return Finished(held, messages, Validated([], {}))
        async with self._calls.turn(held.tenant):
            self._no_longer_interruptible()
            found = await ask(self._extractor, talk, around.known, payer=held.tenant)
        validated = validate(
            found.facts,
            talk.messages,
            generation=around.generation,
            extraction_id=held.id,
            context=talk.context,
            catalogue=await self._catalogues.of(held.tenant),
            guards=self._guards,
        ).having_lost(found.dropped)
        answer = {"facts": found.facts} if self._extractor.paid else None
        return Finished(held, messages, validated, answer, found.tokens)

    # ---- what sessions ask together

    async def _reserve_many(self, bells: Sequence[SessionBell]) -> Sequence[Reservation | None]:
        found = await store.reserve(self._db, bells, self._worker, self._pace.lease_seconds)
        self._held |= {held.id: held for held in found if held is not None}
        return found

    async def _claim_many(self, held: Sequence[Reservation]) -> Sequence[list[SourceMessage]]:
        return await store.claim(self._db, held, self._pace.budget_tokens * _BYTES_PER_TOKEN)

    async def _commit_many(self, finished: Sequence[Finished]) -> Sequence[list[Announcement]]:
        """Commit durably what was paid for; what rules found costs nothing to find again."""
        db = self._durable if self._extractor.paid else self._db
        return await store.commit(db, finished, self._extractor.provenance, self._at_point)

    # ---- time

    async def _let_it_fall_quiet(self, held: Reservation) -> None:
        """Wait while the session's messages are still arriving, within bounds."""
        quiet = self._pace.quiet_seconds
        if self._extractor.paid:
            quiet = max(quiet, self._pace.linger_seconds)
        if held.taken_over or held.quiet_seconds >= quiet:
            return
        await asyncio.sleep(quiet - held.quiet_seconds)
        deadline = time.monotonic() + quiet * (_LINGER_ROUNDS - 1)
        while (now := time.monotonic()) < deadline:
            age = await self._newest(held)
            if age is None or age >= quiet:
                return
            await asyncio.sleep(min(quiet - age, deadline - now))

    # ---- failures

    def _wait_after(self, error: Exception) -> float | None:
        """How long to wait where no message is to blame; None where one may be."""
        if isinstance(error, NotNowError):
            return error.wait_seconds
        return self._pace.pause_seconds if isinstance(error, ConfigurationError) else None

    async def _only_first(
        self, held: Reservation, messages: Sequence[SourceMessage], keep: int
    ) -> Sequence[SourceMessage]:
        """Give back all but the first; who closes the reservation rings for them."""
        await store.keep_first(self._db, held, keep)
        return messages[:keep]

    async def _fail(
        self, held: Reservation, messages: Sequence[SourceMessage], error: Exception
    ) -> list[Announcement]:
        log.warning("extraction failed", error=str(error), messages=len(messages))
        failed = Finished(held, messages, Validated([], {}))
        provenance = self._extractor.provenance
        return await store.fail(self._durable, failed, error, self._policy, provenance)


def _tell_pause(error: Exception) -> None:
    """Tell of a session that waits; of one that waits for an operator, loudly."""
    misconfigured = isinstance(error, ConfigurationError)
    if misconfigured:
        log.error("stage paused: an operator must act", error=str(error))
    STAGE_PAUSES.add(stage=store.STAGE, reason="configuration" if misconfigured else "not_now")


def _spread(seconds: float) -> float:
    """A little longer, so that sessions that wait for the same do not come back all at once."""
    return seconds * random.uniform(1.0, 1.25)
