"""The arms of recall over facts in memory, where a user is kept and the question is about now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.gateway.hot import store
from services.gateway.hot.keeper import Held, Keeper
from services.gateway.hot.lexical import lexical_rows
from services.gateway.hot.shelf import Filters
from services.gateway.hot.store import Pair, Whose
from services.gateway.recall_store import CANDIDATES, SIMILARITY, VOCABULARY_LIMIT, Scope
from shared.db import Database, Row
from shared.embeddings import Embedder


class HotArms:
    """Arms over the users in memory; they answer what `arms.SqlArms` answers."""

    def __init__(self, db: Database, most_bytes: int) -> None:
        self._db = db
        self.keeper = Keeper(db, most_bytes)

    def may_answer(self, scope: Scope, embedder: Embedder) -> bool:
        """Whether the user is kept, and the filters are such as memory knows."""
        if any(
            (scope.named is not None, scope.metadata is not None, scope.held_since, scope.fading_at)
        ):
            return False
        return self.keeper.keeps(_whose(scope, embedder), scope.now)

    async def look(self, scope: Scope, query: str, embedder: Embedder) -> KeptArms | None:
        """Arms over the user's facts as they are at this moment; None where SQL has to answer."""
        held = await self.keeper.look(_whose(scope, embedder), query, scope.now)
        return None if held is None else KeptArms(self._db, held, scope)


class KeptArms:
    """The arms over one user's facts in memory."""

    def __init__(self, db: Database, held: Held, scope: Scope) -> None:
        self._db = db
        self._shelf = held.shelf
        self._asked = held.asked
        self._filters = _filters(scope)

    async def near(self, vector: Sequence[float]) -> list[Row]:
        return self._shelf.nearest(self._shelf.mask(self._filters), vector, CANDIDATES)

    async def lexical(self) -> list[Row]:
        return await lexical_rows(
            self._shelf,
            self._shelf.mask(self._filters),
            self._asked,
            most=CANDIDATES,
            vocabulary_limit=VOCABULARY_LIMIT,
            similarity=SIMILARITY,
            nearest=self._meant,
        )

    async def around(
        self, found: Sequence[UUID], anchors: Sequence[UUID], messages: Sequence[UUID]
    ) -> list[Row]:
        return self._shelf.gathered(self._shelf.mask(self._filters), found, anchors, messages)

    async def alike(
        self, vector: Sequence[float], ids: Sequence[UUID], best: Sequence[UUID]
    ) -> list[Row]:
        return self._shelf.likeness(vector, ids, best)

    async def faded(self, at: datetime, ids: Sequence[UUID]) -> list[UUID]:
        return self._shelf.faded(at, ids)

    async def _meant(self, missing: Sequence[Pair], words: Sequence[str]) -> dict[str, str]:
        return await store.meant(self._db, missing, words, SIMILARITY)


def _whose(scope: Scope, embedder: Embedder) -> Whose:
    return Whose(scope.tenant, scope.user, embedder.model, embedder.dimensions)


def _filters(scope: Scope) -> Filters:
    return Filters(
        current=scope.view == "current",
        categories=scope.categories,
        slots=scope.slots,
        since=scope.since,
        until=scope.until,
    )
