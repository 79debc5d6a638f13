"""What the extractor reads and writes: reservations, messages, answers, facts.

Every function serves many sessions at once; answers come in the order of what was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from services.extractor.facts import SourceMessage, Validated, in_generation
from services.extractor.turns import ChatTurn, KnownFact, role_of
from shared.crash import AtPoint, ignore_point
from shared.db import Database, Row, Transaction
from shared.events import Announcement, RowsBell, SessionBell, session_bells_for
from shared.facts.store import insert_facts
from shared.failures.store import RetryPolicy, RowRef, fail_rows
from shared.ids import time_ordered_id
from shared.metrics.commits import arrived, committed, extracted
from shared.sql import Queries
from shared.topology import MESSAGES

queries = Queries("services.extractor")
log = structlog.get_logger()

STAGE = "extractor"
_CONTEXT_MESSAGES = 6
_KNOWN_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Reservation:
    """A session held by one worker.

    `attempts` that began, this one included; `quiet_seconds` since its newest message arrived;
    `taken_over`: it may hold messages already.
    """

    tenant: str
    user: str
    session: str
    id: UUID
    worker: str
    attempts: int
    quiet_seconds: float = 0.0
    taken_over: bool = False

    def params(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "user": self.user,
            "session": self.session,
            "id": self.id,
            "worker": self.worker,
            **more,
        }


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call is told beside its messages."""

    generation: int
    known: list[KnownFact]
    before: list[ChatTurn]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who extracted: `llm` or `rules`, which model, which version of the prompt."""

    extractor: str
    model: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A session's work, ready to be committed; `answer` is what was paid for, if anything was."""

    held: Reservation
    messages: Sequence[SourceMessage]
    validated: Validated
    answer: dict[str, Any] | None = None
    tokens: tuple[int, int] = (0, 0)


async def reserve(
    db: Database, bells: Sequence[SessionBell], worker: str, lease_seconds: float
) -> list[Reservation | None]:
    """Take sessions; None where another worker holds one or nothing waits."""
    asked = {(bell.tenant, bell.user, bell.session): None for bell in bells}
    params = {
        "tenants": [tenant for tenant, _, _ in asked],
        "users": [user for _, user, _ in asked],
        "sessions": [session for _, _, session in asked],
        "ids": [time_ordered_id() for _ in asked],
        "worker": worker,
        "lease": lease_seconds,
    }
    async with db.of(*{tenant for tenant, _, _ in asked}).autocommit() as tx:
        rows = await tx.rows(queries["reserve"], params)
    held = {
        (row["tenant_id"], row["user_id"], row["session_id"]): Reservation(
            row["tenant_id"],
            row["user_id"],
            row["session_id"],
            row["id"],
            worker,
            row["attempts"],
            row["quiet_seconds"] or 0.0,
            row["taken_over"],
        )
        for row in rows
    }
    # Asked for twice at once, a session is one caller's only.
    return [held.pop((bell.tenant, bell.user, bell.session), None) for bell in bells]


async def renew(db: Database, held: Collection[Reservation], lease_seconds: float) -> set[UUID]:
    """Renew leases; returns the reservations that are still ours."""
    worker = next(iter(held)).worker
    params = {**_keys(held), "worker": worker, "lease": lease_seconds}
    async with db.of(*_tenants(held)).autocommit() as tx:
        return {row["id"] for row in await tx.rows(queries["renew"], params)}


async def release(db: Database, held: Collection[Reservation]) -> None:
    """Let somebody else take reservations at once, as if these attempts had not begun."""
    worker = next(iter(held)).worker
    async with db.of(*_tenants(held)).autocommit() as tx:
        await tx.execute(queries["release"], {**_keys(held), "worker": worker})


async def seconds_since_newest(db: Database, held: Sequence[Reservation]) -> list[float | None]:
    """Tell how long ago each session's newest waiting message arrived; None when none waits."""
    async with db.of(*_tenants(held)).autocommit() as tx:
        rows = await tx.rows(queries["newest_arrivals"], _keys(held))
    ages: dict[UUID, float | None] = {row["id"]: row["seconds"] for row in rows}
    return [ages[one.id] for one in held]


