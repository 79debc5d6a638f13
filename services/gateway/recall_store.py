"""The two arms of recall in SQL: they start from one user's facts and share every filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector import HalfVector
from psycopg.types.json import Jsonb

from services.gateway.store import queries
from shared.db import Row, Transaction

CANDIDATES = 100  # an arm; what is found below that place has never won
_TERMS = 32
SIMILARITY = 0.4
VOCABULARY_LIMIT = 20_000  # facts; beyond, looking for typos costs more than it finds
_PENDING_BOUND = 1_000


@dataclass(frozen=True, slots=True)
class Scope:
    """Which of a user's facts may be recalled; None filters nothing.

    `now` is the moment whose truth is asked for. `named` are the only candidates, whatever the
    cache says of them.
    """

    tenant: str
    user: str
    view: str
    now: datetime
    categories: Sequence[str] | None = None
    slots: Sequence[str] | None = None
    metadata: dict[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None
    named: Sequence[UUID] | None = None

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "user": self.user,
            "view": self.view if self.named is None else "named",
            "named": None if self.named is None else list(self.named),
            "now": self.now,
            "categories": None if self.categories is None else list(self.categories),
            "slots": None if self.slots is None else list(self.slots),
            "metadata": Jsonb(self.metadata) if self.metadata is not None else None,
            "since": self.since,
            "until": self.until,
            "candidates": CANDIDATES,
            **more,
        }


async def vector_arm(tx: Transaction, scope: Scope, model: str, vector: list[float]) -> list[Row]:
    """Rows (id, cosine, confidence, said_at, essential, evidence_count), nearest first."""
    params = scope.params(model=model, vector=HalfVector(vector), dimensions=len(vector))
    return await tx.rows(queries["vector_arm"], params)


async def lexical_arm(tx: Transaction, scope: Scope, query: str) -> list[Row]:
    """At least one row, each with the corpus; `id` is null where nothing matched.

    `frequencies` has every term of the query, `meant` what a misspelt one was taken for.
    """
    params = scope.params(
        query=query,
        terms=_TERMS,
        similarity=SIMILARITY,
        vocabulary_limit=VOCABULARY_LIMIT,
    )
    return await tx.rows(queries["lexical_arm"], params)


async def pending(tx: Transaction, scope: Scope, now: datetime) -> Row:
    """Count a user's messages and facts that are still on their way, at most 1,000 of each."""
    params = {"tenant": scope.tenant, "user": scope.user, "now": now, "bound": _PENDING_BOUND}
    row = await tx.row(queries["pending"], params)
    assert row is not None
    return row
