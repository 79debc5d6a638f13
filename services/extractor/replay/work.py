"""Making a generation: read the messages again, let its facts settle, decide about it.

Killed anywhere, the same again goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.extractor.replay import ReplayRefusedError, generations, store
from services.extractor.replay.diff import Diff
from services.extractor.replay.known import KnownThen
from services.extractor.replay.plan import Estimate, estimate
from services.extractor.replay.reading import Means, Outcome, Progress, Reader, Work
from services.extractor.replay.store import Scope
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Row, Transaction
from shared.failures.store import RetryPolicy
from shared.patience import when_free

_ROUNDS = 5  # messages arrive while others are read; what is left then is carried over
_POLL_SECONDS = 0.1


class Replayer:
    """Replays users, each under a lock of its own; calls are counted across all of them."""

    def __init__(
        self,
        *,
        db: OperatorDatabase,
        announcer: Announcer,
        means: Means,
        policy: RetryPolicy,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._means = means
        self._at_point = at_point
        self._reader = Reader(
            db=db, announcer=announcer, means=means, policy=policy, at_point=at_point
        )

    # ---- looking

    async def estimate(self, scope: Scope) -> Estimate:
        """Say what a replay would read and ask; writes nothing and calls nothing."""
        await self._known_user(scope)
        found = await store.undecided(self._db, scope.tenant, scope.user)
        generation = found.generation if found and self._is_this(found, scope) else 0
        heard, carried = await store.heard(self._db, scope, generation)
        steps = await self._reader.plan(scope, heard)
        spoken = sum(one.size for one in heard) // max(1, len(heard))
        return estimate(
            steps,
            carried=carried,
            paid=self._reader.paid,
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
        work = Work(scope, generation, outcome, holder, progress)
        rows, acts = await store.current_attributes(self._db, scope)
        known = KnownThen(rows, acts)
        for _ in range(_ROUNDS):
            heard, _carried = await store.heard(self._db, scope, generation)
            if not heard:
                break
            await self._reader.read_all(work, heard, known)
        await self._reader.carry(scope, generation)
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
            return await store.create(self._db, scope, self._reader.provenance), False
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
            self._reader.provenance,
            scope,
        )

    async def _settled(self, work: Work) -> None:
        """Wait until the pipeline has taken every fact of the generation to its end.

        Raises ReplayRefusedError when it does not move.
        """
        loop = asyncio.get_running_loop()
        seen, moved_at = -1, loop.time()
        while True:
            facts, settled, dead = await generations.settling(self._db, work.scope, work.generation)
            work.progress("settling", settled, facts)
            work.outcome.dead = dead
            if settled + dead == facts:
                return
            if settled != seen:
                seen, moved_at = settled, loop.time()
            if loop.time() - moved_at > self._means.patience_seconds:
                raise ReplayRefusedError(
                    f"{facts - settled} facts of {work.scope.user} do not settle: does the "
                    "pipeline run (`memoire status`)? The same command goes on from here"
                )
            await asyncio.sleep(_POLL_SECONDS)

    # ---- deciding

    async def differences(self, scope: Scope, generation: int) -> Diff:
        return await when_free(
            lambda: generations.differences(self._db, scope, generation), scope.user
        )

    async def promote(self, scope: Scope, generation: int) -> None:
        """Let the generation count; bells that cannot be rung now the sweep rings."""
        self._at_point("promote")
        await generations.check_promotable(self._db, scope, generation)
        await self.differences(scope, generation)  # heeds what was forgotten or corrected since
        announcements = await when_free(
            lambda: generations.promote(self._db, scope, generation), scope.user
        )
        await self._reader.announce(announcements)

    async def drop(self, scope: Scope, generation: int) -> int:
        return await generations.drop(self._db, scope, generation)


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
        "dead_facts": outcome.dead,
    }
