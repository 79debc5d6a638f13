"""What the gateway reads to say how far a message, fact or job has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from services.gateway.store import queries
from shared.db import Row, Transaction
from shared.failures.store import RowRef, keys_of

Table = Literal["chat_logs", "facts", "jobs"]


async def traced_row(
    tx: Transaction, tenant: str, row: UUID, only: str | None = None
) -> tuple[Table, Row] | None:
    """Find what a trace is of: a message, else a fact, else a job of this tenant (or user)."""
    params = {"tenant": tenant, "id": row, "only": only}
    if found := await tx.row(queries["traced_message"], params):
        return "chat_logs", found
    if found := await tx.row(queries["traced_fact"], params):
        return "facts", found
    if found := await tx.row(queries["traced_job"], params):
        return "jobs", found
    return None


async def facts_of_message(tx: Transaction, message: RowRef) -> list[UUID]:
    """List the facts that rest on a message, by its own first."""
    params = {"tenant": message.tenant, "user": message.user, "id": message.id}
    return [row["id"] for row in await tx.rows(queries["facts_of_message"], params)]


async def extraction_of_message(tx: Transaction, message: RowRef) -> Row | None:
    """Read how a message was extracted; None while it is not."""
    params = {"tenant": message.tenant, "user": message.user, "id": message.id}
    return await tx.row(queries["extraction_of_message"], params)


async def progress_of(tx: Transaction, table: Table, refs: Sequence[RowRef]) -> list[Row]:
    """Read, row by row, whether it is done or dead."""
    return await tx.rows(queries[f"progress_of_{table}"], keys_of(refs))


async def failures_of(tx: Transaction, tenant: str, rows: Sequence[UUID]) -> list[Row]:
    params = {"tenant": tenant, "subjects": [str(row) for row in rows]}
    return await tx.rows(queries["failures_of"], params)
