"""Making a generation: read the messages again, let its facts settle, decide about it.

Killed anywhere, the same again goes on where it was: what a step found is stored in one transaction
with the messages it accounts for, and a paid answer is never asked for twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog

from services.extractor.extractors import Extraction, Extractor
from services.extractor.facts import SourceMessage, Validated, validate
from services.extractor.replay import ReplayRefusedError, generations, store
from services.extractor.replay.diff import Diff
from services.extractor.replay.known import KnownThen
from services.extractor.replay.plan import Estimate, Heard, Step, estimate, halves, plan_steps
from services.extractor.replay.store import Read, Scope
from services.extractor.turns import ChatTurn
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.db import Database, Row, Transaction
from shared.errors import PoisonError, RetryableError
from shared.events import Announcement
from shared.failures.store import RetryPolicy
from shared.ids import time_ordered_id
from shared.isolation import is_conflict, is_outage
from shared.patience import when_free

log = structlog.get_logger()

Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

ExtractorAt = Callable[[datetime], Extractor]
"""Builds the extractor as of a day: relative dates count from there."""

_BYTES_PER_TOKEN = 4
_ROUNDS = 5  # messages arrive while others are read; what is left then is carried over
_ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 30.0
_OUTAGE_PAUSE_SECONDS = 0.5
_POLL_SECONDS = 0.1
_ANNOUNCED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Means:
    """What a replay reads with: as of a day; its calls cost money or not, `prompt_bytes` each."""

    extractor_at: ExtractorAt
    prompt_bytes: int
    budget_tokens: int
    calls: int = 8
    patience_seconds: float = 120.0


@dataclass(slots=True)
class Outcome:
    """What a run did: calls made, tokens spent (input, output), and what nobody could read."""

    generation: int
    previous: int
    calls: int = 0
    reused_answers: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    unread: list[UUID] = field(default_factory=list)
    resumed: bool = False


class Replayer:
    """Replays users, each under a lock of its own; calls are counted across all of them."""

    def __init__(
        self,
        *,
        db: Database,
        announcer: Announcer | None,
        means: Means,
        policy: RetryPolicy,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._announcer = announcer  # a dry run needs none
        self._means = means
        self._policy = policy
        self._at_point = at_point
        self._calls = asyncio.Semaphore(means.calls)
        now = means.extractor_at(datetime.now().astimezone())
        self._provenance, self._paid = now.provenance, now.paid

    # ---- looking

    async def estimate(self, scope: Scope) -> Estimate:
        """Say what a replay would read and ask; writes nothing and calls nothing."""
        await self._known_user(scope)
        found = await store.undecided(self._db, scope.tenant, scope.user)
        generation = found.generation if found and self._is_this(found, scope) else 0
        heard, carried = await store.heard(self._db, scope, generation)
        steps = await self._plan(scope, heard)
        spoken = sum(one.size for one in heard) // max(1, len(heard))
        return estimate(
            steps,
            carried=carried,
            paid=self._paid,
            prompt_bytes=self._means.prompt_bytes,
            context_bytes=store.CONTEXT_MESSAGES * spoken,
        )

    async def users(self, tenant: str) -> list[str]:
        """List who has messages to be read again."""
        return await store.users_with_messages(self._db, tenant)

    async def generations(self, scope: Scope) -> list[Row]:
        """List a user's generations, the oldest first."""
        return await generations.listed(self._db, scope)

    async def _known_user(self, scope: Scope) -> int:
        current = await store.generation_in_use(self._db, scope)
        if current is None:
            raise ReplayRefusedError(f"nobody is called {scope.user}")
        return current

    async def _plan(self, scope: Scope, heard: Sequence[Heard]) -> list[Step]:
        answers = await store.answers(self._db, scope, self._provenance) if self._paid else []
        return plan_steps(heard, answers, self._means.budget_tokens * _BYTES_PER_TOKEN)

    # ---- making

    @asynccontextmanager
    async def holding(self, scope: Scope) -> AsyncIterator[Transaction]:
        """Keep others from replaying this user; raises ReplayRefusedError when somebody does."""
        async with store.held(self._db, scope) as holder:
            yield holder

    async def make(self, holder: Transaction, scope: Scope, progress: Progress) -> Outcome:
        """Make the generation, or go on with it, until every fact of it has settled."""
        current = await self._known_user(scope)
        generation, resumed = await self._begin(scope)
        outcome = Outcome(generation, current, resumed=resumed)
        work = _Work(scope, generation, outcome, holder, progress)
        rows, acts = await store.current_attributes(self._db, scope)
        known = KnownThen(rows, acts)
        for _ in range(_ROUNDS):
            heard, _carried = await store.heard(self._db, scope, generation)
            if not heard:
                break
            await self._read_all(work, heard, known)
        await self._carry(scope, generation, None)
        await self._settled(work)
        await store.set_state(self._db, scope, generation, "ready")
        return outcome

    async def _begin(self, scope: Scope) -> tuple[int, bool]:
        """Go on with the same replay, else open a new generation. Another one must go first."""
        found = await store.undecided(self._db, scope.tenant, scope.user)
        if found is not None and found.state == "dropping":
            await generations.drop(self._db, scope, found.generation)
            found = None
        if found is None:
            return await store.create(self._db, scope, self._provenance), False
        if not self._is_this(found, scope):
            raise ReplayRefusedError(
                f"{scope.user} has an undecided generation {found.generation} by "
                f"{found.provenance.model} with {found.provenance.prompt}, or of other messages: "
                "promote or drop that one first (--promote-generation "
                f"{found.generation}, or --drop-generation {found.generation})"
            )
        await store.set_state(self._db, scope, found.generation, "running")
        return found.generation, True

    def _is_this(self, found: store.Undecided, scope: Scope) -> bool:
        return found.state != "dropping" and (found.provenance, found.scope) == (
            self._provenance,
            scope,
        )

    async def _carry(self, scope: Scope, generation: int, ids: Sequence[UUID] | None) -> None:
        async with self._db.transaction() as tx:
            bells = await store.carry(tx, scope, generation, ids=ids)
        await self._announce(bells)

    async def _read_all(self, work: _Work, heard: Sequence[Heard], known: KnownThen) -> None:
        """Read the steps side by side; after a failure nothing new is begun, what runs ends."""
        steps = await self._plan(work.scope, heard)
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
        self, work: _Work, step: Step, by_id: Mapping[UUID, Heard], known: KnownThen
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
            await self._carry(work.scope, work.generation, step.messages)
            return
        self._at_point("commit")
        await self._announce(await self._save(work, read))

    async def _think(self, work: _Work, step: Step, known: KnownThen) -> Read:
        messages, before = await store.messages(self._db, work.scope, step.shown)
        spoken = [message for message in messages if message.role == "user"]
        context = [*before, *(_turn(m) for m in messages if m.role != "user")]
        extraction = step.answer
        found = Extraction([])
        if step.answer is not None:
            raw = await store.answer_of(self._db, work.scope, step.answer)
            found = Extraction(raw if isinstance(raw, list) else [])
            work.outcome.reused_answers += 1
        elif spoken:
            extraction = time_ordered_id()
            found = await self._ask(work, spoken, context, known)
        validated = validate(
            found.facts,
            spoken,
            generation=work.generation,
            extraction_id=extraction or time_ordered_id(),
            context={turn.id for turn in context},
        )
        own = set(step.messages)
        facts = [fact for fact in validated.facts if fact.source_message_ids[0] in own]
        asked = step.answer is None and extraction is not None
        return Read(
            step.messages,
            step.session,
            Validated(facts, validated.dropped),
            extraction,
            asked=asked,
            answer={"facts": found.facts} if asked and self._paid else None,
            tokens=found.tokens,
        )

    async def _ask(
        self,
        work: _Work,
        spoken: Sequence[SourceMessage],
        context: Sequence[ChatTurn],
        known: KnownThen,
    ) -> Extraction:
        """Ask as at that time, again when the world failed and not the message."""
        extractor = self._means.extractor_at(spoken[-1].said_at)
        believed = known.at(spoken[0].said_at)
        turns = [_turn(message) for message in spoken]
        for attempt in range(1, _ATTEMPTS + 1):
            await store.still_held(work.holder)
            self._at_point("call")
            try:
                found = await extractor.extract(turns, context, believed)
            except RetryableError as error:
                if attempt == _ATTEMPTS:
                    raise
                pause = self._policy.base_seconds * 2 ** (attempt - 1)
                pause = max(min(pause, _LONGEST_PAUSE_SECONDS), error.retry_after_seconds or 0.0)
                log.warning("asking again", error=str(error), seconds=round(pause, 1))
                await asyncio.sleep(pause)
                continue
            if self._paid:
                work.outcome.calls += 1
            for index, spent in enumerate(found.tokens):
                work.outcome.tokens[index] += spent
            return found
        raise AssertionError

    async def _save(self, work: _Work, read: Read) -> list[Announcement]:
        """Store what was read; a paid answer waits for a PostgreSQL that is away."""
        while True:
            try:
                return await store.save(
                    self._db, work.scope, work.generation, self._provenance, read
                )
            except Exception as error:
                if read.answer is None or not (is_outage(error) or is_conflict(error)):
                    raise
                log.warning("a paid answer waits for PostgreSQL", error=str(error).strip())
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)

    async def _settled(self, work: _Work) -> None:
        """Wait until the pipeline has taken every fact of the generation to its end.

        Raises ReplayRefusedError when it does not move, or gave facts up.
        """
        loop = asyncio.get_running_loop()
        seen, moved_at = -1, loop.time()
        while True:
            facts, settled, dead = await generations.settling(self._db, work.scope, work.generation)
            work.progress("settling", settled, facts)
            if settled + dead == facts:
                break
            if settled != seen:
                seen, moved_at = settled, loop.time()
            if loop.time() - moved_at > self._means.patience_seconds:
                raise ReplayRefusedError(
                    f"{facts - settled} facts of {work.scope.user} do not settle: does the "
                    "pipeline run (`memoire status`)? The same command goes on from here"
                )
            await asyncio.sleep(_POLL_SECONDS)
        if dead:
            raise ReplayRefusedError(
                f"{dead} facts of {work.scope.user} are dead letters: see `memoire dead list`, "
                "redrive them, and run the same command again"
            )

    # ---- deciding

    async def differences(self, scope: Scope, generation: int) -> Diff:
        return await when_free(
            lambda: generations.differences(self._db, scope, generation), scope.user
        )

    async def promote(self, scope: Scope, generation: int) -> None:
        """Let the generation count; bells that cannot be rung now the sweep rings."""
        self._at_point("promote")
        found = await store.undecided(self._db, scope.tenant, scope.user)
        if found is not None and (found.generation, found.state) == (generation, "ready"):
            await self.differences(scope, generation)  # forgets what was forgotten since
        announcements = await when_free(
            lambda: generations.promote(self._db, scope, generation), scope.user
        )
        await self._announce(announcements)

    async def drop(self, scope: Scope, generation: int) -> int:
        return await generations.drop(self._db, scope, generation)

    async def _announce(self, announcements: Sequence[Announcement]) -> None:
        if self._announcer is None:
            return
        for start in range(0, len(announcements), _ANNOUNCED_AT_ONCE):
            await self._announcer.announce(announcements[start : start + _ANNOUNCED_AT_ONCE])


@dataclass(slots=True)
class _Work:
    """One run over one user."""

    scope: Scope
    generation: int
    outcome: Outcome
    holder: Transaction
    progress: Progress


def _turn(message: SourceMessage) -> ChatTurn:
    return ChatTurn(str(message.id), message.role, message.said_at, message.content)


def shown(outcome: Outcome) -> dict[str, Any]:
    """Show a run as programs read it."""
    return {
        "generation": outcome.generation,
        "previous_generation": outcome.previous,
        "resumed": outcome.resumed,
        "calls": outcome.calls,
        "reused_answers": outcome.reused_answers,
        "input_tokens": outcome.tokens[0],
        "output_tokens": outcome.tokens[1],
        "unread_messages": [str(message) for message in outcome.unread],
    }
