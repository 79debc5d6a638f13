"""Asking a model about pairs: one worker a user, bounded calls, every paid answer kept before use.

Whatever a model, its server or this process does, each pair is asked about once and no fact waits
for ever: what stays open while the model is away is judged when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import structlog

from services.deduper.candidates import Pair
from services.deduper.judging import store
from services.deduper.judging.model import Judge, Judged
from services.deduper.judging.store import Hold
from services.deduper.judging.verdicts import UNDECIDED, Reading
from services.deduper.store import active_model
from services.deduper.thresholds import floors_for
from shared.db import Database, OperatorDatabase
from shared.errors import BudgetSpentError, MemoireError, PoisonError, RetryableError
from shared.events import Announcement
from shared.fairness import FairSlots
from shared.isolation import is_conflict, is_outage
from shared.ledger.store import UserKey
from shared.patience import UserBusyError, when_free

log = structlog.get_logger()

PAIRS_A_CALL = 50
_HELD_PAUSE_SECONDS = 0.2
_OUTAGE_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class JudgePace:
    """Calls in flight; how long a user is held unless renewed."""

    calls: int = 8
    lease_seconds: float = 6.0


@dataclass(slots=True)
class Asked:
    """What came of asking: pairs still open, why, and what the answers have changed already."""

    undecided: list[Pair] = field(default_factory=list)
    failure: RetryableError | None = None
    announcements: list[Announcement] = field(default_factory=list)


class Judging:
    """Asks one judge for one worker."""

    def __init__(
        self,
        *,
        db: Database,
        durable: Database,
        judge: Judge,
        worker: str,
        pace: JudgePace,
    ) -> None:
        self._db = db
        self._durable = durable
        self._judge = judge
        self._hold = Hold(worker, pace.lease_seconds)
        self._pace = pace
        self._calls = FairSlots(pace.calls)
        self._share = max(1, pace.calls // 2)  # of the calls that one user may have in flight
        self._locks: WeakValueDictionary[UserKey, asyncio.Lock] = WeakValueDictionary()
        self._held: set[UserKey] = set()

    @property
    def away(self) -> bool:
        """Whether the model is left alone for a while."""
        return self._judge.wait_seconds() > 0

    def spent(self) -> list[str]:
        """The tenants for whom nothing can be asked today."""
        return self._judge.spent()

    async def ask(self, user: UserKey, pairs: Sequence[Pair]) -> Asked:
        """See that each of one user's pairs has a verdict in the database, as far as possible."""
        if not pairs or not (left := await store.open_pairs(self._db, user, pairs)):
            return Asked()
        lock = self._locks.setdefault(user, asyncio.Lock())
        async with lock:
            while left := await store.open_pairs(self._db, user, left):
                if self._judge.wait_seconds(user[0]) > 0:
                    return Asked(left)
                async with self._taken(user) as taken:
                    if taken:
                        left = await store.open_pairs(self._db, user, left)
                        return await self._ask_all(user, left)
                await asyncio.sleep(_HELD_PAUSE_SECONDS)
        return Asked()

    async def keep_leases(self) -> None:
        """Renew what is held, so that nobody else asks while a call is under way."""
        if self._held:
            await store.renew(self._db, self._held, self._hold)

    @asynccontextmanager
    async def _taken(self, user: UserKey) -> AsyncIterator[bool]:
        """Hold a user among processes, by a lease; False while another worker has him."""
        if not await store.take(self._db, user, self._hold):
            yield False
            return
        self._held.add(user)
        try:
            yield True
        finally:
            self._held.discard(user)
            await store.release(self._db, user, self._hold)

    async def _ask_all(self, user: UserKey, pairs: Sequence[Pair]) -> Asked:
        places = asyncio.Semaphore(self._share)

        async def ask(call: Sequence[Pair]) -> Asked:
            async with places:
                return await self._ask(user, call)

        starts = range(0, len(pairs), PAIRS_A_CALL)
        calls = [ask(pairs[start : start + PAIRS_A_CALL]) for start in starts]
        return _together(await asyncio.gather(*calls))

    async def _ask(self, user: UserKey, pairs: Sequence[Pair]) -> Asked:
        """Ask once; halve a call that is refused, until the pair that poisons it stands alone."""
        async with self._calls.turn(user[0]):
            if self._judge.wait_seconds(user[0]) > 0:
                return Asked(list(pairs))
            try:
                judged = await self._judge.ask(pairs, payer=user[0])
            except PoisonError as error:
                refused: PoisonError | None = error
            except MemoireError as error:
                return Asked(list(pairs), self._worth_waiting_for(error))
            else:
                refused = None
        if refused is None:
            return Asked(announcements=await self._keep(user, judged))
        if len(pairs) == 1:
            log.warning("a pair cannot be judged", error=str(refused))
            return Asked(announcements=await self._keep(user, self._unjudged(pairs[0], refused)))
        middle = len(pairs) // 2
        return _together([await self._ask(user, half) for half in (pairs[:middle], pairs[middle:])])

    def _worth_waiting_for(self, error: MemoireError) -> RetryableError | None:
        """What a fact may wait for, once; nobody waits for a model that is left alone."""
        log.warning("pairs stay open", error=str(error))
        if not isinstance(error, RetryableError) or isinstance(error, BudgetSpentError):
            return None
        return None if self.away else error

    def _unjudged(self, pair: Pair, error: PoisonError) -> Judged:
        reason = f"the model cannot judge this pair: {error}"[:500]
        return Judged(Reading([pair.decided(UNDECIDED, reason, self._judge.model)], {}), 1)

    async def _keep(self, user: UserKey, judged: Judged) -> list[Announcement]:
        """Save a paid answer, however long the database or another transaction takes."""
        model, prompt = self._judge.model, self._judge.prompt

        async def save() -> list[Announcement] | None:
            return await store.save(self._durable, user, judged, model, prompt)

        while True:
            try:
                return await when_free(save, user[1])
            except Exception as error:
                if not (is_outage(error) or is_conflict(error) or isinstance(error, UserBusyError)):
                    raise
                log.warning("a paid verdict waits for PostgreSQL", error=str(error).strip())
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)


def _together(parts: Sequence[Asked]) -> Asked:
    return Asked(
        [pair for part in parts for pair in part.undecided],
        next((part.failure for part in parts if part.failure), None),
        [one for part in parts for one in part.announcements],
    )


class CatchingUp:
    """Judges, beside the work, what was left open while the model was away.

    `model` is whose vectors count where nothing was embedded yet.
    """

    def __init__(
        self,
        everyone: OperatorDatabase,
        judging: Judging,
        model: str,
        announce: Callable[[Sequence[Announcement]], Awaitable[object]],
        patience_seconds: float = 5.0,
    ) -> None:
        self._everyone = everyone
        self._judging = judging
        self._model = model
        self._announce = announce
        self._patience_seconds = patience_seconds
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin, unless it is under way or the model is away."""
        if self._judging.away or (self._task is not None and not self._task.done()):
            return
        self._task = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            floors = floors_for(await active_model(self._everyone, self._model))
            for user in await store.users_undecided(
                self._everyone, self._patience_seconds, self._judging.spent()
            ):
                pairs = await store.undecided_pairs(self._everyone, user, floors)
                asked = await self._judging.ask(user, pairs)
                await self._announce(asked.announcements)
                if self._judging.away:
                    return
        except Exception as error:
            if not (is_outage(error) or is_conflict(error)):
                log.exception("catching up failed")
