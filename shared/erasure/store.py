"""Erasures in PostgreSQL: tombstones, the rows that go, and the certificates that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.db import Row, Transaction
from shared.erasure.law import Position, Tombstones, session_sha256
from shared.ids import time_ordered_id
from shared.sql import Queries

queries = Queries("shared.erasure")

Whose = tuple[str, str]
"""Tenant and user."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """Which erasure: all that is left of its user is a digest."""

    tenant: str
    user_sha256: bytes
    id: UUID

    @property
    def params(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "user_sha256": self.user_sha256, "id": self.id}


# ---- tombstones


async def hold_user(tx: Transaction, tenant: str, user: str) -> None:
    """Wait for whoever is changing the user's row, and keep others from it."""
    await tx.rows(queries["hold_user"], {"tenant": tenant, "user": user})


async def lock_user(tx: Transaction, tenant: str, user: str) -> None:
    """Wait for whoever adds rows about this user, and keep others from beginning."""
    await tx.rows(queries["lock_user"], {"tenant": tenant, "user": user})


async def set_tombstone(
    tx: Transaction, tenant: str, user: str, actor: str, place: Position | None
) -> UUID:
    """Set it, or find the one whose rows are still being erased. Under the user's lock.

    `place` is the stream's last; None: Redis is away, and PostgreSQL's time has to do.
    """
    params = {"tenant": tenant, "user": user, "id": time_ordered_id(), "actor": actor}
    made = await tx.value(queries["set_tombstone"], {**params, **_place(place)})
    found: UUID = made or await tx.value(queries["open_tombstone"], params)
    return found


async def set_finished_tombstone(
    tx: Transaction,
    whose: Whose,
    what: tuple[Literal["session", "message"], str],
    actor: str,
    place: Position | None,
    counts: Mapping[str, int],
) -> UUID:
    """Record that a session, or a message of it, was erased in this transaction."""
    (tenant, user), (scope, session) = whose, what
    row = time_ordered_id()
    params = {
        "tenant": tenant,
        "user": user,
        "id": row,
        "scope": scope,
        "session_sha256": session_sha256(tenant, user, session) if scope == "session" else None,
        "actor": actor,
        "counts": Jsonb(_told(counts)),
    }
    await tx.execute(queries["set_finished_tombstone"], {**params, **_place(place)})
    return row


def _place(place: Position | None) -> dict[str, int | None]:
    return {"ms": place and place.ms, "sequence": place and place.sequence}


async def hold_off(tx: Transaction, users: Sequence[Whose]) -> Tombstones:
    """Keep these users' tombstones from being set until this transaction ends; those that are."""
    params = _users(users)
    await tx.rows(queries["hold_off"], params)
    return Tombstones(await tx.rows(queries["tombstones_of"], params))


async def being_erased(tx: Transaction, users: Sequence[Whose]) -> set[Whose]:
    """Tell which of these users may have no rows just now."""
    rows = await tx.rows(queries["being_erased"], _users(users))
    return {(row["tenant_id"], row["user_id"]) for row in rows}


def _users(users: Sequence[Whose]) -> dict[str, list[str]]:
    return {"tenants": [tenant for tenant, _ in users], "users": [user for _, user in users]}


async def remembered(tx: Transaction, tenant: str, ids: Sequence[UUID]) -> set[UUID]:
    """Tell which of these messages or stated facts were erased."""
    rows = await tx.rows(queries["remembered"], {"tenant": tenant, "ids": list(ids)})
    return {row["id"] for row in rows}


async def erased_since(tx: Transaction, since: datetime) -> tuple[datetime, set[tuple[str, bytes]]]:
    """The time now, and whose erasure was asked for since then: tenants and users' digests."""
    rows = await tx.rows(queries["erased_since"], {"since": since})
    erased = {(row["tenant_id"], bytes(row["user_sha256"])) for row in rows if row["tenant_id"]}
    return rows[0]["now"], erased


# ---- what goes


async def unfinished(tx: Transaction, limit: int) -> list[Erasure]:
    rows = await tx.rows(queries["unfinished"], {"limit": limit})
    return [Erasure(row["tenant_id"], bytes(row["user_sha256"]), row["id"]) for row in rows]


async def is_over(tx: Transaction, erasure: Erasure) -> bool:
    """Tell whether nothing is left in the database."""
    return bool(await tx.value(queries["is_over"], erasure.params))


async def take(tx: Transaction, erasure: Erasure) -> Row | None:
    """Take it for this transaction: user_id, counts, the place, whether all is gone.

    None: somebody else has it, or it is finished.
    """
    return await tx.row(queries["take"], erasure.params)


async def erase(tx: Transaction, table: str, whose: Whose, limit: int | None) -> int:
    """Delete rows about a user from a table; how many."""
    params = {"table": table, "tenant": whose[0], "user": whose[1], "limit": limit}
    return int(await tx.value(queries["erase"], params))


async def erase_idempotency_keys(tx: Transaction, whose: Whose) -> int:
    """Delete those of clients with a key of this user alone; how many."""
    params = {"tenant": whose[0], "user": whose[1]}
    return await tx.execute(queries["erase_idempotency_keys"], params)


async def count(tx: Transaction, erasure: Erasure, counts: Mapping[str, int]) -> None:
    await tx.execute(queries["count"], {**erasure.params, "counts": Jsonb(_told(counts))})


async def gone(tx: Transaction, erasure: Erasure, user: str, counts: Mapping[str, int]) -> None:
    """Note that nothing is left in the database."""
    params = {**erasure.params, "user": user, "counts": Jsonb(_told(counts))}
    await tx.execute(queries["step_back_refold"], params)
    await tx.execute(queries["gone"], params)


async def finish(tx: Transaction, erasure: Erasure, streams: Mapping[str, int] | None) -> None:
    """End it; `streams` is what was taken out of Redis, None where there is none."""
    told = None if streams is None else Jsonb(_told(streams))
    params = {**erasure.params, "streams": told}
    await tx.execute(queries["finish"], params)


def _told(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number}


# ---- what stays


async def certificate(tx: Transaction, tenant: str, user: str, row: UUID) -> Row | None:
    return await tx.row(queries["certificate"], {"tenant": tenant, "user": user, "id": row})


async def certificates(
    tx: Transaction, whose: Whose, before: tuple[datetime | None, UUID | None], limit: int
) -> list[Row]:
    """List a user's certificates, the last first; one more than `limit` when there are more."""
    params = {
        "tenant": whose[0],
        "user": whose[1],
        "before_at": before[0],
        "before_id": before[1],
        "limit": limit + 1,
    }
    return await tx.rows(queries["certificates"], params)
