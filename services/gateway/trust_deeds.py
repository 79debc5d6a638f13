"""What operators do about trust: review what is held, forget what was learnt.

Each is one transaction. Like every deed it is recorded with who, when and why, folded at once under
the user's lock, and can be taken back. The law says which facts a deed reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.gateway import act_store, deeds, store
from services.gateway.act_store import Deed, Learnt
from services.gateway.errors import ApiError, not_found
from shared.db import Row, Transaction
from shared.events import Announcement
from shared.jobs.store import request_job
from shared.ledger.folding import held_key


async def review(tx: Transaction, deed: Deed, fact: UUID, *, approved: bool) -> list[Announcement]:
    """Let what is held count from when it was said, or forget it.

    Raises ApiError (conflict) where nothing waits. What is approved is compared with what the user
    said meanwhile.
    """
    await deeds.take(tx, deed)
    rows = await store.facts_by_ids(tx, deed.tenant, deed.user, [fact])
    key = held_key(rows[0]) if rows else None
    if key is None or rows[0]["standing"] != "quarantined":
        raise ApiError("conflict", "The fact is not held for review.")
    await act_store.record_review(tx, deed, fact, key, approved=approved)
    alike = await act_store.held_alike(tx, deed, rows[0])
    ids = [row["id"] for row in alike]
    if not approved:
        await act_store.hide_unfolded_facts(tx, deed, ids)
        return await deeds.refolded(tx, deed, alike, "fact.rejected", rows)
    await deeds.show_unfolded(tx, deed, ids)
    told = await deeds.refolded(tx, deed, alike, "fact.approved", rows)
    return [*told, *await _compare_again(tx, deed, rows[0])]


async def _compare_again(tx: Transaction, deed: Deed, fact: Row) -> list[Announcement]:
    """Have a sentence compared that passed the deduper by while it was held."""
    if fact["slot"] is not None or fact["state"] not in {"compared", "settled"}:
        return []
    _, bells = await request_job(tx, deed.tenant, deed.user, "consolidate")
    return bells


async def forget_learnt(
    tx: Transaction, deed: Deed, learnt: Learnt, messages: Sequence[UUID]
) -> tuple[int, list[Announcement]]:
    """Forget what rests on these messages alone, or was learnt so; returns how many facts went.

    What is still on its way from them is forgotten when it arrives.
    """
    await deeds.take(tx, deed)
    await act_store.record_sweeping(tx, deed, learnt, messages)
    reached = await act_store.facts_of_deed(tx, deed, deed.id)
    gone = [row for row in reached if row["standing"] != "forgotten"]
    await act_store.hide_unfolded_facts(tx, deed, [row["id"] for row in gone])
    return len(gone), await deeds.refolded(tx, deed, gone, "fact.forgotten", gone)


async def undo_forgetting(
    tx: Transaction, deed: Deed, forgetting: UUID
) -> tuple[int, list[Announcement]]:
    """Take a forgetting back; what other deeds forget stays forgotten.

    Raises ApiError: not_found where there is no such act, conflict where it was undone before.
    """
    await deeds.take(tx, deed)
    found = await act_store.sweeping_deed(tx, deed, forgetting)
    if found is None:
        raise not_found("act")
    if found["undone"]:
        raise ApiError("conflict", "This was undone before.")
    reached = await act_store.facts_of_deed(tx, deed, forgetting)
    await act_store.record_undo(tx, deed, None, forgetting)
    await deeds.show_unfolded(tx, deed, [row["id"] for row in reached])
    told = await deeds.refolded(tx, deed, reached, "fact.restored", [])
    after = await store.facts_by_ids(tx, deed.tenant, deed.user, [row["id"] for row in reached])
    return sum(row["standing"] != "forgotten" for row in after), told
