"""What the gateway reads and writes of operators' acts: corrections, tombstones, undos, erasing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.gateway.store import queries
from shared.db import Row, Transaction
from shared.events import Announcement, session_bells_for
from shared.facts.statements import NewFact
from shared.ids import time_ordered_id
from shared.ledger.folding import held_key
from shared.topology import MESSAGES


@dataclass(frozen=True, slots=True)
class Deed:
    """One request of an operator's: the acts that it comes to share its id."""

    tenant: str
    user: str
    id: UUID
    actor: str
    reason: str | None

    def params(self, **more: Any) -> dict[str, Any]:
        return {"tenant": self.tenant, "user": self.user, **more}


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a sweeping forgetting is about: words of a source, what came since a moment, or both.

    Neither: the messages that it names.
    """

    source: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a tombstone names: a statement, or messages alone."""

    subject: str | None
    slot: str | None
    value_key: str | None
    sources: tuple[UUID, ...]


async def record_correction(
    tx: Transaction,
    deed: Deed,
    old: Row,
    new: NewFact,
    stretch: tuple[datetime | None, datetime | None],
) -> None:
    """Record that `new`, whose id is the act's, takes the place of `old` and what says the same."""
    like = await facts_like(tx, deed, old)
    messages = sorted({source for row in like for source in row["source_message_ids"]})
    act = {
        "ids": [new.id],
        "subjects": [new.statement.subject],
        "slots": [new.slot],
        "values": [new.statement.value],
        "value_keys": [new.value_key],
        "old_value_keys": [old["value_key"]],
        "sources": [_ids(messages)],
    }
    await _record(tx, deed, "correction", old["id"], act, stretch=stretch)


async def record_tombstones(
    tx: Transaction, deed: Deed, fact: UUID | None, named: Sequence[Named]
) -> None:
    """Record what is to be forgotten; `fact` is the one that was deleted, None for messages."""
    act = {
        "ids": [time_ordered_id() for _ in named],
        "subjects": [one.subject for one in named],
        "slots": [one.slot for one in named],
        "values": [None for _ in named],
        "value_keys": [one.value_key for one in named],
        "old_value_keys": [None for _ in named],
        "sources": [_ids(one.sources) for one in named],
    }
    await _record(tx, deed, "tombstone", fact, act)


async def record_review(
    tx: Transaction, deed: Deed, fact: UUID, key: str, *, approved: bool
) -> None:
    """Record what was decided about what is held; `key` names its words and messages."""
    kind = "approval" if approved else "rejection"
    await _record(tx, deed, kind, fact, _nothing_named(deed), review_key=key)


async def record_sweeping(
    tx: Transaction, deed: Deed, learnt: Learnt, messages: Sequence[UUID]
) -> None:
    """Record that all is to be forgotten that was learnt so."""
    act = {**_nothing_named(deed), "sources": [_ids(messages)]}
    await _record(tx, deed, "tombstone", None, act, learnt=learnt)


async def record_labels(tx: Transaction, deed: Deed, fact: UUID, asked: Mapping[str, Any]) -> None:
    """Record that a fact has other labels; `label` gives them to it."""
    params = deed.params(
        deed=deed.id, fact=fact, actor=deed.actor, reason=deed.reason, asked=Jsonb(dict(asked))
    )
    await tx.execute(queries["record_labels"], params)


async def labels_of_fact(tx: Transaction, deed: Deed, fact: UUID) -> list[Row]:
    """Read which labels a fact was given, in order, and which of them were taken back."""
    return await tx.rows(queries["labels_of_fact"], deed.params(fact=fact))


async def label(tx: Transaction, deed: Deed, fact: UUID, labels: Mapping[str, Any]) -> None:
    """Give a fact its labels; what acts of earlier versions say nothing of is not pinned."""
    metadata = labels["metadata"]
    given = {"pinned": False, **labels, "metadata": None if metadata is None else Jsonb(metadata)}
    await tx.execute(queries["label_fact"], deed.params(fact=fact, **given))


async def record_undo(tx: Transaction, deed: Deed, fact: UUID | None, undoes: UUID) -> None:
    await _record(tx, deed, "undo", fact, _nothing_named(deed), undoes=undoes)


def _nothing_named(deed: Deed) -> dict[str, list[Any]]:
    """One act, whose id is its deed's, that names no statement."""
    return {
        "ids": [deed.id],
        "subjects": [None],
        "slots": [None],
        "values": [None],
        "value_keys": [None],
        "old_value_keys": [None],
        "sources": [Jsonb([])],
    }


async def _record(
    tx: Transaction,
    deed: Deed,
    kind: str,
    fact: UUID | None,
    act: dict[str, Any],
    *,
    stretch: tuple[datetime | None, datetime | None] = (None, None),
    undoes: UUID | None = None,
    review_key: str | None = None,
    learnt: Learnt | None = None,
) -> None:
    params = deed.params(
        review_key=review_key,
        origin=learnt.source if learnt else None,
        learnt_since=learnt.since if learnt else None,
        sweeping=learnt is not None,
        deed=deed.id,
        kind=kind,
        fact=fact,
        undoes=undoes,
        actor=deed.actor,
        reason=deed.reason,
        valid_from=stretch[0],
        valid_to=stretch[1],
        **act,
    )
    await tx.execute(queries["record_acts"], params)


def _ids(rows: Iterable[UUID]) -> Jsonb:
    return Jsonb([str(row) for row in rows])


