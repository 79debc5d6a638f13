"""Operators' acts: correcting a fact, forgetting it, erasing messages, taking back.

Each is recorded with who did it, when and why, and shown in the fact's history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Body

from services.gateway import act_store, deeds, store
from services.gateway.act_store import Deed
from services.gateway.auth import Caller
from services.gateway.corrections import corrected, digest, labels_asked
from services.gateway.errors import ApiError, not_found
from services.gateway.facts import public_fact
from services.gateway.query_strings import ReasonParams
from services.gateway.requests import (
    EXAMPLE_UNDO,
    ChatLogId,
    FactCorrection,
    FactId,
    IdempotencyKey,
    SessionId,
    UndoRequest,
    UserId,
)
from services.gateway.routes.documented import READS_ONE, failures
from services.gateway.routes.facts import check_metadata, fact_or_404
from services.gateway.routes.ingest import check_key
from services.gateway.schemas import Fact, FactAccepted, Forgotten
from services.gateway.state import Gateway, Parts, Writer
from services.gateway.statements import row_id
from shared.db import Row, Transaction
from shared.erasure import streams
from shared.events import Announcement
from shared.ids import time_ordered_id, trace_id
from shared.intake.store import claim_idempotency_key
from shared.ledger import folding

router = APIRouter(prefix="/v1", tags=["acts"])

_CHANGES = failures(400, 404, 409, 413)

Answer = TypeVar("Answer")
Work = Callable[[Transaction], Awaitable[tuple[Answer, list[Announcement]]]]
"""What is done in one transaction: the answer, and what to ring when it is committed."""


@router.patch("/facts/{fact_id}", status_code=202, responses=_CHANGES, summary="Correct a fact")
async def correct_fact(
    fact_id: FactId,
    asked: Annotated[FactCorrection, Body()],
    gateway: Parts,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> FactAccepted:
    """The correction is a fact of its own; it wins until the user says something later.

    It goes through the stages like a stated fact: `trace_id` tells when it counts. Other labels
    alone are given to the fact itself, at once, whether or not it is believed.
    """
    check_key(idempotency_key)
    check_metadata(gateway, asked.metadata)
    act = time_ordered_id()

    async def work(tx: Transaction) -> tuple[FactAccepted, list[Announcement]]:
        fact = await fact_or_404(tx, caller, fact_id)
        old = await _shown_as(tx, fact)
        labels = labels_asked(old, asked)
        made = act if labels is None else old["id"]
        trace = act if labels is None else folding.trace_of(old)
        body = asked.model_dump(mode="json", exclude_none=True)
        first = await first_answer(
            tx, caller, idempotency_key, (made, trace), "PATCH", fact["id"], body
        )
        if first is not None:
            return _accepted("duplicate", first[0], first[-1]), []
        deed = Deed(caller.tenant, old["user_id"], act, caller.actor, asked.reason)
        return _accepted("accepted", made, trace), await _correct(tx, deed, fact, old, asked)

    return await done(gateway, caller.tenant, work)


def _accepted(status: Literal["accepted", "duplicate"], fact: UUID, trace: UUID) -> FactAccepted:
    return FactAccepted(status=status, fact_id=fact, trace_id=trace_id(trace))


async def _correct(
    tx: Transaction, deed: Deed, fact: Row, old: Row, asked: FactCorrection
) -> list[Announcement]:
    if old["standing"] == "quarantined":
        raise ApiError("conflict", "The fact is held for review; approve it first.")
    if old["standing"] == "forgotten":
        raise ApiError("conflict", "The fact was deleted, or taken back; state it anew.")
    labels = labels_asked(old, asked)
    if labels is not None:
        return await deeds.relabel(tx, deed, old, labels)
    new = corrected(old, asked, deed.id)
    if not new.slot and new.value_key == old["value_key"] and old["standing"] == "retired":
        raise ApiError("conflict", "The fact is not believed, in these words or others; state it.")
    return await deeds.correct(tx, deed, fact["id"], old, new)


async def _shown_as(tx: Transaction, fact: Row) -> Row:
    """The fact that stands for this one: what says the same is corrected with it."""
    canonical = fact["canonical_id"] or fact["id"]
    rows = await store.facts_by_ids(tx, fact["tenant_id"], fact["user_id"], [canonical])
    return rows[0] if rows else fact


@router.delete(
    "/facts/{fact_id}", response_model=Fact, responses=READS_ONE, summary="Forget a fact"
)
async def delete_fact(fact_id: FactId, query: ReasonParams, gateway: Parts, caller: Writer) -> Any:
    """Forgotten at once, with all that says the same, and under `known_at` too.

    No retry, import or replay brings it back; only a later statement, or an undo.
    """

    async def work(tx: Transaction) -> tuple[UUID, list[Announcement]]:
        fact = await fact_or_404(tx, caller, fact_id)
        deed = deed_of(caller, fact["user_id"], query.reason)
        return fact["id"], await deeds.forget(tx, deed, fact)

    return await changed(gateway, caller, work)


@router.post(
    "/facts/{fact_id}/undo",
    response_model=Fact,
    responses=_CHANGES,
    summary="Take back the last correction or deletion",
)
async def undo(
    fact_id: FactId,
    gateway: Parts,
    caller: Writer,
    asked: Annotated[UndoRequest | None, Body(examples=[EXAMPLE_UNDO])] = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """As if it had not been done, from now on; the history keeps both. Again: the one before."""
    check_key(idempotency_key)
    act = time_ordered_id()
    reason = asked.reason if asked is not None else None

    async def work(tx: Transaction) -> tuple[UUID, list[Announcement]]:
        fact = await fact_or_404(tx, caller, fact_id)
        asked_for = ("undo", fact["id"], reason)
        if await first_answer(tx, caller, idempotency_key, [act], *asked_for) is not None:
            return fact["id"], []
        deed = Deed(caller.tenant, fact["user_id"], act, caller.actor, reason)
        return fact["id"], await deeds.undo(tx, deed, fact)

    return await changed(gateway, caller, work)


@router.delete(
    "/users/{user_id}/sessions/{session_id}/messages",
    response_model=Forgotten,
    responses=READS_ONE,
    summary="Forget a session",
)
async def delete_session(
    user_id: UserId, session_id: SessionId, query: ReasonParams, gateway: Parts, caller: Writer
) -> Any:
    """Erases a session's messages and what rests on them alone; there is no undo."""
    return await _erased(gateway, deed_of(caller, user_id, query.reason), session_id, None)


