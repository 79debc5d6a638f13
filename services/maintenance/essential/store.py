"""What choosing the essential facts reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.maintenance.essential.choosing import Known
from services.maintenance.essential.model import Ranked, Ranker
from services.maintenance.fading.weight import effective_confidence, half_lives
from shared.db import OperatorDatabase, Row, Transaction
from shared.ledger import folding
from shared.ledger.store import Occurrence, UserKey
from shared.sql import Queries

queries = Queries("services.maintenance.essential")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a model answered before; `facts` is None where that was of no use."""

    facts: tuple[UUID, ...] | None


async def known_facts(tx: Transaction, user: UserKey) -> list[Known]:
    """Read what is believed now about the user themself, with what is left of its confidence."""
    return [_known(row) for row in await tx.rows(queries["known_facts"], _key(user))]


def _known(row: Row) -> Known:
    half_life = half_lives().of(row["slot"], row["category"])
    return Known(
        id=row["id"],
        slot=row["slot"],
        category=row["category"],
        content=row["content"],
        evidence_count=row["evidence_count"],
        certainty=effective_confidence(row["confidence"], row["last_at"], half_life, row["now"]),
        uses=row["uses"],
        essential=row["essential"],
        said_at=row["said_at"],
    )


async def look_again_at(tx: Transaction, days: int) -> datetime:
    """Which moment it will be in so many days, by PostgreSQL's clock."""
    at: datetime = await tx.value(queries["look_again_at"], {"days": days})
    return at


async def stored_ranking(db: OperatorDatabase, user: UserKey, inputs: bytes) -> Stored | None:
    """What a model answered about these very inputs; None when it was not asked about them."""
    async with db.autocommit() as tx:
        row = await tx.row(queries["stored_ranking"], {**_key(user), "inputs": inputs})
    if row is None:
        return None
    return Stored(None if row["ranked"] is None else tuple(row["ranked"]))


async def save_ranking(
    db: OperatorDatabase, user: UserKey, inputs: bytes, ranker: Ranker, ranked: Ranked | None
) -> None:
    """Keep a paid answer before it is used; None: it was of no use, and is not asked for again."""
    params: dict[str, Any] = {
        **_key(user),
        "inputs": inputs,
        "ranked": None if ranked is None else list(ranked.facts),
        "model": ranker.model,
        "prompt": ranker.prompt,
        "input_tokens": 0 if ranked is None else ranked.tokens[0],
        "output_tokens": 0 if ranked is None else ranked.tokens[1],
    }
    async with db.autocommit() as tx:
        await tx.execute(queries["save_ranking"], params)


async def mark_essential(tx: Transaction, user: UserKey, facts: Sequence[UUID]) -> list[Occurrence]:
    """Have these be the user's essential facts and no others; returns what happened."""
    rows = await tx.rows(queries["mark_essential"], {**_key(user), "ids": list(facts)})
    return [
        Occurrence(
            user,
            "fact.promoted" if row["essential"] else "fact.demoted",
            row["id"],
            folding.trace_of(row),
        )
        for row in sorted(rows, key=lambda row: (not row["essential"], row["id"]))
    ]


def _key(user: UserKey) -> dict[str, Any]:
    return {"tenant": user[0], "user": user[1]}
