"""What operators do to beliefs, each in one transaction: correct, forget, erase, take back.

An act is recorded and what follows from it is folded at once, under the user's lock; only a
correction waits for its own fact to come through the stages. Nothing here decides what is
believed: the law does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar
from uuid import UUID

import psycopg.errors

from services.gateway import act_store, store
from services.gateway.act_store import Deed, Named
from services.gateway.corrections import labels_now
from services.gateway.errors import ApiError
from shared.beliefs.quarantine import reviewed
from shared.db import Reach, Row, Transaction
from shared.erasure import store as erasures
from shared.erasure.law import Position
from shared.events import Announcement
from shared.facts.statements import NewFact
from shared.facts.store import insert_facts
from shared.failures.store import RowRef
from shared.ledger import folding
from shared.ledger import store as ledger

Result = TypeVar("Result")
_TRIES = 3
REVIEWS = frozenset({"approval", "rejection"})


async def in_transaction(reach: Reach, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
    """Run work in one transaction, again when it and a stage waited for each other."""
    for _ in range(_TRIES - 1):
        try:
            async with reach.long_transaction() as tx:
                return await work(tx)
        except psycopg.errors.DeadlockDetected:
            continue
    async with reach.long_transaction() as tx:
        return await work(tx)


async def correct(
    tx: Transaction, deed: Deed, asked: UUID, old: Row, new: NewFact
) -> list[Announcement]:
    """Record an operator's fact in place of `old`; it is believed as soon as it is settled."""
    standing = folding.standing_of(old)
    valid = standing.valid if standing is not None else ()
    stretch = (valid[0][0], valid[-1][1]) if valid else (None, None)
    bells = await insert_facts(tx, [new])
    await act_store.record_correction(tx, deed, old, new, stretch)
    told = [
        _occurrence(deed, "fact.corrected", fact, old, by=new.id)
        for fact in dict.fromkeys((asked, old["id"]))
    ]
    return bells + await ledger.record_events(tx, told)


async def relabel(
    tx: Transaction, deed: Deed, fact: Row, labels: Mapping[str, Any]
) -> list[Announcement]:
    """Give a fact other labels, whatever its standing: what is believed stays as it is."""
    await take(tx, deed)
    await act_store.record_labels(tx, deed, fact["id"], labels)
    await _label(tx, deed, fact["id"])
    return await ledger.record_events(tx, [_occurrence(deed, "fact.corrected", fact["id"], fact)])


async def _label(tx: Transaction, deed: Deed, fact: UUID) -> None:
    """Give a fact the labels that its acts come to; what is derived from it is written anew."""
    acts = await act_store.labels_of_fact(tx, deed, fact)
    await act_store.label(tx, deed, fact, labels_now(acts))
    await ledger.mark_stale(tx, [RowRef(deed.tenant, deed.user, fact)])


async def forget(tx: Transaction, deed: Deed, fact: Row) -> list[Announcement]:
    """Forget a fact and all that is one belief with it, whatever else comes to say it later on.

    Messages on which nothing else rests are named as well: read again, in other words, they would
    bring it back.
    """
    await take(tx, deed)
    like = await act_store.facts_like(tx, deed, fact)
    facts = [row["id"] for row in like]
    if fact["id"] not in facts:
        return []  # forgotten before
    messages = {source for row in like for source in row["source_message_ids"]}
    spent = await act_store.spent_messages(tx, deed, messages, facts)
    await act_store.record_tombstones(tx, deed, fact["id"], _named(like, spent))
    gone = await act_store.facts_of_deed(tx, deed, deed.id)
    await act_store.hide_unfolded_facts(tx, deed, [row["id"] for row in gone])
    return await refolded(tx, deed, gone, "fact.forgotten", [fact])


def _named(like: Sequence[Row], spent: Sequence[UUID]) -> list[Named]:
    """Name each statement once; one without a value by its messages too."""
    named: dict[tuple[Any, Any, Any], tuple[UUID, ...]] = {}
    for row in like:
        sources = tuple(row["source_message_ids"]) or (row["id"],)
        key = (row["subject"], row["slot"], row["value_key"])
        known = named.get(key, ())
        named[key] = known + tuple(source for source in sources if source not in known)
    stones = [Named(*key, sources) for key, sources in named.items()]
    return [*stones, Named(None, None, None, tuple(spent))] if spent else stones


