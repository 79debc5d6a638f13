"""Both arms of recall from memory, where a user is kept and the question is about now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.gateway.hot import store
from services.gateway.hot.keeper import Held, Keeper
from services.gateway.hot.lexical import lexical_rows
from services.gateway.hot.shelf import Filters
from services.gateway.hot.store import Whose
from services.gateway.recall_store import CANDIDATES, SIMILARITY, VOCABULARY_LIMIT, Scope
from shared.db import Database
from shared.embeddings import Embedder

Rows = list[dict[str, Any]]


class HotArms:
    """What `recall_store`'s two arms answer, for users in memory."""

    def __init__(self, db: Database, embedder: Embedder, most_bytes: int) -> None:
        self._db = db
        self._embedder = embedder
        self.keeper = Keeper(db, most_bytes)

    def may_answer(self, scope: Scope) -> bool:
        """Whether the user is kept, and the filters are such as memory knows."""
        if scope.named is not None or scope.metadata is not None:
            return False
        return self.keeper.keeps(self._whose(scope), scope.now)

    async def look(self, scope: Scope, query: str) -> Held | None:
        """The user's facts at this moment; None where SQL has to answer."""
        return await self.keeper.look(self._whose(scope), query, scope.now)

    async def answer(
        self, scope: Scope, held: Held, vector: Sequence[float] | None
    ) -> tuple[Rows | None, Rows]:
        """The rows of the vector arm (None without a vector) and of the lexical arm."""
        shelf = held.shelf
        passing = shelf.mask(_filters(scope))
        near = None if vector is None else shelf.nearest(passing, vector, CANDIDATES)
        lexical = await lexical_rows(
            shelf,
            passing,
            held.terms,
            most=CANDIDATES,
            vocabulary_limit=VOCABULARY_LIMIT,
            similarity=SIMILARITY,
            nearest=self._meant,
        )
        return near, lexical

    async def _meant(self, missing: Sequence[str], words: Sequence[str]) -> dict[str, str]:
        return await store.meant(self._db, missing, words, SIMILARITY)

    def _whose(self, scope: Scope) -> Whose:
        embedder = self._embedder
        return Whose(scope.tenant, scope.user, embedder.model, embedder.dimensions)


def _filters(scope: Scope) -> Filters:
    return Filters(
        current=scope.view == "current",
        categories=scope.categories,
        slots=scope.slots,
        since=scope.since,
        until=scope.until,
    )
