"""What the gateway reads to tell what happened, in an order that never gains an earlier entry.

A position is (xid, seq): the transaction that wrote an event, and its number within the table.
Sequence values alone commit out of order, and a reader that trusted them would miss events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from services.gateway.store import queries
from shared.db import Row, Transaction

EVENT_ID = "^[0-9]{1,19}(-[0-9]{1,19})?$"  # as JSON Schema writes it
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a reader has come to; written as `<xid>-<seq>`."""

    xid: int = 0
    seq: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an event's id; raises ValueError for anything else."""
        if not re.fullmatch(EVENT_ID, text) or text.endswith("\n"):
            raise ValueError("not an event's id")
        xid, _, seq = text.partition("-")
        found = cls(int(xid), int(seq or 0))
        if max(found.xid, found.seq) > _LARGEST:
            raise ValueError("not an event's id")
        return found

    def __str__(self) -> str:
        return f"{self.xid}-{self.seq}"


async def events_after(
    tx: Transaction, tenant: str, user: str | None, position: Position, limit: int
) -> list[Row]:
    """Read at most `limit` events of a tenant (of one user) behind a position, in order."""
    params = {
        "tenant": tenant,
        "user": user,
        "xid": str(position.xid),
        "seq": position.seq,
        "limit": limit,
    }
    return await tx.rows(queries["events_after"], params)


async def position_now(tx: Transaction) -> Position:
    """Tell the position behind which everything that ends from now on will appear."""
    return Position(int(await tx.value(queries["events_now"])), 0)


async def missed_any(tx: Transaction, tenant: str, position: Position) -> bool:
    """Say whether events behind this position have been removed since."""
    params = {"tenant": tenant, "xid": str(position.xid), "seq": position.seq}
    return bool(await tx.value(queries["missed_events"], params))
