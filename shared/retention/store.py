"""Tenants' windows, and what is remembered of removed messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from shared.db import Row, Transaction
from shared.settings import Settings
from shared.sql import Queries

queries = Queries("shared.retention")


@dataclass(frozen=True, slots=True)
class Windows:
    """Days that messages and superseded facts are kept; 0: for ever, None: as the settings say."""

    message_days: int | None = None
    superseded_days: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.retain_message_days, settings.retain_superseded_days)

    def beside(self, default: Windows) -> Windows:
        """These windows, where a tenant has its own, else the default's."""
        return Windows(
            default.message_days if self.message_days is None else self.message_days,
            default.superseded_days if self.superseded_days is None else self.superseded_days,
        )


async def windows_of(tx: Transaction, tenant: str) -> Windows:
    """Read a tenant's own windows."""
    row = await tx.row(queries["windows_of"], {"tenant": tenant})
    assert row is not None
    return Windows(row["message_days"], row["superseded_days"])


async def windows(tx: Transaction) -> dict[str, Windows]:
    """Read every tenant's own windows."""
    rows = await tx.rows(queries["windows"])
    return {row["tenant_id"]: Windows(row["message_days"], row["superseded_days"]) for row in rows}


async def set_windows(tx: Transaction, tenant: str, own: Windows) -> None:
    params = {"message_days": own.message_days, "superseded_days": own.superseded_days}
    await tx.execute(queries["set_windows"], {"tenant": tenant, **params})


async def removed_sources(
    tx: Transaction, tenant: str, user: str, ids: Sequence[UUID]
) -> list[Row]:
    """List which of these messages retention has removed, and when."""
    params = {"tenant": tenant, "user": user, "ids": list(ids)}
    return await tx.rows(queries["removed_sources"], params)


async def count_removed(tx: Transaction, tenant: str) -> int:
    """Count the tenant's messages that retention has removed."""
    return int(await tx.value(queries["count_removed"], {"tenant": tenant}))
