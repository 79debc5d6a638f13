"""What the superseder writes: settled facts, the user's rewritten beliefs, and the events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db import Database, Row
from shared.events import Announcement
from shared.ledger import store as ledger
from shared.patience import UserBusyError
from shared.sql import Queries

queries = Queries("services.superseder")

LOCK_SCOPE = "beliefs"


async def settle(db: Database, tenant: str, user: str, ids: Sequence[UUID]) -> list[Announcement]:
    """Settle facts and fold everything they touch, in one transaction under the user's lock.

    Raises UserBusyError when the user is somebody else's just now.
    """
    async with db.transaction() as tx:
        if not await ledger.try_lock_user(tx, LOCK_SCOPE, tenant, user):
            raise UserBusyError(f"user {user!r} is busy")
        params = {"tenant": tenant, "user": user, "ids": list(ids)}
        claimed = await tx.rows(queries["claim"], params)
        attributes = {(row["subject"], row["slot"]) for row in claimed if row["slot"]}
        free_text = [row["id"] for row in claimed if not row["slot"]]
        changes = await ledger.refold(tx, tenant, user, attributes, free_text)
        occurrences = [*_settled(claimed), *filter(None, map(ledger.occurrence_of, changes))]
        return await ledger.record_events(tx, tenant, user, occurrences)


def _settled(claimed: Sequence[Row]) -> list[ledger.Occurrence]:
    return [ledger.Occurrence("fact.settled", row["id"], ledger.trace_of(row)) for row in claimed]
