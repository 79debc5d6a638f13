"""What is held for review, and forgetting what was learnt: where trust is given and taken back.

Each act is recorded with who did it, when and why, and shown in the facts' history.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body

from services.gateway import act_store, cursors, store, trust_deeds
from services.gateway.act_store import Deed, Learnt
from services.gateway.errors import not_found
from services.gateway.facts import public_fact
from services.gateway.requests import EXAMPLE_UNDO, FactId, IdempotencyKey, UndoRequest, UserId
from services.gateway.routes.acts import changed, deed_of, done, first_answer
from services.gateway.routes.documented import READS, failures
from services.gateway.routes.facts import fact_or_404
from services.gateway.routes.ingest import check_key
from services.gateway.schemas import Fact
from services.gateway.state import Admin, Gateway, Parts, Writer
from services.gateway.statements import row_id
from services.gateway.trust_requests import (
    EXAMPLE_REVIEW,
    ActId,
    Forgetting,
    QuarantineParams,
    ReviewRequest,
)
from services.gateway.trust_schemas import ForgottenLearning, HeldFacts, RestoredLearning
from shared.db import Transaction
from shared.events import Announcement
from shared.ids import time_ordered_id

router = APIRouter(prefix="/v1", tags=["trust"])

_CHANGES = failures(400, 404, 409, 413)
Why = Annotated[ReviewRequest | None, Body(examples=[EXAMPLE_REVIEW])]


@router.get(
    "/quarantine", response_model=HeldFacts, responses=READS, summary="What is held for review"
)
async def list_held(query: QuarantineParams, gateway: Parts, caller: Admin) -> Any:
    """Facts that nobody is shown until they are approved; `quarantine` says why each is held."""
    after_at, after_id = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        rows = await store.held_facts(
            tx,
            caller.tenant,
            user=query.user_id if caller.user is None else caller.user,
            reason=query.reason,
            after=(after_at, after_id),
            limit=query.limit,
        )
    page, following = cursors.page(rows, query.limit, ["recorded_at", "id"])
    now = gateway.clock()
    return {"facts": [public_fact(row, now) for row in page], "next_cursor": following}


@router.post(
    "/facts/{fact_id}/approve", response_model=Fact, responses=_CHANGES, summary="Approve a fact"
)
async def approve(
    fact_id: FactId,
    gateway: Parts,
    caller: Admin,
    asked: Why = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """It counts from when it was said, like any other; an undo holds it again."""
    return await _reviewed(gateway, caller, fact_id, asked, idempotency_key, approved=True)


@router.post(
    "/facts/{fact_id}/reject", response_model=Fact, responses=_CHANGES, summary="Reject a fact"
)
async def reject(
    fact_id: FactId,
    gateway: Parts,
    caller: Admin,
    asked: Why = None,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """It is forgotten, in whatever replay says it again; an undo holds it again."""
    return await _reviewed(gateway, caller, fact_id, asked, idempotency_key, approved=False)


async def _reviewed(
    gateway: Gateway,
    caller: Admin,
    fact_id: str,
    asked: ReviewRequest | None,
    key: str | None,
    *,
    approved: bool,
) -> dict[str, Any]:
    check_key(key)
    deed = deed_of(caller, "", asked.reason if asked is not None else None)

    async def work(tx: Transaction) -> tuple[UUID, list[Announcement]]:
        fact = await fact_or_404(tx, caller, fact_id)
        asked_for = ("approve" if approved else "reject", fact["id"], deed.reason)
        if await first_answer(tx, caller, key, [deed.id], *asked_for) is not None:
            return fact["id"], []
        mine = Deed(deed.tenant, fact["user_id"], deed.id, deed.actor, deed.reason)
        told = await trust_deeds.review(tx, mine, fact["id"], approved=approved)
        return fact["id"], told

    return await changed(gateway, caller, work)


@router.post(
    "/users/{user_id}/forget",
    response_model=ForgottenLearning,
    responses=_CHANGES,
    summary="Forget what was learnt",
)
async def forget(
    user_id: UserId,
    asked: Annotated[Forgetting, Body()],
    gateway: Parts,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """All that was learnt from a message or session alone, from words of a source, or since a time.

    What is still on its way counts as learnt. Messages stay as they are, and it can be undone;
    DELETE of messages takes their words too, for good.
    """
    check_key(idempotency_key)
    deed = deed_of(caller, user_id, asked.reason)

    async def work(tx: Transaction) -> tuple[dict[str, Any], list[Announcement]]:
        request = asked.model_dump(mode="json", exclude_none=True)
        first = await first_answer(tx, caller, idempotency_key, [deed.id], "forget", request)
        if first is not None:
            return {"act_id": first[0], "facts": 0}, []
        messages = await _named(tx, deed, asked)
        learnt = Learnt(asked.source, asked.since)
        facts, told = await trust_deeds.forget_learnt(tx, deed, learnt, messages)
        return {"act_id": deed.id, "facts": facts}, told

    return await done(gateway, caller.tenant, work)


async def _named(tx: Transaction, deed: Deed, asked: Forgetting) -> list[UUID]:
    """The messages that are named; none where source or time is. Raises ApiError (not_found)."""
    if asked.source is not None or asked.since is not None:
        return []
    messages = await act_store.learnt_from(
        tx, deed, chat_log=asked.chat_log_id, message=asked.message_id, session=asked.session_id
    )
    if not messages:
        raise not_found("session" if asked.session_id is not None else "message")
    return messages


@router.post(
    "/users/{user_id}/forget/{act_id}/undo",
    response_model=RestoredLearning,
    responses=_CHANGES,
    summary="Take a forgetting back",
)
async def undo_forgetting(
    user_id: UserId,
    act_id: ActId,
    gateway: Parts,
    caller: Writer,
    asked: Annotated[UndoRequest | None, Body(examples=[EXAMPLE_UNDO])] = None,
) -> Any:
    """As if it had not been done, from now on; the histories keep both."""
    forgetting = row_id(act_id)
    if forgetting is None:
        raise not_found("act")
    reason = asked.reason if asked is not None else None
    deed = Deed(caller.tenant, user_id, time_ordered_id(), caller.actor, reason)

    async def work(tx: Transaction) -> tuple[dict[str, Any], list[Announcement]]:
        facts, told = await trust_deeds.undo_forgetting(tx, deed, forgetting)
        return {"act_id": deed.id, "facts": facts}, told

    return await done(gateway, caller.tenant, work)
