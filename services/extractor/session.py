"""One session's extraction: reserve it, take what waits, ask once, commit, look again.

The reservation is the fence: whatever dies, wakes late or is delivered twice, a message's facts are
committed once, from the first answer that was saved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog

from services.extractor import store
from services.extractor.extractors import Extractor
from services.extractor.facts import SourceMessage, Validated, validate
from services.extractor.store import Reservation
from services.extractor.turns import ChatTurn, KnownFact
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.delivery import ALONE_AFTER, DEAD_AFTER
from shared.errors import ConfigurationError, CrashLoopError, RetryableError
from shared.events import Announcement, SessionBell
from shared.failures.store import RetryPolicy
from shared.isolation import is_conflict, is_outage

log = structlog.get_logger()

_BYTES_PER_TOKEN = 4
_LINGER_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """How the extractor takes its time; seconds, except the budget, which is tokens a call."""

    lease_seconds: float
    quiet_seconds: float
    linger_seconds: float
    pause_seconds: float
    budget_tokens: int


class SessionWork:
    """Extracts sessions for one worker; `durable` keeps paid answers and failures."""

    def __init__(
        self,
        *,
        db: Database,
        durable: Database,
        extractor: Extractor,
        pace: Pace,
        policy: RetryPolicy,
        worker: str,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._durable = durable
        self._extractor = extractor
        self._pace = pace
        self._policy = policy
        self._worker = worker
        self._at_point = at_point
        self._paused_until = 0.0

    async def extract(self, bell: SessionBell) -> list[Announcement]:
        """Work until nothing waits in the session, or another worker holds it."""
        announcements: list[Announcement] = []
        while True:
            held = await store.reserve(self._db, bell, self._worker, self._pace.lease_seconds)
            if held is None:
                return announcements
            async with self._renewing(held):
                announcements += await self._extract_held(held)

    async def _extract_held(self, held: Reservation) -> list[Announcement]:
        if time.monotonic() < self._paused_until:
            await store.postpone(self._db, held, self._paused_until - time.monotonic())
            return []
        await self._let_it_fall_quiet(held)
        self._at_point("claim")
        budget = self._pace.budget_tokens * _BYTES_PER_TOKEN
        messages = await store.claim(self._db, held, budget)
        messages = await self._suspect_crash_loop(held, messages)
        while messages:
            try:
                return await self._think_and_commit(held, messages)
            except Exception as error:
                if is_outage(error) or is_conflict(error):
                    raise
                messages = await self._after_failure(held, messages, error)
        return []

    async def _think_and_commit(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> list[Announcement]:
        self._at_point("think")
        validated = await self._think(held, messages)
        if validated is None:
            return []
        self._at_point("commit")
        provenance = self._extractor.provenance
        return await store.commit(self._db, held, messages, validated, provenance)

    async def _after_failure(
        self, held: Reservation, messages: list[SourceMessage], error: Exception
    ) -> list[SourceMessage]:
        """Decide what to go on with: the first half, to find what poisons the call, or nothing."""
        if isinstance(error, ConfigurationError):
            log.error("extraction paused: an operator must act", error=str(error))
            self._paused_until = time.monotonic() + self._pace.pause_seconds
            await store.postpone(self._db, held, self._pace.pause_seconds)
            return []
        if len(messages) == 1 or isinstance(error, RetryableError):
            await self._fail(held, messages, error)
            return []
        half = messages[: len(messages) // 2]
        await store.keep_first(self._db, held, len(half))
        return half

    async def _suspect_crash_loop(
        self, held: Reservation, messages: list[SourceMessage]
    ) -> list[SourceMessage]:
        """After three workers died over a reservation, go on with its first message alone."""
        if not messages or held.attempts <= ALONE_AFTER:
            return messages
        if len(messages) == 1 and held.attempts > DEAD_AFTER:
            error = CrashLoopError(f"its worker died {held.attempts - 1} times")
            await self._fail(held, messages, error)
            return []
        await store.keep_first(self._db, held, 1)
        return messages[:1]

    async def _think(
        self, held: Reservation, messages: Sequence[SourceMessage]
    ) -> Validated | None:
        """Find the facts in the user's own messages; None when the reservation was lost."""
        spoken = [message for message in messages if message.role == "user"]
        if not spoken:
            return Validated([], {})
        before, known, generation = await store.context_of(self._db, held, messages[0])
        around = [_turn(message) for message in messages if message.role != "user"]
        raw_facts = await self._ask(held, [_turn(m) for m in spoken], [*before, *around], known)
        if raw_facts is None:
            return None
        return validate(raw_facts, spoken, generation=generation, extraction_id=held.id)

    async def _ask(
        self,
        held: Reservation,
        turns: Sequence[ChatTurn],
        context: Sequence[ChatTurn],
        known: Sequence[KnownFact],
    ) -> object | None:
        if not self._extractor.paid:
            return (await self._extractor.extract(turns, context, known)).facts
        saved = await store.saved_answer(self._db, held)
        if saved is None:
            extraction = await self._extractor.extract(turns, context, known)
            self._at_point("save answer")
            model = self._extractor.provenance.model
            saved = await store.save_answer(
                self._durable, held, {"facts": extraction.facts}, model, extraction.tokens
            )
        return None if saved is None else saved.get("facts")

    # ---- time

    async def _let_it_fall_quiet(self, held: Reservation) -> None:
        """Wait while the session's messages are still arriving, within bounds."""
        quiet = self._pace.quiet_seconds
        if self._extractor.paid:
            quiet = max(quiet, self._pace.linger_seconds)
        if quiet <= 0 or held.attempts > 1:
            return
        deadline = time.monotonic() + quiet * _LINGER_ROUNDS
        while (now := time.monotonic()) < deadline:
            age = await store.seconds_since_newest(self._db, held)
            if age is None or age >= quiet:
                return
            await asyncio.sleep(min(quiet - age, deadline - now))

    @asynccontextmanager
    async def _renewing(self, held: Reservation) -> AsyncIterator[None]:
        """Renew the lease while the block runs: a living call is never doubled."""
        renewal = asyncio.create_task(self._renew(held))
        try:
            yield
        finally:
            renewal.cancel()

    async def _renew(self, held: Reservation) -> None:
        while True:
            await asyncio.sleep(self._pace.lease_seconds / 3)
            try:
                if not await store.renew(self._db, held, self._pace.lease_seconds):
                    return
            except psycopg.Error as error:
                log.warning("lease not renewed", error=str(error).strip())

    # ---- failures

    async def _fail(
        self, held: Reservation, messages: Sequence[SourceMessage], error: Exception
    ) -> None:
        log.warning("extraction failed", error=str(error), messages=len(messages))
        provenance = self._extractor.provenance
        await store.fail(self._durable, held, messages, error, self._policy, provenance)


def _turn(message: SourceMessage) -> ChatTurn:
    return ChatTurn(str(message.id), message.role, message.said_at, message.content)
