"""What the decay job reads and writes: from when on each of a user's facts is faded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.maintenance.fading.weight import HalfLives
from shared.db import Row, Transaction
from shared.failures.store import RowRef
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.ledger.store import Occurrence, UserKey
from shared.sql import Queries

queries = Queries("services.maintenance.fading")

FACTS_A_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What became of some of a user's facts: how many were looked at, up to which, and changed."""

    looked: int
    last: UUID | None
    changed: int
    happened: Sequence[Occurrence]
    due_at: datetime | None
    """When time alone will change something about these; None: never."""
    turned: bool
    """Whether what is believed began or ended by itself since the last run."""


async def reckon(
    tx: Transaction, user: UserKey, after: UUID | None, lives: HalfLives, faded_below: float
) -> Reckoned:
    """Work out anew when the next facts fade, write what differs, and mark what rests on them."""
    params: dict[str, Any] = {
        **_key(user),
        "after": after,
        "limit": FACTS_A_BATCH,
        "slots": list(lives.slots),
        "slot_days": list(lives.slots.values()),
        "categories": list(lives.categories),
        "category_days": list(lives.categories.values()),
        "other_days": lives.other,
        "faded_below": faded_below,
    }
    rows = await tx.rows(queries["reckon"], params)
    changed = [row for row in rows if row["id"] is not None]
    turned = [row for row in changed if row["live"] and row["faded"] != row["was_faded"]]
    if turned:
        await ledger.mark_stale(tx, [RowRef(*user, row["id"]) for row in turned])
    happened = [_occurrence(user, row) for row in turned]
    full = rows[0]["looked"] == FACTS_A_BATCH
    last = rows[0]["last"] if full else None
    first = rows[0]
    return Reckoned(first["looked"], last, len(changed), happened, first["due_at"], first["turned"])


def _occurrence(user: UserKey, row: Row) -> Occurrence:
    if not row["faded"]:
        return Occurrence(user, "fact.revived", row["id"], folding.trace_of(row))
    data = {"since": row["fades_at"].isoformat()}
    return Occurrence(user, "fact.faded", row["id"], folding.trace_of(row), data)


def _key(user: UserKey) -> dict[str, Any]:
    return {"tenant": user[0], "user": user[1]}
