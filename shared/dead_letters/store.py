"""Dead letters in PostgreSQL: which there are, and what is done about them.

A letter with a payload never became a row: its payload is its only copy and may be mended. One
without is a row that waits where it failed; trying it again is all that can be done for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.db import Row, Transaction
from shared.sql import Queries

queries = Queries("shared.dead_letters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters of a tenant: all that meet every condition given."""

    tenant: str
    ids: Sequence[UUID] | None = None
    stage: str | None = None
    error_class: str | None = None
    older_than_seconds: float | None = None

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "ids": list(self.ids) if self.ids is not None else None,
            "stage": self.stage,
            "error_class": self.error_class,
            "older": self.older_than_seconds,
            **more,
        }


async def list_dead(
    tx: Transaction,
    selection: Selection,
    *,
    before: tuple[Any, UUID] | None = None,
    limit: int = 50,
) -> list[Row]:
    """List at most `limit`, newest first, behind (dead_at, id)."""
    at, row = before or (None, None)
    params = selection.params(before_at=at, before_id=row, limit=limit)
    return await tx.rows(queries["list_dead"], params)


async def list_dropped(tx: Transaction, tenant: str, limit: int = 50) -> list[Row]:
    return await tx.rows(queries["list_dropped"], {"tenant": tenant, "limit": limit})


async def summarize(tx: Transaction, tenant: str) -> list[Row]:
    """Count by stage and class: (stage, error_class, dead, last_hour, oldest, newest, example)."""
    return await tx.rows(queries["summarize_dead"], {"tenant": tenant})


async def count_by_stage(tx: Transaction) -> list[Row]:
    """Count every tenant's, by stage: (stage, dead, last_hour)."""
    return await tx.rows(queries["count_dead"])


async def mend(tx: Transaction, tenant: str, row: UUID, payload: dict[str, Any]) -> Row | None:
    """Replace a letter's payload; None where there is no such letter, or it has none."""
    params = {"tenant": tenant, "id": row, "payload": Jsonb(payload)}
    return await tx.row(queries["mend"], params)


async def redrive(tx: Transaction, selection: Selection) -> int:
    """Give letters a fresh set of attempts; returns how many. What was cut stays where it is."""
    return int(await tx.value(queries["redrive"], selection.params()))


async def drop_dead(
    tx: Transaction, selection: Selection, *, actor: str, reason: str | None
) -> int:
    """Give letters up for good; returns how many. Their payloads are gone."""
    params = selection.params(actor=actor, reason=reason)
    return int(await tx.value(queries["drop_dead"], params))