@router.delete(
    "/users/{user_id}/sessions/{session_id}/messages/{chat_log_id}",
    response_model=Forgotten,
    responses=READS_ONE,
    summary="Forget a message",
)
async def delete_message(
    user_id: UserId,
    session_id: SessionId,
    chat_log_id: ChatLogId,
    query: ReasonParams,
    gateway: Parts,
    caller: Writer,
) -> Any:
    """Erases a message and what rests on it alone; there is no undo."""
    message = row_id(chat_log_id)
    if message is None:
        raise not_found("message")
    return await _erased(gateway, deed_of(caller, user_id, query.reason), session_id, message)


async def _erased(
    gateway: Gateway, deed: Deed, session: str, message: UUID | None
) -> dict[str, int]:
    place = await streams.last_place(gateway.redis)

    async def work(tx: Transaction) -> tuple[dict[str, int], list[Announcement]]:
        if not await act_store.session_exists(tx, deed.tenant, deed.user, session):
            raise not_found("session")
        if message and not await act_store.message_exists(tx, deed, session, message):
            raise not_found("message")
        _, counts, announcements = await deeds.erase_certified(tx, deed, session, message, place)
        return counts, announcements

    return await done(gateway, deed.tenant, work)


def deed_of(caller: Caller, user: str, reason: str | None) -> Deed:
    return Deed(caller.tenant, user, time_ordered_id(), caller.actor, reason)


async def first_answer(
    tx: Transaction, caller: Caller, key: str | None, answer: Sequence[UUID], *request: Any
) -> list[UUID] | None:
    """Take the Idempotency-Key for this request and its answer; else the answer of its first one.

    Raises ApiError (conflict) when that was another request.
    """
    if key is None:
        return None
    asked = digest(*request)
    first = await claim_idempotency_key(tx, caller.tenant, caller.own(key), asked, answer)
    if first is None:
        return None
    if first[0] != asked:
        raise ApiError("conflict", "This Idempotency-Key came with another request before.")
    return first[1]


async def done(gateway: Gateway, tenant: str, work: Work[Answer]) -> Answer:
    answer, announcements = await deeds.in_transaction(gateway.db.of(tenant), work)
    gateway.bells.ring(announcements)
    return answer


async def changed(gateway: Gateway, caller: Caller, work: Work[UUID]) -> dict[str, Any]:
    """Do it, and show the fact as it is afterwards."""
    fact = await done(gateway, caller.tenant, work)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        row = await store.fact_by_id(tx, caller.tenant, fact)
    if row is None:
        raise not_found("fact")
    return public_fact(row, gateway.clock())
