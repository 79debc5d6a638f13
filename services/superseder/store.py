"""What the superseder writes: settled facts, rewritten beliefs, and the events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from shared.crash import AtPoint, ignore_point
from shared.db import Database, Row
from shared.events import Announcement
from shared.failures.store import RowRef, keys_of
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.metrics.commits import arrived, committed
from shared.sql import Queries

queries = Queries("services.superseder")


async def settle(
    db: Database, users: Sequence[Sequence[RowRef]], at_point: AtPoint = ignore_point
) -> list[list[Announcement] | None]:
    """Settle facts and fold everything they touch: one transaction, under each user's lock.

    Takes one list of facts per user, and answers with one list of announcements each; None for a
    user who is somebody else's just now.
    """
    keys = [(refs[0].tenant, refs[0].user) for refs in users]
    async with db.of(*{tenant for tenant, _ in keys}).transaction() as tx:
        at_point("begin")
        free = await ledger.try_lock_users(tx, ledger.BELIEFS, keys)
        refs = [ref for key, mine in zip(keys, users, strict=True) if key in free for ref in mine]
        claimed = await tx.rows(queries["claim"], keys_of(refs))
        at_point("moved")
        changes = await ledger.refold(tx, _attributes(claimed), _free_text(claimed))
        at_point("written")
        news = [row for row in claimed if row["counts"]]
        changed = {change.fact for change in changes}
        occurrences = [
            *(_settled(row, changed) for row in news),
            *filter(None, map(ledger.occurrence_of, changes)),
        ]
        announcements = await ledger.record_events(tx, occurrences)
        at_point("saved")
    at_point("committed")
    committed("superseder", len(refs), len(claimed))
    arrived((row["seconds"] for row in news), "fact")
    answers: list[list[Announcement] | None] = [[] if key in free else None for key in keys]
    first_free = next((index for index, key in enumerate(keys) if key in free), None)
    if first_free is not None:
        answers[first_free] = announcements
    return answers


def _attributes(claimed: Sequence[Row]) -> set[tuple[ledger.UserKey, folding.Attribute]]:
    return {
        ((row["tenant_id"], row["user_id"]), (row["subject"], row["slot"]))
        for row in claimed
        if row["slot"]
    }


def _free_text(claimed: Sequence[Row]) -> list[RowRef]:
    return [
        RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in claimed if not row["slot"]
    ]


def _settled(row: Row, changed: Collection[UUID]) -> ledger.Occurrence:
    """Tell that a fact is settled, or that it was held and the law left it so."""
    user = (row["tenant_id"], row["user_id"])
    event = "fact.quarantined" if row["held"] and row["id"] not in changed else "fact.settled"
    return ledger.Occurrence(user, event, row["id"], folding.trace_of(row))
