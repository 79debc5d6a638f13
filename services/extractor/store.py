"""What the extractor reads and writes: reservations, messages, saved answers, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.extractor.facts import SourceMessage, Validated
from services.extractor.turns import ChatTurn, KnownFact
from shared.db import Database, Transaction
from shared.events import Announcement, SessionBell
from shared.facts.store import insert_facts
from shared.failures.store import RetryPolicy, RowRef, fail_rows
from shared.ids import time_ordered_id
from shared.sql import Queries

queries = Queries("services.extractor")

STAGE = "extractor"
_CONTEXT_MESSAGES = 6
_KNOWN_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Reservation:
    """A session held by one worker. `attempts` that began, this one included."""

    tenant: str
    user: str
    session: str
    id: UUID
    worker: str
    attempts: int

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
class Provenance:
    """Who extracted: `llm` or `rules`, which model, which version of the prompt."""

    extractor: str
    model: str
    prompt: str


async def reserve(
    db: Database, bell: SessionBell, worker: str, lease_seconds: float
) -> Reservation | None:
    """Take the session; None when another worker holds it or nothing waits."""
    async with db.transaction() as tx:
        row = await tx.row(
            queries["reserve"],
            {
                "tenant": bell.tenant,
                "user": bell.user,
                "session": bell.session,
                "id": time_ordered_id(),
                "worker": worker,
                "lease": lease_seconds,
            },
        )
    if row is None:
        return None
    return Reservation(bell.tenant, bell.user, bell.session, row["id"], worker, row["attempts"])


async def renew(db: Database, held: Reservation, lease_seconds: float) -> bool:
    async with db.transaction() as tx:
        return await tx.row(queries["renew"], held.params(lease=lease_seconds)) is not None


async def seconds_since_newest(db: Database, held: Reservation) -> float | None:
    async with db.reading() as tx:
        seconds = await tx.value(queries["newest_arrival"], held.params())
    return None if seconds is None else float(seconds)


async def claim(db: Database, held: Reservation, budget_bytes: int) -> list[SourceMessage]:
    """Point waiting messages at the reservation, and read all that it holds.

    A reservation taken over from a dead worker keeps exactly what it held.
    """
    async with db.transaction() as tx:
        messages = await tx.rows(queries["messages_of"], held.params())
        if not messages:
            await tx.execute(queries["claim"], held.params(budget=budget_bytes))
            messages = await tx.rows(queries["messages_of"], held.params())
        if not messages:
            await tx.execute(queries["abandon_if_empty"], held.params())
    return [SourceMessage(**message) for message in messages]


async def keep_first(db: Database, held: Reservation, keep: int) -> None:
    """Give back all but the first `keep` messages."""
    async with db.transaction() as tx:
        await tx.execute(queries["release_after_first"], held.params(keep=keep))


async def context_of(
    db: Database, held: Reservation, before: SourceMessage
) -> tuple[list[ChatTurn], list[KnownFact], int]:
    """Read what surrounds a call: the turns before it, what is known, the generation."""
    async with db.reading() as tx:
        params = held.params(before=before.said_at, limit=_CONTEXT_MESSAGES)
        rows = await tx.rows(queries["context_before"], params)
        known = await tx.rows(queries["known"], held.params(limit=_KNOWN_LIMIT))
        generation = await tx.value(queries["generation_of"], held.params())
    turns = [ChatTurn(str(r["id"]), r["role"], r["said_at"], r["content"]) for r in reversed(rows)]
    return turns, [KnownFact(slot=r["slot"], value=r["value"]) for r in known], generation or 1


async def saved_answer(db: Database, held: Reservation) -> dict[str, Any] | None:
    async with db.reading() as tx:
        answer: dict[str, Any] | None = await tx.value(queries["saved_answer"], held.params())
    return answer


async def save_answer(
    durable: Database,
    held: Reservation,
    answer: dict[str, Any],
    model: str,
    tokens: tuple[int, int],
) -> dict[str, Any] | None:
    """Keep what was paid for. Returns the answer that counts; None when it came too late."""
    params = held.params(
        answer=Jsonb(answer), model=model, input_tokens=tokens[0], output_tokens=tokens[1]
    )
    async with durable.transaction() as tx:
        stored: dict[str, Any] | None = await tx.value(queries["save_answer"], params)
    return stored


async def commit(
    db: Database,
    held: Reservation,
    messages: Sequence[SourceMessage],
    validated: Validated,
    provenance: Provenance,
) -> list[Announcement]:
    """Insert the facts of the messages that are still this reservation's, and close it."""
    async with db.transaction() as tx:
        if await tx.row(queries["lock_open"], held.params(any_worker=True)) is None:
            return []
        ids = [message.id for message in messages]
        finished = await tx.rows(queries["finish_messages"], held.params(ids=ids))
        ours = {row["id"] for row in finished}
        facts = [fact for fact in validated.facts if ours.issuperset(fact.source_message_ids)]
        announcements = await insert_facts(tx, facts)
        await _close(tx, held, "done", provenance, validated.dropped)
    return announcements


async def fail(
    db: Database,
    held: Reservation,
    messages: Sequence[SourceMessage],
    error: Exception,
    policy: RetryPolicy,
    provenance: Provenance,
) -> None:
    """Record the failed attempt, park the messages until the next one, close the reservation."""
    async with db.transaction() as tx:
        if await tx.row(queries["lock_open"], held.params(any_worker=False)) is None:
            return  # taken over: the new holder's call may still succeed
        await fail_rows(tx, STAGE, "chat_logs", _refs(messages), error, policy)
        await _close(tx, held, "failed", provenance, {})


async def postpone(db: Database, held: Reservation, seconds: float) -> None:
    """Leave the whole session alone for a while; nobody's attempt is counted."""
    async with db.transaction() as tx:
        await tx.execute(queries["postpone"], held.params(seconds=seconds))
        await tx.execute(queries["abandon_if_empty"], held.params())


async def _close(
    tx: Transaction,
    held: Reservation,
    state: str,
    provenance: Provenance,
    dropped: dict[str, int],
) -> None:
    params = held.params(
        state=state,
        extractor=provenance.extractor,
        model=provenance.model,
        prompt=provenance.prompt,
        dropped=Jsonb(dropped) if dropped else None,
    )
    await tx.execute(queries["close"], params)


def _refs(messages: Sequence[SourceMessage]) -> list[RowRef]:
    return [RowRef(message.tenant, message.user, message.id) for message in messages]
