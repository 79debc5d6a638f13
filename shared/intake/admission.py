"""Storing messages within their tenants' quotas: what is new counts, a retry never does.

Counted in the transaction that stores, so a crash counts nothing that is not there, and no number
of processes together stores more than the quota.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.db import Transaction
from shared.intake.messages import Message
from shared.intake.store import Outcome, Stored, known_ids, store_messages
from shared.quotas import store
from shared.quotas.quotas import Quota, Quotas

QUOTA: Quota = "messages_per_day"


async def store_within(
    tx: Transaction, messages: Sequence[Message], window: int, quotas: Quotas
) -> Stored:
    """Store what the quotas leave room for; `over_quota`: new, and there was none.

    `tx` must be one transaction, not statements that each commit.
    """
    limits = await quotas.limits(QUOTA, {message.tenant for message in messages}, tx)
    if not limits:
        return await store_messages(tx, messages, window)
    asked = Counter(tenant for tenant, _ in {(m.tenant, m.id) for m in messages})
    taken = {
        tenant: await quotas.take(tx, tenant, QUOTA, asked[tenant], limits[tenant])
        for tenant in sorted(limits)
    }
    room = {tenant: sum(counts.values()) for tenant, counts in taken.items()}
    refused = await _refused(tx, messages, {t: n for t, n in room.items() if n < asked[t]})
    admitted = [message for message in messages if message.id not in refused]
    stored = await store_messages(tx, admitted, window) if admitted else Stored([], [])
    accepted = Counter(
        message.tenant
        for message, outcome in zip(admitted, stored.outcomes, strict=True)
        if outcome == "accepted"
    )
    for tenant, counts in taken.items():
        await _give_back(tx, tenant, counts, room[tenant] - accepted[tenant])
    outcomes = iter(stored.outcomes)
    every: list[Outcome] = [
        "over_quota" if message.id in refused else next(outcomes) for message in messages
    ]
    return Stored(every, stored.announcements)


async def _refused(
    tx: Transaction, messages: Sequence[Message], room: Mapping[str, int]
) -> set[UUID]:
    """Choose the new messages that find no room; the first ones do."""
    short = [message for message in messages if message.tenant in room]
    if not short:
        return set()
    known = await known_ids(tx, short)
    new: dict[str, list[UUID]] = {tenant: [] for tenant in room}
    for message in short:
        if message.id not in known and message.id not in new[message.tenant]:
            new[message.tenant].append(message.id)
    return {row for tenant, rows in new.items() for row in rows[room[tenant] :]}


async def _give_back(tx: Transaction, tenant: str, counts: Mapping[int, int], unused: int) -> None:
    back: dict[int, int] = {}
    for shard, count in counts.items():
        back[shard] = -min(count, unused)
        unused += back[shard]
    await store.add(tx, tenant, QUOTA, back)
