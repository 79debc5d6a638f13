"""What is read and written of quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import Rollback

from shared.db import Row, Transaction
from shared.quotas.shares import shards_of, share_of, spread
from shared.sql import Queries

queries = Queries("shared.quotas")


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """A tenant's own limits; None: as in the settings, 0: none."""

    requests_per_minute: int | None = None
    key_requests_per_minute: int | None = None
    messages_per_day: int | None = None
    facts_per_day: int | None = None


async def own_limits(tx: Transaction) -> list[Row]:
    """Read the quotas of every tenant that has limits of its own."""
    return await tx.rows(queries["own_limits"], {})


async def take(
    tx: Transaction, tenant: str, quota: str, number: int, limit: int, at: int
) -> dict[int, int]:
    """Count up to `number` within the limit, beginning at one row; how many in which.

    Only when that row has no room are the others looked at, in order: so no two who count wait for
    each other in a circle.
    """
    key = {"tenant": tenant, "quota": quota}
    shards = shards_of(limit)
    first = at % shards
    share = share_of(limit, first)
    one = {**key, "number": number, "shard": first, "share": share}
    if number <= share and await _counted_in_one(tx, one):
        return {first: number}
    await tx.execute(queries["open_day"], {**key, "shards": shards})
    used = {row["shard"]: row["used"] for row in await tx.rows(queries["hold_all"], key)}
    taken = spread(number, limit, used, first)
    await add(tx, tenant, quota, taken)
    return taken


async def _counted_in_one(tx: Transaction, params: Mapping[str, Any]) -> bool:
    """Count in one row where it has room; where it has none, hold nothing.

    A row that was waited for and has no room any more stays locked, and its holder would then wait
    for rows before it, against the order: hence the savepoint, which lets it go.
    """
    async with tx.connection.transaction() as savepoint:
        if await tx.row(queries["count_in_one"], params):
            return True
        raise Rollback(savepoint)
    return False


async def add(tx: Transaction, tenant: str, quota: str, numbers: Mapping[int, int]) -> None:
    """Add to the counts of a transaction that took them before; less than nothing gives back."""
    if not any(numbers.values()):
        return
    params = {
        "tenant": tenant,
        "quota": quota,
        "shards": list(numbers),
        "numbers": list(numbers.values()),
    }
    await tx.execute(queries["add"], params)


async def limits_of(tx: Transaction, tenant: str) -> Row:
    """Read a tenant's own limits and what it used today."""
    row = await tx.row(queries["limits_of"], {"tenant": tenant})
    assert row is not None
    return row


async def set_limits(tx: Transaction, tenant: str, limits: TenantLimits) -> None:
    await tx.execute(queries["set_limits"], {"tenant": tenant, **asdict(limits)})
