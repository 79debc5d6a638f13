"""The deduper: facts `embedded` → `compared`, user by user, with verdicts about near pairs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.deduper import store
from services.deduper.candidates import judge_pairs
from services.deduper.thresholds import floors_for
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.patience import when_free
from shared.rows import RowsStage, by_user
from shared.topology import EMBEDDED


class DeduperStage(RowsStage):
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

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return by_user(refs)

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        tenant, user, ids = refs[0].tenant, refs[0].user, [ref.id for ref in refs]
        return await when_free(lambda: self._compare(tenant, user, ids))

    async def _compare(self, tenant: str, user: str, ids: Sequence[UUID]) -> list[Announcement]:
        snapshot = await store.read(self._db, tenant, user, ids, self._model)
        self._at_point("think")
        verdicts = judge_pairs(snapshot.fresh, snapshot.others, self._floors)
        self._at_point("commit")
        return await store.commit(self._db, tenant, user, snapshot, verdicts)
