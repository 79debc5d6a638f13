"""Reads users' facts for the memory of a gateway; writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.db import Database, Row, Transaction
from shared.sql import Queries
from shared.trust import SOURCES

queries = Queries("services.gateway.hot")

_ROWS_AT_ONCE = 1_000

Pair = tuple[str, str]
"""A term of a query, and a word it may be found as in a fact."""


@dataclass(frozen=True, slots=True)
class Whose:
    """A user, and the model whose vectors are compared."""

    tenant: str
    user: str
    model: str
    dimensions: int

    @property
    def params(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "user": self.user}


@dataclass(frozen=True, slots=True)
class Sight:
    """The seals of all marks of a user at one moment, and what the query asks for.

    `words` are the query's as messages have them.
    """

    generation: int
    seal: bytes | None
    message_seal: bytes | None
    asked: list[Pair]
    words: list[str]


async def sight(db: Database, whose: Whose, query: str, most_terms: int) -> Sight | None:
    """Look whether anything has changed; None for a user nobody knows."""
    params = {**whose.params, "query": query, "terms": most_terms}
    async with db.of(whose.tenant).autocommit() as tx:
        found = await tx.rows(queries["sight"], params, binary=True)
    if not found:
        return None
    row = found[0]
    asked = list(zip(row["terms"] or (), row["variants"] or (), strict=True))
    return Sight(row["generation"], row["seal"], row["message_seal"], asked, row["words"])


async def marks(tx: Transaction, whose: Whose) -> list[Row]:
    """A user's marks (token, fact_id) in order, each with the generation that counts."""
    return await tx.rows(queries["marks"], whose.params, binary=True)


async def fact_rows(
    tx: Transaction, whose: Whose, generation: int, now: datetime, ids: Sequence[UUID] | None
) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Read facts, all or those named, a thousand at a time, as `shelf.Shelf.add` takes them."""
    params = {
        **whose.params,
        "model": whose.model,
        "dimensions": whose.dimensions,
        "blank": bytes(2 * whose.dimensions),
        "generation": generation,
        "now": now,
        "ids": None if ids is None else list(ids),
        "sources": list(SOURCES),
    }
    async with tx.connection.cursor("facts", binary=True) as cursor:
        await cursor.execute(queries["rows"].encode(), params)
        while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows


async def meant(
    db: Database, missing: Sequence[Pair], words: Sequence[str], similarity: float
) -> dict[str, str]:
    """For each term nobody used, the nearest of the words, where one is near enough."""
    params: dict[str, Any] = {"words": list(words), "similarity": similarity}
    params["terms"] = [term for term, _ in missing]
    params["variants"] = [variant for _, variant in missing]
    async with db.of().autocommit() as tx:  # no table is asked
        rows = await tx.rows(queries["meant"], params, binary=True)
    return {row["term"]: row["word"] for row in rows}
