"""Deciding about a generation: how it differs, promoting it, dropping it.

Who promotes has the user's beliefs for himself, and waits until no message is being committed to
the generation in use. So a message is either there to be carried over, or goes to the new one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg import Rollback

from services.extractor.replay import ReplayRefusedError
from services.extractor.replay.diff import Belief, Diff, compare, says_again
from services.extractor.replay.store import Scope, carry, queries
from shared.db import OperatorDatabase, Row, Transaction
from shared.events import Announcement
from shared.failures.store import RowRef
from shared.ids import time_ordered_id
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.ledger.store import Change, Occurrence

_DROP_BATCH = 1_000


async def differences(db: OperatorDatabase, scope: Scope, generation: int) -> Diff | None:
    """Promote, look at what is believed then, and take it back: what is shown is what will be.

    What was forgotten or corrected is so first in its other words too. None when another
    transaction is rewriting the user's beliefs.
    """
    diff = await _compare(db, scope, generation)
    if diff is None:
        return None
    forgotten = await _forget_again(db, scope, diff)
    corrected = await _correct_again(db, scope, diff)
    return await _compare(db, scope, generation) if forgotten + corrected else diff


async def _compare(db: OperatorDatabase, scope: Scope, generation: int) -> Diff | None:
    diff: Diff | None = None
    async with db.transaction() as tx:
        if await _lock(tx, scope):
            old = await _beliefs(tx, scope)
            await tx.execute(queries["use_generation"], scope.params(generation=generation))
            await _refold(tx, scope)
            diff = compare(old, await _beliefs(tx, scope))
        raise Rollback
    return diff


async def _forget_again(db: OperatorDatabase, scope: Scope, diff: Diff) -> int:
    """Forget what is new from a message of which something was forgotten; returns how much.

    A tombstone names a statement, and another prompt words it otherwise: of such a message only
    counts what is believed today, however it is put.
    """
    forgotten = 0
    async with db.transaction() as tx:
        stones = await tx.rows(queries["forgotten"], scope.params())
        for belief in diff.added:
            for stone in stones:
                if belief.messages.isdisjoint(stone["source_message_ids"]):
                    continue
                params = scope.params(
                    id=time_ordered_id(),
                    fact=belief.fact_id,
                    at=stone["acted_at"],
                    deed=stone["deed"],
                )
                forgotten += await tx.execute(queries["forget_again"], params)
                break
    return forgotten


async def _correct_again(db: OperatorDatabase, scope: Scope, diff: Diff) -> int:
    """Note the new words for what was corrected in the same messages; returns how many."""
    noted = 0
    async with db.transaction() as tx:
        for act in await tx.rows(queries["corrected"], scope.params()):
            names = ("content", "slot", "value")
            what = {name: act[name] for name in names}
            for belief in says_again(diff, **what, messages=act["source_message_ids"]):
                params = scope.params(
                    id=time_ordered_id(), fact=belief.fact_id, at=act["acted_at"], deed=act["deed"]
                )
                noted += await tx.execute(queries["correct_again"], params)
    return noted


async def settling(db: OperatorDatabase, scope: Scope, generation: int) -> tuple[int, int, int]:
    """Count a generation's facts: all, settled, and given up."""
    async with db.autocommit() as tx:
        row = await tx.row(queries["settling"], scope.params(generation=generation))
    assert row is not None
    return row["facts"], row["settled"], row["dead"]


async def listed(db: OperatorDatabase, scope: Scope) -> list[Row]:
    """List a user's generations with what they hold, the oldest first."""
    async with db.autocommit() as tx:
        in_use = await tx.value(queries["generation_in_use"], scope.params())
        rows = await tx.rows(queries["generations"], scope.params())
    return [{**row, "in_use": row["generation"] == in_use} for row in rows]


async def promote(db: OperatorDatabase, scope: Scope, generation: int) -> list[Announcement] | None:
    """Let a generation count instead of the one in use: one transaction, all or nothing.

    What came in since the replay looked is carried over. Returns what there is to announce; None
    when another transaction is rewriting the user's beliefs. Raises ReplayRefusedError when there
    is no such generation, or it is not ready.
    """
    async with db.transaction() as tx:
        if not await _lock(tx, scope):
            return None
        await tx.value(queries["lock_generation"], scope.params())
        replay = await _promotable(tx, scope, generation)
        params = scope.params(generation=generation, in_use=replay["in_use"])
        bells = await carry(tx, scope, generation, everything=True, settled=True)
        leaving = await tx.rows(
            queries["facts_of_generation"], scope.params(generation=replay["in_use"])
        )
        coming = await tx.rows(queries["facts_of_generation"], params)
        await tx.execute(queries["retire_generation"], scope.params(generation=replay["in_use"]))
        await tx.execute(queries["carry_labels"], params)
        await tx.execute(queries["carry_uses"], params)
        await ledger.mark_stale(tx, [RowRef(*_user(scope), row["id"]) for row in leaving])
        await tx.execute(queries["mark_replaced"], params)
        await tx.execute(queries["mark_promoted"], params)
        await tx.execute(queries["use_generation"], params)
        changes = await _refold(tx, scope)
        occurrences = _occurrences(replay, leaving, coming, changes)
        return [*bells, *await ledger.record_events(tx, occurrences)]


