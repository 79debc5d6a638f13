"""What the embedder reads and writes: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector

from shared.db import Database, Row
from shared.failures.store import RowRef, keys_of, tenants_of
from shared.spaces.law import Spaces
from shared.sql import Queries

queries = Queries("services.embedder")


@dataclass(frozen=True, slots=True)
class Text:
    """A fact's sentence that waits for its vector."""

    ref: RowRef
    content: str


async def texts_of(db: Database, refs: Sequence[RowRef]) -> list[Text]:
    async with db.of(*tenants_of(refs)).autocommit() as tx:
        rows = await tx.rows(queries["texts_of"], keys_of(refs))
    return [
        Text(RowRef(row["tenant_id"], row["user_id"], row["id"]), row["content"]) for row in rows
    ]


async def save_vectors(
    db: Database,
    spaces: Spaces,
    texts: Sequence[Text],
    vectors: Mapping[str, NDArray[np.float32]],
) -> list[Row]:
    """Store vectors by model, of facts nobody else has moved; returns the facts moved.

    Moves none where the spaces have changed since they were read. Vectors of a space that gets new
    facts beside the active one may be missing: it then knows that it is not complete.
    """
    params: dict[str, Any] = {
        **keys_of([text.ref for text in texts]),
        "active": spaces.active.model,
        "epoch": spaces.active.epoch,
        "skipped": [space.model for space in spaces.beside if space.model not in vectors],
        **_vector_columns(texts, vectors),
    }
    tenants = tenants_of([text.ref for text in texts])
    async with db.of(*tenants).autocommit() as tx:
        return await tx.rows(queries["save_vectors"], params)


def _vector_columns(
    texts: Sequence[Text], vectors: Mapping[str, NDArray[np.float32]]
) -> dict[str, list[Any]]:
    keys = keys_of([text.ref for text in texts])
    times = len(vectors)
    return {
        **{f"vector_{name}": column * times for name, column in keys.items()},
        "models": [model for model in vectors for _ in texts],
        "vectors": [HalfVector(vector) for matrix in vectors.values() for vector in matrix],
    }


async def postpone(db: Database, refs: Sequence[RowRef], seconds: float) -> None:
    """Leave facts alone for these many seconds; nobody's attempt is counted."""
    async with db.of(*tenants_of(refs)).autocommit() as tx:
        await tx.execute(queries["postpone"], {"seconds": seconds, **keys_of(refs)})
