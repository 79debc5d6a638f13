"""What the gateway reads and writes of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway.store import queries
from shared.db import Row, Transaction


async def key_by_id(tx: Transaction, row: UUID) -> Row | None:
    return await tx.row(queries["key_by_id"], {"id": row})


async def create_key(
    tx: Transaction,
    tenant: str,
    row: UUID,
    *,
    name: str,
    scope: str,
    secret_sha256: bytes,
    expires_at: datetime | None,
    user: str | None = None,
) -> Row:
    """Store a new key; its tenant comes into being with it."""
    created = await tx.row(
        queries["create_key"],
        {
            "tenant": tenant,
            "id": row,
            "name": name,
            "scope": scope,
            "secret_sha256": secret_sha256,
            "expires_at": expires_at,
            "user": user,
        },
    )
    assert created is not None
    return created


async def keys_page(tx: Transaction, tenant: str, after: tuple[Any, Any], limit: int) -> list[Row]:
    """List a tenant's keys, oldest first; one row more than `limit` when there are more."""
    params = {"tenant": tenant, "after_at": after[0], "after_id": after[1], "limit": limit + 1}
    return await tx.rows(queries["keys_page"], params)


async def revoke_key(
    tx: Transaction, tenant: str, row: UUID, overlap_seconds: int = 0
) -> Row | None:
    """Revoke a tenant's key, now or soon; a key that ends earlier keeps its end."""
    params = {"tenant": tenant, "id": row, "overlap": overlap_seconds}
    return await tx.row(queries["revoke_key"], params)


async def lock_key(tx: Transaction, tenant: str, row: UUID) -> Row | None:
    """Read a tenant's key and keep others from changing it."""
    return await tx.row(queries["lock_key"], {"tenant": tenant, "id": row})


async def rates_of_tenant(tx: Transaction, tenant: str) -> Row | None:
    """Read how many requests a tenant may send; None where the settings say."""
    return await tx.row(queries["rates_of_tenant"], {"tenant": tenant})


async def note_uses(tx: Transaction, used: Mapping[UUID, datetime]) -> None:
    params = {"ids": list(used), "moments": list(used.values())}
    await tx.execute(queries["note_uses"], params)
