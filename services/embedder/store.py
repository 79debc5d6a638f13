"""What the embedder reads and writes: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector

from shared.db import Database
from shared.events import Announcement, bells_for
from shared.failures.store import RowRef, keys_of
from shared.sql import Queries
from shared.topology import EMBEDDED

queries = Queries("services.embedder")


@dataclass(frozen=True, slots=True)
class Text:
    """A fact's sentence that waits for its vector."""

    ref: RowRef
    content: str


async def texts_of(db: Database, refs: Sequence[RowRef]) -> list[Text]:
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["texts_of"], keys_of(refs))
    return [
        Text(RowRef(row["tenant_id"], row["user_id"], row["id"]), row["content"]) for row in rows
    ]


async def save_vectors(
    db: Database, model: str, texts: Sequence[Text], vectors: NDArray[np.float32]
) -> list[Announcement]:
    """Store the vectors of facts nobody else has moved, and tell the deduper."""
    params = {
        **keys_of([text.ref for text in texts]),
        "vectors": [HalfVector(vector) for vector in vectors],
        "model": model,
    }
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["save_vectors"], params)
    return [(EMBEDDED, bell) for bell in bells_for(rows)]


async def postpone(db: Database, refs: Sequence[RowRef], seconds: float) -> None:
    """Leave facts alone for these many seconds; nobody's attempt is counted."""
    async with db.autocommit() as tx:
        await tx.execute(queries["postpone"], {"seconds": seconds, **keys_of(refs)})
