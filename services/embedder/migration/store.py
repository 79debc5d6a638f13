"""What a change of the embedding model reads and writes, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector

from services.embedder.store import Text
from shared.db import OperatorDatabase, Row, Transaction
from shared.failures.store import RowRef, keys_of
from shared.spaces.law import SpacesRefusedError
from shared.sql import Queries

queries = Queries("services.embedder.migration")

_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Key:
    """Where a walk over all rows has come to."""

    tenant: str = ""
    user: str = ""
    id: UUID = _FIRST
    model: str = ""


@asynccontextmanager
async def held(url: str) -> AsyncIterator[Transaction]:
    """Keep other commands from changing the spaces, for as long as our connection lives.

    A connection of its own: those of a pool are hung up on when a block lasts for minutes. Raises
    SpacesRefusedError when another command does.
    """
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=5, application_name="memoire-embeddings"
    )
    async with connection:
        tx = Transaction(connection)
        if not await tx.value(queries["try_hold"]):
            raise SpacesRefusedError("another command is changing the embeddings: let it end first")
        yield tx


async def still_held(holder: Transaction) -> None:
    """Raise psycopg.OperationalError when the connection that holds the lock has gone."""
    await holder.value(queries["still_held"])


async def page(
    db: OperatorDatabase, model: str, after: Key, limit: int
) -> tuple[list[Text], Key | None]:
    """The facts among the next `limit` that lack a vector, and where to go on; None: nowhere."""
    params = {"tenant": after.tenant, "user": after.user, "id": after.id, "model": model}
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["page"], {**params, "limit": limit})
    texts = [
        Text(RowRef(row["tenant_id"], row["user_id"], row["id"]), row["content"])
        for row in rows
        if row["lacks"]
    ]
    if not rows:
        return texts, None
    return texts, Key(rows[-1]["tenant_id"], rows[-1]["user_id"], rows[-1]["id"])


async def fill(
    db: OperatorDatabase, model: str, texts: Sequence[Text], vectors: NDArray[np.float32]
) -> None:
    """Store the vectors of facts that nobody has erased meanwhile."""
    params = {
        **keys_of([text.ref for text in texts]),
        "vectors": [HalfVector(vector) for vector in vectors],
        "model": model,
    }
    async with db.autocommit() as tx:
        await tx.execute(queries["fill"], params)


async def counts(db: OperatorDatabase) -> tuple[int, dict[str, int]]:
    """How many facts should have a vector, and how many vectors each model has."""
    async with db.autocommit() as tx:
        facts: int = await tx.value(queries["facts"])
        rows = await tx.rows(queries["counts"])
    return facts, {row["model"]: row["vectors"] for row in rows}


async def lacking(db: OperatorDatabase, model: str) -> tuple[int, int]:
    """How many facts lack a vector of the model, and how many bytes they have."""
    async with db.autocommit() as tx:
        [row] = await tx.rows(queries["lacking"], {"model": model})
    return row["facts"], row["bytes"]


async def prune_page(
    db: OperatorDatabase, model: str, after: Key, limit: int
) -> tuple[int, Key | None]:
    """Delete the model's vectors among the next `limit`; how many, and where to go on."""
    params = {"tenant": after.tenant, "user": after.user, "after": after.model, "id": after.id}
    async with db.transaction() as tx:
        row: Row | None = await tx.row(
            queries["prune_page"], {**params, "model": model, "limit": limit}
        )
    if row is None:
        return 0, None
    return row["gone"], Key(row["tenant_id"], row["user_id"], row["fact_id"], row["model"])


async def forget_space(db: OperatorDatabase, model: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(queries["forget_space"], {"model": model})