async def acts_of_fact(tx: Transaction, fact: Row) -> list[Row]:
    """List what operators did about a fact, last first, one row a deed."""
    params = {
        "tenant": fact["tenant_id"],
        "user": fact["user_id"],
        "ids": _with_canonical(fact),
        "subject": fact["subject"],
        "slot": fact["slot"],
        "value_key": fact["value_key"],
        "said_at": min(fact["said_at"], fact["recorded_at"]),
        "recorded_at": fact["recorded_at"],
        "source": fact["source"],
        "sources": list(fact["source_message_ids"]) or [fact["id"]],
    }
    return await tx.rows(queries["acts_of_fact"], params)


def _with_canonical(fact: Row) -> list[UUID]:
    return [fact["id"], *({fact["canonical_id"]} - {None, fact["id"]})]


# ---- forgetting a fact


async def grow_version(tx: Transaction, deed: Deed) -> None:
    await tx.execute(queries["grow_version"], deed.params())


async def facts_like(tx: Transaction, deed: Deed, fact: Row) -> list[Row]:
    """Read a fact and all that is one belief with it, settled or still on its way."""
    canonical = fact["canonical_id"] or fact["id"]
    params = deed.params(ids=_with_canonical(fact), canonical=canonical)
    return await tx.rows(queries["facts_like"], params)


async def spent_messages(
    tx: Transaction, deed: Deed, messages: Iterable[UUID], facts: Iterable[UUID]
) -> list[UUID]:
    """Of these messages, list those on which nothing rests but these facts."""
    params = deed.params(messages=sorted(messages), facts=list(facts))
    return [row["id"] for row in await tx.rows(queries["spent_messages"], params)]


async def facts_of_deed(tx: Transaction, deed: Deed, of: UUID) -> list[Row]:
    """List the facts that a deed's tombstones name."""
    return await tx.rows(queries["facts_of_deed"], deed.params(deed=of))


async def hide_unfolded_facts(tx: Transaction, deed: Deed, facts: Iterable[UUID]) -> None:
    await tx.execute(queries["hide_unfolded_facts"], deed.params(ids=list(facts)))


async def show_unfolded_facts(
    tx: Transaction, deed: Deed, facts: Iterable[UUID], held: Iterable[UUID] = ()
) -> None:
    """Show facts that no fold reaches; `held` of them wait for review."""
    params = deed.params(ids=list(facts), held=list(held))
    await tx.execute(queries["show_unfolded_facts"], params)


async def held_alike(tx: Transaction, deed: Deed, fact: Row) -> list[Row]:
    """Read the facts that a decision about this one names too: same words, same messages."""
    params = deed.params(subject=fact["subject"], content=fact["content"])
    rows = await tx.rows(queries["held_alike"], params)
    return [row for row in rows if held_key(row) == held_key(fact)]


# ---- what was learnt


async def learnt_from(
    tx: Transaction, deed: Deed, *, chat_log: UUID | None, message: str | None, session: str | None
) -> list[UUID]:
    """List the messages, and directly stated facts, that these name; each None names nothing."""
    params = deed.params(chat_log=chat_log, message=message, session=session)
    return sorted(row["id"] for row in await tx.rows(queries["learnt_from"], params))


async def sweeping_deed(tx: Transaction, deed: Deed, of: UUID) -> Row | None:
    """Read whether a sweeping deed was taken back; None where there is none of this id."""
    return await tx.row(queries["sweeping_deed"], deed.params(deed=of))


# ---- forgetting messages


async def session_exists(tx: Transaction, tenant: str, user: str, session: str) -> bool:
    params = {"tenant": tenant, "user": user, "session": session}
    return bool(await tx.value(queries["session_exists"], params))


async def message_exists(tx: Transaction, deed: Deed, session: str, message: UUID) -> bool:
    """Tell whether the message is (or, before it was erased, was) in this session."""
    params = deed.params(session=session, message=message)
    return await tx.row(queries["erased_message"], params) is not None


async def erase_messages(
    tx: Transaction, deed: Deed, session: str, message: UUID | None
) -> tuple[list[UUID], list[Announcement]]:
    """Take the words of a session's messages, or of one.

    A model call that is under way with them will not be committed; its other messages are announced
    again. Returns the messages erased now, and those bells.
    """
    params = deed.params(session=session, message=message)
    await tx.rows(queries["lock_open_extractions"], params)
    erased = await tx.rows(queries["erase_messages"], params)
    held = sorted({row["extraction_id"] for row in erased if row["extraction_id"] is not None})
    broken = await tx.rows(queries["break_reservations"], deed.params(ids=held))
    release = deed.params(session=session, ids=[row["id"] for row in broken])
    released = await tx.rows(queries["release_messages"], release)
    removed = await tx.rows(queries["erase_removed_messages"], params)
    messages = [row["id"] for row in (*erased, *removed)]
    await _scrub(tx, deed, held, messages)
    return messages, [(MESSAGES, bell) for bell in session_bells_for(released)]


async def _scrub(
    tx: Transaction, deed: Deed, extractions: Sequence[UUID], subjects: Sequence[UUID]
) -> None:
    params = deed.params(ids=list(extractions), texts=[str(row) for row in subjects])
    await tx.execute(queries["scrub_answers"], params)


async def erase_letters(tx: Transaction, deed: Deed, session: str) -> int:
    """Delete entries of a session that never became messages; how many."""
    return await tx.execute(queries["erase_letters"], deed.params(session=session))


async def facts_resting_on(tx: Transaction, deed: Deed, messages: Sequence[UUID]) -> list[Row]:
    """List, in every generation, the facts all of whose messages are erased by now."""
    return await tx.rows(queries["facts_resting_on"], deed.params(messages=list(messages)))


async def erase_facts(tx: Transaction, deed: Deed, facts: Sequence[UUID]) -> None:
    await tx.execute(queries["erase_facts"], deed.params(ids=list(facts)))
    await _scrub(tx, deed, [], facts)