async def undo(tx: Transaction, deed: Deed, fact: Row) -> list[Announcement]:
    """Take back the last correction, labelling or deletion of a fact.

    Raises ApiError (conflict) when there is none, or its words are gone for good.
    """
    await take(tx, deed)
    acts = await act_store.acts_of_fact(tx, fact)
    if not fact["content"]:
        raise ApiError("conflict", "What it rested on was erased; that cannot be undone.")
    last = next((act for act in acts if act["undo_id"] is None and not act["erased"]), None)
    if last is None:
        raise ApiError("conflict", "Nothing about this fact is left to be undone.")
    await act_store.record_undo(tx, deed, fact["id"], last["deed"])
    about, event = [fact], "fact.restored"
    if last["kind"] in REVIEWS:
        event = "fact.quarantined"
        about = await store.facts_by_ids(tx, deed.tenant, deed.user, [last["fact_id"]])
        back = [row for one in about for row in await act_store.held_alike(tx, deed, one)]
        await show_unfolded(tx, deed, [row["id"] for row in back])
    elif last["kind"] == "labels":
        await _label(tx, deed, last["fact_id"])
        back = []
    elif last["kind"] == "tombstone":
        back = await act_store.facts_of_deed(tx, deed, last["deed"])
        await show_unfolded(tx, deed, [row["id"] for row in back])
    else:
        ids = [last["id"], last["fact_id"]]
        corrected = await store.facts_by_ids(tx, deed.tenant, deed.user, ids)
        about = [row for row in corrected if row["id"] == last["fact_id"]] or about
        back = [*corrected, *await act_store.facts_of_deed(tx, deed, last["deed"])]
    return await refolded(tx, deed, back, event, about)


async def show_unfolded(tx: Transaction, deed: Deed, facts: Sequence[UUID]) -> None:
    """Show facts that no fold reaches just now as the law will: what is not approved as held."""
    rows = await store.facts_by_ids(tx, deed.tenant, deed.user, facts)
    acts = await ledger.read_acts(tx, deed.tenant, deed.user)
    decided = reviewed(acts.reviews, acts.undos, None)
    keys = {row["id"]: folding.held_key(row) for row in rows}
    shown = [row for row, key in keys.items() if not decided.rejected(key)]
    held = [row for row, key in keys.items() if decided.awaited(key)]
    await act_store.show_unfolded_facts(tx, deed, shown, held)


async def erase(
    tx: Transaction, deed: Deed, session: str, message: UUID | None
) -> tuple[int, int, list[Announcement]]:
    """Erase messages and what rests on them alone; returns how many of each, and what to ring."""
    await take(tx, deed)
    await erasures.lock_user(tx, deed.tenant, deed.user)  # for messages that are coming in
    messages, bells = await act_store.erase_messages(tx, deed, session, message)
    if not messages:
        return 0, 0, []
    named = Named(None, None, None, tuple(messages))
    await act_store.record_tombstones(tx, deed, None, [named])
    facts = await act_store.facts_resting_on(tx, deed, messages)
    gone = [row for row in facts if row["standing"] != "forgotten"]
    announcements = await refolded(tx, deed, facts, "fact.forgotten", gone)
    await act_store.erase_facts(tx, deed, [row["id"] for row in facts])
    return len(messages), len(gone), bells + announcements


async def erase_certified(
    tx: Transaction, deed: Deed, session: str, message: UUID | None, place: Position | None
) -> tuple[UUID, dict[str, int], list[Announcement]]:
    """Erase a session or a message, and set its tombstone; returns the certificate's id too.

    `place` is where the stream ended before: what was added by then for the session never comes.
    """
    messages, facts, bells = await erase(tx, deed, session, message)
    letters = 0
    if message is None:
        letters = await act_store.erase_letters(tx, deed, session)
    scope: Literal["session", "message"] = "session" if message is None else "message"
    counts = {"chat_logs": messages, "memory_facts": facts, "failures": letters}
    whose = (deed.tenant, deed.user)
    row = await erasures.set_finished_tombstone(
        tx, whose, (scope, session), deed.actor, place, counts
    )
    return row, {"messages": messages, "facts": facts}, bells


async def take(tx: Transaction, deed: Deed) -> None:
    """Take the user, and tell the deduper and every kind of job that there is news."""
    await ledger.lock_user(tx, ledger.BELIEFS, deed.tenant, deed.user)
    await act_store.grow_version(tx, deed)


async def refolded(
    tx: Transaction, deed: Deed, facts: Iterable[Row], event: str, about: Sequence[Row]
) -> list[Announcement]:
    """Fold what these facts belong to; `event` tells of those it is `about`, with who and why."""
    user = (deed.tenant, deed.user)
    settled = [row for row in facts if row["state"] == "settled"]
    attributes = {(user, (row["subject"], row["slot"])) for row in settled if row["slot"]}
    free_text = [RowRef(*user, row["id"]) for row in settled if not row["slot"]]
    changes = await ledger.refold(tx, attributes, free_text)
    named = {row["id"] for row in about}
    followed = [ledger.occurrence_of(change) for change in changes if change.fact not in named]
    told = [_occurrence(deed, event, row["id"], row) for row in about]
    return await ledger.record_events(tx, [*told, *filter(None, followed)])


def _occurrence(
    deed: Deed, event: str, fact: UUID, row: Row, by: UUID | None = None
) -> ledger.Occurrence:
    data: dict[str, Any] = {"act": str(deed.id), "actor": deed.actor}
    if deed.reason is not None:
        data["reason"] = deed.reason
    if by is not None:
        data["by"] = str(by)
    user = (deed.tenant, deed.user)
    return ledger.Occurrence(user, event, fact, folding.trace_of({**row, "id": fact}), data)