async def claim(
    db: Database, held: Sequence[Reservation], budget_bytes: int
) -> list[list[SourceMessage]]:
    """Point waiting messages at their reservations, and read all that these hold, in order.

    A reservation that was taken over keeps exactly what it held.
    """
    claimed: dict[UUID, list[SourceMessage]] = {}
    params = {"worker": held[0].worker, "budget": budget_bytes}
    async with db.of(*_tenants(held)).autocommit() as tx:
        if taken_over := [one for one in held if one.taken_over]:
            _sort_in(claimed, await tx.rows(queries["messages_held"], _keys(taken_over)))
        if fresh := [one for one in held if one.id not in claimed]:
            _sort_in(claimed, await tx.rows(queries["claim"], {**_keys(fresh), **params}))
        if empty := [one for one in held if one.id not in claimed]:
            await tx.execute(queries["abandon_if_empty"], _keys(empty))
    return [claimed.get(one.id, []) for one in held]


def _sort_in(claimed: dict[UUID, list[SourceMessage]], rows: Iterable[Row]) -> None:
    for row in rows:
        extraction = row.pop("extraction_id")
        claimed.setdefault(extraction, []).append(SourceMessage(**row))
    for messages in claimed.values():
        messages.sort(key=lambda message: (message.said_at, message.message_key, message.id))


async def surroundings(
    db: Database, asked: Sequence[tuple[Reservation, datetime]]
) -> list[Surroundings]:
    """Read what is known of each user, and the turns of each session before a moment."""
    params = {
        **_keys([held for held, _ in asked]),
        "befores": [before for _, before in asked],
        "known": _KNOWN_LIMIT,
        "context": _CONTEXT_MESSAGES,
    }
    async with db.of(*_tenants(held for held, _ in asked)).autocommit() as tx:
        rows = {row["id"]: row for row in await tx.rows(queries["surroundings"], params)}
    return [_surroundings_of(rows[held.id]) for held, _ in asked]


def _surroundings_of(row: Row) -> Surroundings:
    turns = [
        ChatTurn(
            turn["id"],
            role_of(turn["role"], turn["metadata"]),
            datetime.fromisoformat(turn["at"]),
            turn["content"],
        )
        for turn in reversed(row["context"])
    ]
    known = [KnownFact(slot=fact["slot"], value=fact["value"]) for fact in row["known"]]
    return Surroundings(row["generation"], known, turns)


async def commit(
    db: Database,
    finished: Sequence[Finished],
    provenance: Provenance,
    at_point: AtPoint = ignore_point,
) -> list[list[Announcement]]:
    """Insert the facts of messages that are still their reservation's, and close these.

    The first to commit wins: a reservation that somebody closed in the meantime writes nothing.
    """
    async with db.of(*_tenants([one.held for one in finished])).transaction() as tx:
        at_point("begin")
        open_ids = await _lock_open(tx, [one.held for one in finished], any_worker=True)
        ours = [one for one in finished if one.held.id in open_ids]
        moved = await _finish_messages(tx, ours)
        at_point("moved")
        facts = [
            in_generation(fact, moved[fact.source_message_ids[0]]["generation"])
            for one in ours
            for fact in one.validated.facts
            if moved.keys() >= set(fact.source_message_ids)
        ]
        announcements = await insert_facts(tx, facts)
        at_point("written")
        await _close(tx, ours, "done", provenance)
        announcements += await _ring_again(tx, [one.held for one in finished])
        at_point("saved")
    at_point("committed")
    committed(STAGE, sum(len(one.messages) for one in finished), len(moved))
    telling = {row for fact in facts for row in fact.source_message_ids}
    arrived((row["seconds"] for row in moved.values() if row["id"] not in telling), "no_facts")
    extracted(provenance.extractor, len(facts), (one.validated.dropped for one in ours))
    if fenced := len(finished) - len(ours):
        log.info("commits fenced: somebody else was first", sessions=fenced)
    return _by_user(announcements, finished)


def _by_user(
    announcements: Sequence[Announcement], finished: Sequence[Finished]
) -> list[list[Announcement]]:
    """Give each bell to the first of those who finished something of its user."""
    first: dict[tuple[str, str], int] = {}
    for at, one in enumerate(finished):
        first.setdefault((one.held.tenant, one.held.user), at)
    shares: list[list[Announcement]] = [[] for _ in finished]
    for stream, bell in announcements:
        assert isinstance(bell, RowsBell | SessionBell)
        shares[first[bell.tenant, bell.user]].append((stream, bell))
    return shares


