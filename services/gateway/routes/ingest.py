"""Messages in: stored durably, announced behind the request's back, answered at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body

from services.gateway.auth import Caller
from services.gateway.errors import ApiError, being_erased, detail, invalid, over_quota
from services.gateway.observed import told_of, traceparent
from services.gateway.requests import EXAMPLE_MESSAGE, LONGEST_KEY, Batch, IdempotencyKey
from services.gateway.routes.documented import STORES
from services.gateway.schemas import Accepted, BatchAccepted
from services.gateway.state import Gateway, Parts, Writer
from shared.events import Announcement
from shared.ids import trace_id
from shared.intake.admission import QUOTA, store_within
from shared.intake.messages import IncomingMessage, Limits, Message, accept, exceeds
from shared.intake.store import claim_idempotency_key
from shared.metrics.commits import ingested

router = APIRouter(prefix="/v1", tags=["ingest"], responses=STORES)


@router.post("/ingest", status_code=202, summary="Take in one message")
async def ingest(
    message: Annotated[IncomingMessage, Body(examples=[EXAMPLE_MESSAGE])],
    gateway: Parts,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Store a message and answer at once; facts follow behind. A retry is a `duplicate`."""
    [answer] = await _take_in(gateway, caller, [message], idempotency_key, batch=False)
    return answer


@router.post("/ingest/batch", status_code=202, summary="Take in up to 500 messages")
async def ingest_batch(
    batch: Batch, gateway: Parts, caller: Writer, idempotency_key: IdempotencyKey = None
) -> BatchAccepted:
    """Store messages together or not at all, answered in their order."""
    most = gateway.settings.max_batch
    if len(batch.messages) > most:
        raise invalid("messages", f"must be at most {most}")
    answers = await _take_in(gateway, caller, batch.messages, idempotency_key, batch=True)
    return BatchAccepted(messages=answers)


async def _take_in(
    gateway: Gateway,
    caller: Caller,
    incoming: Sequence[IncomingMessage],
    idempotency_key: str | None,
    *,
    batch: bool,
) -> list[Accepted]:
    check_key(idempotency_key)
    _check_sizes(gateway, incoming, batch=batch)
    if len(users := {each.user_id for each in incoming}) == 1:
        told_of(caller.tenant, *users)
    messages = [accept(each, caller.tenant, traceparent=traceparent()) for each in incoming]
    if idempotency_key is None and not batch:
        answers, bells = await _store_single(gateway, messages[0])
    elif idempotency_key is None:
        answers, bells = await _store(gateway, messages)
    else:
        key = caller.own(idempotency_key)
        answers, bells = await _store_once(gateway, messages, incoming, key, batch)
    gateway.bells.ring(bells)
    ingested("http", (answer.status for answer in answers))
    return answers


Taken = tuple[list[Accepted], list[Announcement]]


async def _store_single(gateway: Gateway, message: Message) -> Taken:
    """Store one message together with whatever other requests bring at this moment.

    Raises TimeoutError when that takes too long; it may be stored all the same, and the retry is a
    duplicate.
    """
    async with asyncio.timeout(gateway.settings.request_seconds):  # others may be before it
        outcome, announcements = await gateway.store_single(message)
    _refuse(gateway, [outcome], batch=False)
    return [_accepted(outcome, message.id)], announcements


async def _store(gateway: Gateway, messages: Sequence[Message]) -> Taken:
    """Store messages of one tenant, all or none."""
    async with gateway.db.of(messages[0].tenant).transaction() as tx:
        stored = await store_within(tx, messages, gateway.settings.window, gateway.quotas)
        _refuse(gateway, stored.outcomes, batch=True)
        gateway.at_point("commit")
    gateway.at_point("committed")
    answers = [
        _accepted(outcome, message.id)
        for outcome, message in zip(stored.outcomes, messages, strict=True)
    ]
    return answers, stored.announcements


async def _store_once(
    gateway: Gateway,
    messages: Sequence[Message],
    incoming: Sequence[IncomingMessage],
    key: str,
    batch: bool,
) -> Taken:
    """Store under an Idempotency-Key: its first request is answered again, another one refused."""
    digest = _digest(incoming, batch=batch)
    ids = [message.id for message in messages]
    async with gateway.db.of(messages[0].tenant).transaction() as tx:
        first = await claim_idempotency_key(tx, messages[0].tenant, key, digest, ids)
        if first is None:
            stored = await store_within(tx, messages, gateway.settings.window, gateway.quotas)
            _refuse(gateway, stored.outcomes, batch=batch)
        gateway.at_point("commit")
    gateway.at_point("committed")
    if first is None:
        outcomes = zip(stored.outcomes, ids, strict=True)
        return [_accepted(outcome, row) for outcome, row in outcomes], stored.announcements
    if first[0] != digest:
        raise ApiError("conflict", "This Idempotency-Key came with another body before.")
    return [_accepted("duplicate", row) for row in first[1]], []


def check_key(key: str | None) -> None:
    """Raise ApiError for what is no Idempotency-Key."""
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise invalid("Idempotency-Key", f"must be 1 to {LONGEST_KEY} printable characters")


def _check_sizes(gateway: Gateway, incoming: Sequence[IncomingMessage], *, batch: bool) -> None:
    limits = Limits(gateway.settings.max_content_bytes, gateway.settings.max_metadata_bytes)
    details = [
        detail(problem.field, problem.reason, index if batch else None)
        for index, message in enumerate(incoming)
        for problem in exceeds(message, limits)
    ]
    if details:
        raise ApiError("invalid_request", "The request is not valid.", details)


def _digest(incoming: Sequence[IncomingMessage], *, batch: bool) -> bytes:
    """Digest the body in one spelling: order of keys and defaults make no difference."""
    said: list[Any] = [m.model_dump(mode="json", exclude_none=True) for m in incoming]
    return hashlib.sha256(json.dumps([batch, said], sort_keys=True).encode()).digest()


def _refuse(gateway: Gateway, outcomes: Sequence[str], *, batch: bool) -> None:
    """Raise ApiError where one of the messages could not be stored."""
    if "conflict" in outcomes:
        raise _conflict(outcomes, batch=batch)
    if "over_quota" in outcomes:
        raise over_quota(QUOTA, gateway.clock())
    if "erasing" in outcomes:
        raise being_erased()


def _conflict(outcomes: Sequence[str], *, batch: bool) -> ApiError:
    details = [
        detail("message_id", "came with other content before", index if batch else None)
        for index, outcome in enumerate(outcomes)
        if outcome == "conflict"
    ]
    return ApiError("conflict", "A message_id came with other content before.", details)


def _accepted(outcome: Any, row: UUID) -> Accepted:
    return Accepted.model_construct(status=outcome, chat_log_id=row, trace_id=trace_id(row))