def _user(scope: Scope) -> ledger.UserKey:
    return scope.tenant, scope.user


async def _lock(tx: Transaction, scope: Scope) -> bool:
    return bool(await ledger.try_lock_users(tx, ledger.BELIEFS, [_user(scope)]))


async def check_promotable(db: OperatorDatabase, scope: Scope, generation: int) -> None:
    """Raise ReplayRefusedError when there is no such generation, or it is not ready."""
    async with db.transaction() as tx:
        await _promotable(tx, scope, generation)


async def _promotable(tx: Transaction, scope: Scope, generation: int) -> Row:
    row = await tx.row(queries["promotable"], scope.params(generation=generation))
    if row is None:
        raise ReplayRefusedError(f"nobody is called {scope.user}")
    if row["in_use"] == generation:
        raise ReplayRefusedError(f"generation {generation} of {scope.user} is already in use")
    if row["state"] not in ("ready", "replaced"):
        has = "is not there" if row["state"] is None else f"is {row['state']}"
        raise ReplayRefusedError(f"generation {generation} of {scope.user} {has}")
    return row


async def _refold(tx: Transaction, scope: Scope) -> list[Change]:
    user = (scope.tenant, scope.user)
    attributes = [(user, attribute) for attribute in await ledger.attributes_of(tx, *user)]
    rows = await tx.rows(queries["free_text_in_use"], scope.params())
    return await ledger.refold(tx, attributes, [RowRef(*user, row["id"]) for row in rows])


async def _beliefs(tx: Transaction, scope: Scope) -> list[Belief]:
    rows = await tx.rows(queries["beliefs"], scope.params())
    messages: dict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        messages[row["canonical_id"]].update(row["source_message_ids"])
    return [_belief(row, messages[row["id"]]) for row in rows if row["standing"] != "merged"]


def _belief(row: Row, messages: Collection[UUID]) -> Belief:
    standing = folding.standing_of(row)
    assert standing is not None
    return Belief(
        fact_id=row["id"],
        subject=row["subject"],
        slot=row["slot"],
        value=row["value"],
        key=row["value_key"] or row["content"],
        content=row["content"],
        single=row["cardinality"] == "one",
        is_plan=standing.kind == "plan",
        valid=standing.valid,
        planned_for=standing.planned_for,
        messages=frozenset(messages),
    )


def _occurrences(
    replay: Row, leaving: Sequence[Row], coming: Sequence[Row], changes: Sequence[Change]
) -> list[Occurrence]:
    """Tell what became of every fact that counted, and of every one that counts now."""
    made_by = {name: replay[name] for name in ("extractor", "model", "prompt")}
    left = {
        "generation": replay["in_use"],
        "by_generation": replay["generation"],
        **{name: value for name, value in made_by.items() if value is not None},
    }
    came = "fact.settled" if replay["state"] == "ready" else "fact.restored"
    now = {"generation": replay["generation"]}
    told = [_occurrence(row, "fact.replaced", left) for row in leaving]
    told += [_occurrence(row, came, now) for row in coming]
    told += [
        occurrence
        for occurrence in map(ledger.occurrence_of, changes)
        if occurrence is not None and occurrence.event != "fact.revised"
    ]
    return told


def _occurrence(row: Row, event: str, data: dict[str, Any]) -> Occurrence:
    user = (row["tenant_id"], row["user_id"])
    return Occurrence(user, event, row["id"], folding.trace_of(row), data)


async def drop(db: OperatorDatabase, scope: Scope, generation: int) -> int:
    """Delete all of an undecided generation, some at a time; returns how many facts it had.

    Stopped in the middle, it is gone on with. Paid answers stay: they serve the next replay.
    """
    params = scope.params(generation=generation)
    async with db.transaction() as tx:
        row = await tx.row(queries["promotable"], params)
        if row is None or row["state"] not in ("running", "ready", "dropping"):
            raise ReplayRefusedError(f"{scope.user} has no undecided generation {generation}")
        await tx.execute(queries["set_state"], {**params, "state": "dropping"})
    dropped = 0
    while gone := await _drop_some(db, params):
        dropped += gone
        await asyncio.sleep(0)
    async with db.transaction() as tx:
        await tx.execute(queries["drop_messages"], params)
        await tx.execute(queries["set_state"], {**params, "state": "dropped"})
    return dropped


async def _drop_some(db: OperatorDatabase, params: dict[str, Any]) -> int:
    async with db.transaction() as tx:
        await tx.execute(queries["outdate_comparisons"], params)
        rows = await tx.rows(queries["some_facts"], {**params, "limit": _DROP_BATCH})
        ids: list[UUID] = [row["id"] for row in rows]
        if ids:
            for what in ("facts", "vectors", "first_verdicts", "second_verdicts"):
                await tx.execute(queries[f"drop_{what}"], {**params, "ids": ids})
            subjects = [str(row) for row in ids]
            await tx.execute(queries["drop_failures"], {**params, "subjects": subjects})
        return len(ids)
