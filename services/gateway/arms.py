"""The arms of recall behind one face: in SQL here, over facts in memory in `hot`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.gateway import recall_store
from services.gateway.recall_store import Scope
from shared.db import Database, Row

Vector = Sequence[float]


class Arms(Protocol):
    """What finds a user's facts under the filters of one scope, for one query."""

    async def near(self, vector: Vector) -> list[Row]:
        """Rows as `recall_store.vector_arm` has them."""
        ...

    async def lexical(self) -> list[Row]:
        """Rows as `recall_store.lexical_arm` has them."""
        ...

    async def around(
        self, found: Sequence[UUID], anchors: Sequence[UUID], messages: Sequence[UUID]
    ) -> list[Row]:
        """Rows as `recall_store.gathered` has them."""
        ...

    async def alike(self, vector: Vector, ids: Sequence[UUID], best: Sequence[UUID]) -> list[Row]:
        """Rows as `recall_store.likeness` has them."""
        ...

    async def faded(self, at: datetime, ids: Sequence[UUID]) -> list[UUID]:
        """Which of these facts were faded at a moment."""
        ...


class SqlArms:
    """The arms in SQL, each in a statement of its own."""

    def __init__(self, db: Database, model: str, scope: Scope, query: str) -> None:
        self._reach = db.of(scope.tenant)
        self._model = model
        self._scope = scope
        self._query = query

    async def near(self, vector: Vector) -> list[Row]:
        async with self._reach.autocommit() as tx:
            return await recall_store.vector_arm(tx, self._scope, self._model, list(vector))

    async def lexical(self) -> list[Row]:
        async with self._reach.autocommit() as tx:
            return await recall_store.lexical_arm(tx, self._scope, self._query)

    async def around(
        self, found: Sequence[UUID], anchors: Sequence[UUID], messages: Sequence[UUID]
    ) -> list[Row]:
        async with self._reach.autocommit() as tx:
            return await recall_store.gathered(tx, self._scope, found, anchors, messages)

    async def alike(self, vector: Vector, ids: Sequence[UUID], best: Sequence[UUID]) -> list[Row]:
        async with self._reach.autocommit() as tx:
            return await recall_store.likeness(
                tx, self._scope, self._model, list(vector), ids, best
            )

    async def faded(self, at: datetime, ids: Sequence[UUID]) -> list[UUID]:
        async with self._reach.autocommit() as tx:
            return await recall_store.faded_among(tx, self._scope, at, ids)
