"""What happens to facts, live and resumable: server-sent events over the events table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.gateway.errors import ApiError, invalid
from services.gateway.event_store import Position, events_after, missed_any, position_now
from services.gateway.query_strings import EventsParams
from services.gateway.requests import (
    EventId,
)
from services.gateway.routes.documented import failures_of_a_stream
from services.gateway.state import Gateway, Parts, Presented, Reader
from shared.db import Row
from shared.ids import trace_id

router = APIRouter(prefix="/v1", tags=["events"], responses=failures_of_a_stream())

_PAGE = 500
_LOOK_SECONDS = 0.2
_RECONNECT_MS = 1_000
_KEY_SECONDS = 0.8  # with what a keyring remembers, a revoked key's stream ends within five seconds


async def _position(
    query: EventsParams,
    gateway: Parts,
    caller: Reader,
    last_event_id: Annotated[
        EventId | None,
        Header(description="Goes on behind this event; browsers send it themselves."),
    ] = None,
) -> Position:
    """Tell where to begin: behind the last event seen, else behind `after`, else now."""
    said = last_event_id if last_event_id is not None else query.after
    if said is None:
        async with gateway.db.of(caller.tenant).autocommit() as tx:
            return await position_now(tx)
    field = "after" if last_event_id is None else "Last-Event-ID"
    try:
        position = Position.parse(said)
    except ValueError as error:
        raise invalid(field, str(error)) from error
    await _refuse_too_old(gateway, caller.tenant, position, field)
    return position


async def _refuse_too_old(gateway: Gateway, tenant: str, position: Position, field: str) -> None:
    """Tell a reader that events it has not seen are gone; the beginning is what is kept of it."""
    if position == Position():
        return
    async with gateway.db.of(tenant).autocommit() as tx:
        missed = await missed_any(tx, tenant, position)
    if missed:
        raise invalid(
            field,
            "events behind it were removed: read the facts anew, then begin without it, or with 0 "
            "for all that is kept",
        )


@router.get("/events", response_class=EventSourceResponse, summary="Follow what happens to facts")
async def follow_events(
    query: EventsParams,
    gateway: Parts,
    caller: Reader,
    presented: Presented,
    position: Annotated[Position, Depends(_position)],
) -> AsyncIterator[ServerSentEvent]:
    """Events `fact.settled`, `fact.merged`, `fact.superseded`, `fact.revised`, `fact.forgotten`, …

    Each has an `id`; a reader that comes back with it as `Last-Event-ID` misses nothing. A page of
    the past comes as fast as it is read, then what happens. `follow=false` ends at the present.
    A key of one user is shown that user's.
    """
    user = query.user_id if caller.user is None else caller.user
    yield ServerSentEvent(comment="connected", id=str(position), retry=_RECONNECT_MS)
    checked = time.monotonic()
    while not gateway.stopping.is_set():
        rows = await _rows_after(gateway, caller.tenant, user, position)
        for row in rows:
            position = Position(int(row["xid"]), row["seq"])
            yield ServerSentEvent(id=str(position), event=row["event"], data=_public(row))
        if len(rows) == _PAGE:
            continue
        if not query.follow:
            return
        if time.monotonic() - checked > _KEY_SECONDS:
            if not await _still_valid(gateway, presented):
                return
            checked = time.monotonic()
        await _pause(gateway)


async def _rows_after(
    gateway: Gateway, tenant: str, user: str | None, position: Position
) -> Sequence[Row]:
    """Read the next page; nothing while PostgreSQL is away: the reader need not notice."""
    try:
        async with gateway.db.of(tenant).autocommit() as tx:
            return await events_after(tx, tenant, user, position, _PAGE)
    except psycopg.OperationalError:
        return []


async def _still_valid(gateway: Gateway, presented: str | None) -> bool:
    """Say whether the key still opens anything: revoking it ends its streams too."""
    try:
        await gateway.keyring.caller(presented)
    except ApiError:
        return False
    except psycopg.OperationalError:
        return True  # nobody can say; the next look will
    return True


async def _pause(gateway: Gateway) -> None:
    try:
        await asyncio.wait_for(gateway.stopping.wait(), _LOOK_SECONDS)
    except TimeoutError:
        return


def _public(row: Row) -> dict[str, Any]:
    return {
        "event": row["event"],
        "user_id": row["user_id"],
        "fact_id": row["fact_id"],
        "trace_id": trace_id(row["trace_id"]),
        "at": row["at"],
        "fact": _fact(row),
        "data": row["data"] or {},
    }


def _fact(row: Row) -> dict[str, Any] | None:
    """Tell what it is about; None for what has been forgotten or erased since."""
    if row["content"] is None:
        return None
    return {name: row[name] for name in ("content", "subject", "slot", "value")}
