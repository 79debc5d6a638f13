"""What retention reads and removes: each function one bounded statement or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared.db import Row, Transaction
from shared.sql import Queries

queries = Queries("services.maintenance.retention")

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Place:
    """How far along the index of age a turn has come: what is dead before it is not read again."""

    at: datetime = BEGINNING
    user: str = ""
    fact: UUID = _NIL


async def elect(tx: Transaction) -> bool:
    """Take the duty for this transaction; False when another process has it."""
    return bool(await tx.value(queries["elect"]))


async def cutoff(tx: Transaction, days: int) -> datetime:
    """Which moment lies so many days back."""
    found: datetime = await tx.value(queries["cutoff"], {"days": days})
    return found


async def remove_messages(
    tx: Transaction, tenant: str, after: datetime, before: datetime, limit: int
) -> list[Row]:
    """Remove a tenant's oldest messages of this time, with answers that nothing is left of."""
    params = {"tenant": tenant, "after": after, "before": before, "limit": limit}
    gone = await tx.rows(queries["remove_messages"], params)
    if not gone:
        return gone
    keys = {"users": [row["user_id"] for row in gone], "ids": [row["id"] for row in gone]}
    accounts = await tx.rows(queries["forget_accounts"], {"tenant": tenant, **keys})
    read_by = [row for row in (*gone, *accounts) if row["extraction_id"] is not None]
    if read_by:
        params = {
            "tenant": tenant,
            "before": before,
            "users": [row["user_id"] for row in read_by],
            "ids": [row["extraction_id"] for row in read_by],
        }
        await tx.execute(queries["drop_answers"], params)
    return gone


async def superseded(
    tx: Transaction, tenant: str, after: Place, before: datetime, limit: int
) -> list[Row]:
    """List the next superseded facts of this time."""
    params = {
        "tenant": tenant,
        "after": after.at,
        "after_user": after.user,
        "after_id": after.fact,
        "before": before,
        "limit": limit,
    }
    return await tx.rows(queries["superseded"], params)


async def remove_facts(tx: Transaction, tenant: str, user: str, ids: Sequence[UUID]) -> None:
    params = {"tenant": tenant, "user": user, "ids": list(ids)}
    await tx.execute(queries["remove_facts"], params)


async def end_profiles(tx: Transaction, limit: int) -> list[Row]:
    """Mark profiles that rest on what has ended by itself; returns whose they are."""
    return await tx.rows(queries["end_profiles"], {"limit": limit})


async def stale_profiles(tx: Transaction, seconds: float, limit: int) -> list[Row]:
    """Mark profiles that have been stale for so long; returns whose they are."""
    return await tx.rows(queries["stale_profiles"], {"seconds": seconds, "limit": limit})


async def remove_keys(tx: Transaction, days: int, limit: int) -> int:
    return await tx.execute(queries["remove_keys"], {"days": days, "limit": limit})


async def remove_events(tx: Transaction, days: int, limit: int) -> int:
    return int(await tx.value(queries["remove_events"], {"days": days, "limit": limit}))


async def remove_failures(tx: Transaction, days: int, limit: int) -> int:
    return await tx.execute(queries["remove_failures"], {"days": days, "limit": limit})
