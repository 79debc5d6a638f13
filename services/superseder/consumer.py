"""The superseder: facts `compared` → `settled`, user by user, and what is believed follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from services.superseder import store
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.patience import when_free
from shared.rows import RowsStage, by_user
from shared.together import Together
from shared.topology import COMPARED

_USERS_A_TRANSACTION = 100


class SupersederStage(RowsStage):
    name = "superseder"
    streams = (COMPARED,)
    state = "compared"

    def __init__(
        self, *, durable: Database, policy: RetryPolicy, at_point: AtPoint = ignore_point
    ) -> None:
        super().__init__(durable, policy)
        self._at_point = at_point
        settle = partial(store.settle, durable, at_point=at_point)
        self._settle = Together(settle, _USERS_A_TRANSACTION)

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return by_user(refs)

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        self._at_point("commit")
        return await when_free(lambda: self._settle(refs), refs[0].user)
