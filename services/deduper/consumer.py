"""The deduper: facts `embedded` → `compared`, user by user, with verdicts about near pairs.

Guards decide what they can. With a model, what they leave doubtful is asked first; a fact whose
pairs the model could not judge at once waits a little, then goes on with them undecided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from uuid import UUID
from weakref import WeakValueDictionary

from services.deduper import store
from services.deduper.candidates import (
    Collection,
    Pair,
    PairVerdict,
    Proposal,
    propose,
)
from services.deduper.judging.store import attempts_at
from services.deduper.judging.verdicts import UNDECIDED
from services.deduper.judging.work import Asked, CatchingUp, Judging
from services.deduper.memory import Remembered
from services.deduper.store import Compared, Snapshot
from services.deduper.thresholds import floors_for
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.delivery import ENTRIES_A_TURN, Entry
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.fairness import Turns
from shared.ledger.store import UserKey
from shared.patience import when_free
from shared.rows import RowsStage, by_user
from shared.together import Together
from shared.topology import EMBEDDED

_LARGE_COMPARISON = 20_000  # pairs; some milliseconds
_USERS_AT_ONCE = 256  # most of them wait for a model
_WAITS = 1  # failed attempts after which a fact no longer waits for the model


class DeduperStage(RowsStage):
    """Compares user by user; what several users need is read and written together."""

    name = "deduper"
    streams = (EMBEDDED,)
    state = "embedded"

    def __init__(
        self,
        *,
        db: Database,
        durable: Database,
        model: str,
        policy: RetryPolicy,
        judging: Judging | None = None,
        catching_up: CatchingUp | None = None,
        at_point: AtPoint = ignore_point,
    ) -> None:
        super().__init__(durable, policy)
        self._db = db
        self._model = model
        self._judging = judging
        self._catching_up = catching_up
        self.concurrency = _USERS_AT_ONCE if judging else 1
        self._at_point = at_point
        self._remembered = Remembered()
        self._users: WeakValueDictionary[UserKey, asyncio.Lock] = WeakValueDictionary()
        self._read_fresh = Together(self._read_many)
        self._read_comparands = Together(self._read_comparands_of)
        self._commit = Together(partial(store.commit, db, at_point=at_point))

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        """Part a turn by user where a model is asked: nobody waits for another's answer."""
        entries = waiting.take(ENTRIES_A_TURN)
        if self._judging is None:
            return [entries]
        users: dict[tuple[bytes | None, ...], list[Entry]] = {}
        for entry in entries:
            key = (entry.raw.get(b"tenant"), entry.raw.get(b"user"))
            users.setdefault(key, []).append(entry)
        return list(users.values())

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return by_user(refs)

    async def heartbeat(self) -> None:
        """Keep the users whose pairs are being judged, and look after what was left undecided."""
        if self._judging is not None:
            await self._judging.keep_leases()
        if self._catching_up is not None:
            self._catching_up.look()

    def _one_at_a_time(self, user: UserKey) -> AbstractAsyncContextManager[None]:
        """Let a user's batches wait for each other where a model is asked.

        Side by side all but the first would be thought over again beside what the first brought,
        and a model be asked about other candidates of the same facts.
        """
        return self._users.setdefault(user, asyncio.Lock()) if self._judging else nullcontext()

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        told: list[Announcement] = []
        async with self._one_at_a_time((refs[0].tenant, refs[0].user)):
            moved = await when_free(lambda: self._compare(refs, told), refs[0].user)
        return [*told, *moved]

    async def _compare(
        self, refs: Sequence[RowRef], told: list[Announcement]
    ) -> list[Announcement] | None:
        """Compare once; None to be asked again. What is announced even then goes to `told`."""
        snapshot = await self._read_fresh(refs)
        if not snapshot.refs:
            return []
        self._at_point("think")
        others = await self._others(snapshot)
        proposal = await self._propose(snapshot, others)
        asked = await self._ask(snapshot.user, proposal)
        told += asked.announcements
        waiting = await self._set_aside(snapshot, asked)
        self._at_point("commit")
        going = snapshot.without(waiting)
        if not going.refs:
            return []
        verdicts = [*proposal.decided, *_left_open(asked.undecided, going)]
        announcements = await self._commit(Compared(going, verdicts))
        if announcements is not None and snapshot.fresh.facts and not waiting:
            everything = others.plus(snapshot.fresh)
            as_of = (snapshot.version + 1, snapshot.model)
            self._remembered.keep(snapshot.user, as_of, everything)
        return announcements

    async def _propose(self, snapshot: Snapshot, others: Collection) -> Proposal:
        """Compare in a thread what may take long: what is held must beat on."""
        fresh, floors = snapshot.fresh, floors_for(snapshot.model)
        with_model = self._judging is not None
        compare = partial(propose, fresh, others, floors, with_model=with_model)
        if len(fresh.facts) * len(others.facts) < _LARGE_COMPARISON:
            return compare()
        return await asyncio.to_thread(compare)

    async def _ask(self, user: UserKey, proposal: Proposal) -> Asked:
        if self._judging is None:
            return Asked()
        return await self._judging.ask(user, proposal.doubtful)

    async def _set_aside(self, snapshot: Snapshot, asked: Asked) -> set[UUID]:
        """Let facts wait, once, whose pairs the model could not judge; then they go on."""
        if asked.failure is None:
            return set()
        concerned = {fact.id for pair in asked.undecided for fact in (pair.new, pair.old)}
        refs = [ref for ref in snapshot.refs if ref.id in concerned]
        failed = await attempts_at(self._db, refs) if refs else {}
        waiting = [ref for ref in refs if failed.get(ref.id, 0) < _WAITS]
        if waiting:
            await self._fail(waiting, asked.failure)
        return {ref.id for ref in waiting}

    async def _others(self, snapshot: Snapshot) -> Collection:
        """What the user's new facts are compared with; nothing when none of them is free text."""
        if not snapshot.fresh.facts:
            return snapshot.fresh
        known = self._remembered.recall(snapshot.user, (snapshot.version, snapshot.model))
        if known is not None:
            return known
        return await self._read_comparands((snapshot.user, snapshot.model))

    async def _read_many(self, users: Sequence[Sequence[RowRef]]) -> Sequence[Snapshot]:
        return await store.read_fresh(self._db, users, self._model)

    async def _read_comparands_of(
        self, wanted: Sequence[tuple[UserKey, str]]
    ) -> Sequence[Collection]:
        """Read by model: while the active one changes there may be two."""
        found: dict[tuple[UserKey, str], Collection] = {}
        for model in {model for _, model in wanted}:
            users = [user for user, other in wanted if other == model]
            read = await store.read_comparands(self._db, users, model)
            found |= {(user, model): collection for user, collection in read.items()}
        return [found[one] for one in wanted]


def _left_open(undecided: Sequence[Pair], going: Snapshot) -> list[PairVerdict]:
    """What guards say of pairs of facts that go on without a model's word."""
    ids = {ref.id for ref in going.refs}
    return [
        pair.decided(UNDECIDED, pair.wording.reason)
        for pair in undecided
        if pair.new.id in ids or pair.old.id in ids
    ]
