"""Reads a user as lines, page by page, and stores lines; what is there already stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from shared.db import Row, Transaction
from shared.events import Announcement, bells_for
from shared.sql import Queries
from shared.topology import EXTRACTED

queries = Queries("services.gateway.portable")


async def exported_user(tx: Transaction, tenant: str, user: str) -> Row | None:
    return await tx.row(queries["export_user"], {"tenant": tenant, "user": user})


async def page(
    tx: Transaction, kind: str, tenant: str, user: str, after: str | None, limit: int
) -> list[Row]:
    """Read the next lines of a kind: (place, line)."""
    params = {"tenant": tenant, "user": user, "after": after, "limit": limit}
    return await tx.rows(queries[f"export_{kind}"], params)


async def generation_of(tx: Transaction, tenant: str, user: str) -> int | None:
    found = await tx.value(queries["generation_of"], {"tenant": tenant, "user": user})
    return None if found is None else int(found)


async def store_lines(
    tx: Transaction, kind: str, tenant: str, user: str, lines: Sequence[dict[str, Any]]
) -> tuple[int, list[Announcement]]:
    """Store lines of a kind; how many were not there yet, and what to ring.

    Raises psycopg.DataError or psycopg.IntegrityError for what is no line of this kind.
    """
    params = {"tenant": tenant, "user": user, "rows": Jsonb(list(lines))}
    if kind != "fact":
        return await tx.execute(queries[f"import_{kind}"], params), []
    rows = await tx.rows(queries["import_fact"], params)
    return len(rows), [(EXTRACTED, bell) for bell in bells_for(rows)]
