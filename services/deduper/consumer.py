"""The deduper: facts `embedded` → `compared`, user by user, with verdicts about near pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from services.deduper import store
from services.deduper.candidates import Collection, PairVerdict, judge_pairs
from services.deduper.memory import Remembered
from services.deduper.store import Compared, Snapshot
from services.deduper.thresholds import floors_for
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.ledger.store import UserKey
from shared.patience import when_free
from shared.rows import RowsStage, by_user
from shared.together import Together
from shared.topology import EMBEDDED

_LARGE_COMPARISON = 20_000  # pairs; some milliseconds


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
        at_point: AtPoint = ignore_point,
    ) -> None:
        super().__init__(durable, policy)
        self._db = db
        self._model = model
        self._floors = floors_for(model)
        self._at_point = at_point
        self._remembered = Remembered()
        self._read_fresh = Together(self._read_many)
        self._read_comparands = Together(self._read_comparands_of)
        self._commit = Together(partial(store.commit, db, at_point=at_point))

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return by_user(refs)

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        return await when_free(lambda: self._compare(refs), refs[0].user)

    async def _compare(self, refs: Sequence[RowRef]) -> list[Announcement] | None:
        snapshot = await self._read_fresh(refs)
        if not snapshot.refs:
            return []
        self._at_point("think")
        others = await self._others(snapshot)
        verdicts = await self._judge(snapshot.fresh, others)
        self._at_point("commit")
        announcements = await self._commit(Compared(snapshot, verdicts))
        if announcements is not None and snapshot.fresh.facts:
            everything = others.plus(snapshot.fresh)
            self._remembered.keep(snapshot.user, snapshot.version + 1, everything)
        return announcements

    async def _judge(self, fresh: Collection, others: Collection) -> list[PairVerdict]:
        """Judge in a thread what may take long: what is held must beat on."""
        if len(fresh.facts) * len(others.facts) < _LARGE_COMPARISON:
            return judge_pairs(fresh, others, self._floors)
        return await asyncio.to_thread(judge_pairs, fresh, others, self._floors)

    async def _others(self, snapshot: Snapshot) -> Collection:
        """What the user's new facts are compared with; nothing when none of them is free text."""
        if not snapshot.fresh.facts:
            return snapshot.fresh
        known = self._remembered.recall(snapshot.user, snapshot.version)
        return known if known is not None else await self._read_comparands(snapshot.user)

    async def _read_many(self, users: Sequence[Sequence[RowRef]]) -> Sequence[Snapshot]:
        return await store.read_fresh(self._db, users, self._model)

    async def _read_comparands_of(self, users: Sequence[UserKey]) -> Sequence[Collection]:
        found = await store.read_comparands(self._db, users, self._model)
        return [found[user] for user in users]
