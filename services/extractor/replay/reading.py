"""Reading messages again: stored answers first, then calls as at that time, each step once.

What a step found is stored in one transaction with the messages it accounts for, so that a paid
answer is never asked for twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from services.extractor.asking import ask
from services.extractor.conversation import Conversation, conversation
from services.extractor.extractors import Extraction, Extractor
from services.extractor.facts import Validated, validate
from services.extractor.replay import store
from services.extractor.replay.known import KnownThen
from services.extractor.replay.plan import Heard, Step, halves, plan_steps
from services.extractor.replay.store import Read, Scope
from services.extractor.store import Provenance
from shared.broker import Announcer
from shared.clock import utc_now
from shared.crash import AtPoint
from shared.db import OperatorDatabase, Transaction
from shared.errors import BudgetSpentError, PoisonError, RetryableError
from shared.events import Announcement
from shared.failures.store import RetryPolicy
from shared.ids import time_ordered_id
from shared.isolation import is_conflict, is_outage
from shared.tenant_slots.recent import RecentCatalogues

log = structlog.get_logger()

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

ExtractorAt = Callable[[datetime], Extractor]
"""Builds the extractor as of a day: relative dates count from there."""

_BYTES_PER_TOKEN = 4
_ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 30.0
_OUTAGE_PAUSE_SECONDS = 0.5
_ANNOUNCED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Means:
    """What a replay reads with: as of a day; its calls cost money or not, `prompt_bytes` each."""

    extractor_at: ExtractorAt
    prompt_bytes: int
    budget_tokens: int
    calls: int = 8
    patience_seconds: float = 120.0
    guards: bool = True


@dataclass(slots=True)
class Outcome:
    """What a run did: calls made, tokens spent (input, output), and what nobody could read.

    `dead` facts were given up by a stage.
    """

    generation: int
    previous: int
    calls: int = 0
    reused_answers: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    unread: list[UUID] = field(default_factory=list)
    resumed: bool = False
    dead: int = 0


@dataclass(slots=True)
class Work:
    """One run over one user."""

    scope: Scope
    generation: int
    outcome: Outcome
    holder: Transaction
    progress: Progress


class Reader:
    """Reads users' messages again; calls are counted across all of them."""

    def __init__(
        self,
        *,
        db: OperatorDatabase,
        announcer: Announcer,
        means: Means,
        policy: RetryPolicy,
        at_point: AtPoint,
    ) -> None:
        self._db = db
        self._announcer = announcer
        self._means = means
        self._policy = policy
        self._at_point = at_point
        self._catalogues = RecentCatalogues(db)
        self._calls = asyncio.Semaphore(means.calls)
        now = means.extractor_at(utc_now())
        self.provenance: Provenance = now.provenance
        self.paid = now.paid

    async def plan(self, scope: Scope, heard: Sequence[Heard]) -> list[Step]:
        answers = await store.answers(self._db, scope, self.provenance) if self.paid else []
        return plan_steps(heard, answers, self._means.budget_tokens * _BYTES_PER_TOKEN)

    async def read_all(self, work: Work, heard: Sequence[Heard], known: KnownThen) -> None:
        """Read the steps side by side; after a failure nothing new is begun, what runs ends."""
        steps = await self.plan(work.scope, heard)
        by_id = {one.id: one for one in heard}
        failed = asyncio.Event()
        done = 0

        async def read(step: Step) -> None:
            nonlocal done
            async with self._calls:
                if failed.is_set():
                    return
                try:
                    await self._read(work, step, by_id, known)
                except BaseException:
                    failed.set()
                    raise
            done += 1
            work.progress("reading", done, len(steps))

        work.progress("reading", 0, len(steps))
        outcomes = await asyncio.gather(*map(read, steps), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _read(
        self, work: Work, step: Step, by_id: Mapping[UUID, Heard], known: KnownThen
    ) -> None:
        """Read a step; one that spoils its call is split, a single message keeps its facts."""
        try:
            read = await self._think(work, step, known)
        except PoisonError as error:
            if len(step.messages) > 1:
                for half in halves(step, by_id):
                    await self._read(work, half, by_id, known)
                return
            log.warning(
                "a message keeps its facts", message=str(step.messages[0]), error=str(error)
            )
            work.outcome.unread += step.messages
            await self.carry(work.scope, work.generation, step.messages)
            return
        self._at_point("commit")
        await self.announce(await self._save(work, read))

    async def _think(self, work: Work, step: Step, known: KnownThen) -> Read:
        messages, before = await store.messages(self._db, work.scope, step.shown)
        talk = conversation(messages, before, guards=self._means.guards)
        extraction = step.answer
        found = Extraction([])
        if step.answer is not None:
            raw = await store.answer_of(self._db, work.scope, step.answer)
            found = Extraction(raw if isinstance(raw, list) else [])
            work.outcome.reused_answers += 1
        elif talk.spoken:
            extraction = time_ordered_id()
            found = await self._ask(work, talk, known)
        validated = validate(
            found.facts,
            talk.messages,
            generation=work.generation,
            extraction_id=extraction or time_ordered_id(),
            context=talk.context,
            catalogue=await self._catalogues.of(work.scope.tenant),
            guards=self._means.guards,
        ).having_lost(found.dropped)
        own = set(step.messages)
        facts = [fact for fact in validated.facts if fact.source_message_ids[0] in own]
        asked = step.answer is None and extraction is not None
        return Read(
            step.messages,
            step.session,
            Validated(facts, validated.dropped),
            extraction,
            asked=asked,
            answer={"facts": found.facts} if asked and self.paid else None,
            tokens=found.tokens,
        )

    async def _ask(self, work: Work, talk: Conversation, known: KnownThen) -> Extraction:
        """Ask as at that time, again when the world failed and not the message."""
        extractor = self._means.extractor_at(talk.spoken[-1].at)
        believed = known.at(talk.spoken[0].at)
        for attempt in range(1, _ATTEMPTS + 1):
            await store.still_held(work.holder)
            self._at_point("call")
            try:
                found = await ask(extractor, talk, believed, payer=work.scope.tenant)
            except BudgetSpentError:
                raise  # the same command goes on tomorrow
            except RetryableError as error:
                if attempt == _ATTEMPTS:
                    raise
                pause = self._policy.base_seconds * 2 ** (attempt - 1)
                pause = max(min(pause, _LONGEST_PAUSE_SECONDS), error.retry_after_seconds or 0.0)
                log.warning("asking again", error=str(error), seconds=round(pause, 1))
                await asyncio.sleep(pause)
                continue
            if self.paid:
                work.outcome.calls += 1
            for index, spent in enumerate(found.tokens):
                work.outcome.tokens[index] += spent
            return found
        raise AssertionError

    async def _save(self, work: Work, read: Read) -> list[Announcement]:
        """Store what was read; a paid answer waits for a PostgreSQL that is away."""
        while True:
            try:
                return await store.save(
                    self._db, work.scope, work.generation, self.provenance, read
                )
            except Exception as error:
                if read.answer is None or not (is_outage(error) or is_conflict(error)):
                    raise
                log.warning("a paid answer waits for PostgreSQL", error=str(error).strip())
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)

    async def carry(self, scope: Scope, generation: int, ids: Sequence[UUID] | None = None) -> None:
        """Copy the facts of messages that are not read again: the named, else all out of scope."""
        async with self._db.transaction() as tx:
            bells = await store.carry(tx, scope, generation, ids=ids)
        await self.announce(bells)

    async def announce(self, announcements: Sequence[Announcement]) -> None:
        for start in range(0, len(announcements), _ANNOUNCED_AT_ONCE):
            await self._announcer.announce(announcements[start : start + _ANNOUNCED_AT_ONCE])
