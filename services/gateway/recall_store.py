"""The arms of recall in SQL: they start from one user's rows, and facts share every filter."""

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
TERMS = 32
SIMILARITY = 0.4
VOCABULARY_LIMIT = 20_000  # facts; beyond, looking for typos costs more than it finds
_PENDING_BOUND = 1_000


@dataclass(frozen=True, slots=True)
class Scope:
    """Which of a user's facts may be recalled; None filters nothing.

    `now` is the moment whose truth is asked for. `named` are the only candidates, whatever the
    cache says of them. What had faded by `fading_at` is left out.
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
    held_since: datetime | None = None
    """With it, what held at any moment from then to `now` counts, not only what holds at `now`."""
    fading_at: datetime | None = None

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "user": self.user,
            "view": self.view if self.named is None else "named",
            "named": None if self.named is None else list(self.named),
            "now": self.now,
            "held_since": self.held_since or self.now,
            "categories": None if self.categories is None else list(self.categories),
            "slots": None if self.slots is None else list(self.slots),
            "metadata": Jsonb(self.metadata) if self.metadata is not None else None,
            "since": self.since,
            "until": self.until,
            "fading_at": None if self.named is not None else self.fading_at,
            "candidates": CANDIDATES,
            **more,
        }


async def vector_arm(tx: Transaction, scope: Scope, model: str, vector: list[float]) -> list[Row]:
    """Rows (id, cosine), nearest first."""
    params = scope.params(model=model, vector=HalfVector(vector), dimensions=len(vector))
    return await tx.rows(queries["vector_arm"], params)


async def lexical_arm(tx: Transaction, scope: Scope, query: str) -> list[Row]:
    """Rows (id, terms, length), best first, each with the corpus (documents, average).

    At least one row; `id` is null where nothing matched. `frequencies` has every term of the
    query, `meant` what a misspelt one was taken for: the same in all rows.
    """
    params = scope.params(
        query=query,
        terms=TERMS,
        similarity=SIMILARITY,
        vocabulary_limit=VOCABULARY_LIMIT,
    )
    rows = await tx.rows(queries["lexical_arm"], params)
    told = {"frequencies": rows[0]["frequencies"], "meant": rows[0]["meant"]}
    return [{**row, **told} for row in rows]


async def message_arm(
    tx: Transaction, scope: Scope, query: str, as_of: datetime | None, known_at: datetime | None
) -> list[Row]:
    """Messages (id, matched_share, weight, before, after), best first; None filters nothing."""
    params: dict[str, Any] = {"tenant": scope.tenant, "user": scope.user, "query": query}
    params |= {"terms": TERMS, "candidates": CANDIDATES, "as_of": as_of, "known_at": known_at}
    return await tx.rows(queries["message_arm"], params)


async def gathered(
    tx: Transaction,
    scope: Scope,
    ids: Sequence[UUID],
    anchors: Sequence[UUID],
    messages: Sequence[UUID],
) -> list[Row]:
    """What ranking needs to know of these facts, and of those around them, under every filter.

    Around are facts that rest on these messages, and neighbours of the anchors among stated facts.
    """
    params = scope.params(ids=list(ids), anchors=list(anchors), messages=list(messages))
    return await tx.rows(queries["gathered"], params)


async def likeness(
    tx: Transaction,
    scope: Scope,
    model: str,
    vector: list[float],
    ids: Sequence[UUID],
    best: Sequence[UUID],
) -> list[Row]:
    """Rows (id, cosine with the query, mean cosine with the best)."""
    params: dict[str, Any] = {"tenant": scope.tenant, "user": scope.user, "model": model}
    params |= {
        "ids": list(ids),
        "vector": HalfVector(vector),
        "dimensions": len(vector),
        "best": list(best),
    }
    return await tx.rows(queries["likeness"], params)


async def hinted_arm(tx: Transaction, scope: Scope, slots: Sequence[str]) -> list[Row]:
    """Rows (id) of these slots, without a measure of their own."""
    return await tx.rows(queries["hinted_arm"], scope.params(hinted=list(slots)))


async def at_large_arm(tx: Transaction, scope: Scope) -> list[Row]:
    """Rows (id, conscious) of what says most about the user as a whole, best first.

    `conscious`: essential, or in the profile.
    """
    return await tx.rows(queries["at_large_arm"], scope.params())


async def conscious(tx: Transaction, scope: Scope) -> list[Row]:
    """Of what passes, the essential facts, then what the profile rests on in its order."""
    return await tx.rows(queries["conscious"], scope.params())


async def slot_places(tx: Transaction, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Each fact's `place` among the `stretches` of its slot's timeline; none without a slot."""
    params = {"tenant": scope.tenant, "user": scope.user, "ids": list(ids)}
    return {row["id"]: row for row in await tx.rows(queries["slot_places"], params)}


async def pending(tx: Transaction, scope: Scope, now: datetime) -> Row:
    """Count a user's messages and facts that are still on their way, at most 1,000 of each."""
    params = {"tenant": scope.tenant, "user": scope.user, "now": now, "bound": _PENDING_BOUND}
    row = await tx.row(queries["pending"], params)
    assert row is not None
    return row


async def faded_among(
    tx: Transaction, scope: Scope, at: datetime, ids: Sequence[UUID]
) -> list[UUID]:
    """List which of these facts were faded at a moment."""
    params = {"tenant": scope.tenant, "user": scope.user, "at": at, "ids": list(ids)}
    return [row["id"] for row in await tx.rows(queries["faded_among"], params)]
