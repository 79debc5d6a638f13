"""What the sweeper's watch reads of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.db import Row, Transaction
from shared.spending import store as spending
from shared.spending.store import Limits
from shared.sql import Queries

queries = Queries("services.maintenance.watch")


@dataclass(frozen=True, slots=True)
class Rows:
    """One look: what is open and dead by stage, waits by tenant, is left of budgets; the server."""

    waiting: dict[str, Row]
    dead: dict[str, int]
    held_back: Sequence[Row]
    """The tenants with most messages first, without their names."""
    budgets: Sequence[Row]
    """The tenants with least left first."""
    spent_tenants: int
    server: Row


async def look(tx: Transaction, limits: Limits) -> Rows:
    """Look once at everything; `limits` are those of tenants without a budget of their own."""
    waiting = await tx.rows(queries["waiting"])
    dead = await tx.rows(queries["dead"])
    server = await tx.row(queries["server"])
    assert server is not None
    return Rows(
        waiting={row["stage"]: row for row in waiting},
        dead={row["stage"]: row["dead"] for row in dead},
        held_back=await tx.rows(queries["held_back"]),
        budgets=await tx.rows(queries["budgets"], limits.params()),
        spent_tenants=len(await spending.over_budget(tx)),
        server=server,
    )