async def _finish_messages(tx: Transaction, finished: Sequence[Finished]) -> dict[UUID, Row]:
    """Move messages on; returns those that were still ours: their generation, and how old."""
    pairs = [(one.held, message) for one in finished for message in one.messages]
    params = {
        "tenants": [message.tenant for _, message in pairs],
        "users": [message.user for _, message in pairs],
        "ids": [message.id for _, message in pairs],
        "extractions": [held.id for held, _ in pairs],
    }
    rows = await tx.rows(queries["finish_messages"], params)
    return {row["id"]: row for row in rows}


async def fail(
    db: Database,
    failed: Finished,
    error: Exception,
    policy: RetryPolicy,
    provenance: Provenance,
) -> list[Announcement]:
    """Record the failed attempt, park the messages until the next one, close the reservation."""
    refs = [RowRef(message.tenant, message.user, message.id) for message in failed.messages]
    async with db.of(failed.held.tenant).transaction() as tx:
        if await _lock_open(tx, [failed.held], any_worker=False):
            await fail_rows(tx, STAGE, "chat_logs", refs, error, policy)
            await _close(tx, [failed], "failed", provenance)
        # else it was taken over: the new holder's call may still succeed
        return await _ring_again(tx, [failed.held])


async def keep_first(db: Database, held: Reservation, keep: int) -> None:
    """Give back all but the first `keep` messages."""
    async with db.of(held.tenant).transaction() as tx:
        await tx.execute(queries["release_after_first"], held.params(keep=keep))


async def postpone(db: Database, held: Reservation, seconds: float) -> list[Announcement]:
    """Leave the whole session alone for a while; nobody's attempt is counted.

    Returns bells for what came in the meantime.
    """
    async with db.of(held.tenant).transaction() as tx:
        await tx.execute(queries["postpone"], held.params(seconds=seconds))
        await tx.execute(queries["abandon_if_empty"], _keys([held]))
        return await _ring_again(tx, [held])


async def postpone_sessions(db: Database, asked: Sequence[tuple[SessionBell, float]]) -> list[None]:
    """Leave sessions that nobody holds alone for these many seconds."""
    params = {
        "tenants": [bell.tenant for bell, _ in asked],
        "users": [bell.user for bell, _ in asked],
        "sessions": [bell.session for bell, _ in asked],
        "seconds": [seconds for _, seconds in asked],
    }
    async with db.of(*{bell.tenant for bell, _ in asked}).autocommit() as tx:
        await tx.execute(queries["postpone_sessions"], params)
    return [None] * len(asked)


async def _lock_open(
    tx: Transaction, held: Sequence[Reservation], *, any_worker: bool
) -> set[UUID]:
    params = {**_keys(held), "any_worker": any_worker, "worker": held[0].worker}
    return {row["id"] for row in await tx.rows(queries["lock_open"], params)}


async def _close(
    tx: Transaction, finished: Sequence[Finished], state: str, provenance: Provenance
) -> None:
    if not finished:
        return
    dropped = [one.validated.dropped for one in finished]
    params = {
        **_keys([one.held for one in finished]),
        "state": state,
        "extractor": provenance.extractor,
        "model": provenance.model,
        "prompt": provenance.prompt,
        "answers": [Jsonb(one.answer) if one.answer else None for one in finished],
        "facts": [len(one.validated.facts) for one in finished],
        "dropped": [Jsonb(reasons) if reasons else None for reasons in dropped],
        "input_tokens": [one.tokens[0] for one in finished],
        "output_tokens": [one.tokens[1] for one in finished],
    }
    await tx.execute(queries["close"], params)


async def _ring_again(tx: Transaction, held: Sequence[Reservation]) -> list[Announcement]:
    """Bells for what waits in sessions that were held.

    Who rang for it while they were was told that somebody is at it.
    """
    waiting = await tx.rows(queries["ring_again"], _keys(held))
    return [(MESSAGES, bell) for bell in session_bells_for(waiting)]


def _tenants(held: Iterable[Reservation]) -> set[str]:
    return {one.tenant for one in held}


def _keys(held: Collection[Reservation]) -> dict[str, list[Any]]:
    """Part reservations into the parallel arrays that SQL unnests."""
    return {
        "tenants": [one.tenant for one in held],
        "users": [one.user for one in held],
        "sessions": [one.session for one in held],
        "ids": [one.id for one in held],
    }
