"""Erasing everything about a user or a session, and the certificates of it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from services.gateway import cursors, deeds
from services.gateway.act_store import Deed
from services.gateway.erasure_schemas import Erasure, Erasures, public_erasure
from services.gateway.errors import not_found
from services.gateway.query_strings import PageParams, ReasonParams
from services.gateway.requests import (
    SessionId,
    UserId,
)
from services.gateway.routes.documented import READS, READS_ONE
from services.gateway.state import Parts, Reader, Writer
from services.gateway.statements import row_id
from shared.db import Row, Transaction
from shared.erasure import store, streams
from shared.events import Announcement
from shared.ids import time_ordered_id

router = APIRouter(prefix="/v1/users", tags=["erasure and export"], responses=READS)

ErasureId = Annotated[str, Path(description="The erasure's id.")]
_ERASING: dict[int | str, dict[str, Any]] = {
    202: {"model": Erasure, "description": "The tombstone is set; the rest follows by itself."}
}


@router.delete(
    "/{user_id}",
    response_model=Erasure,
    responses=_ERASING,
    summary="Erase everything about a user",
)
async def erase_user(
    user_id: UserId, response: Response, gateway: Parts, caller: Writer
) -> dict[str, Any]:
    """A tombstone first, then every row, vector, answer and dead letter; there is no undo.

    Whatever is under way comes to nothing. 200 when it is done, with the certificate; 202 when it
    takes longer, or Redis is away. Until the rows are gone, what is sent about the user is answered
    503; afterwards it begins anew. Also for a user nobody has heard of: what is still on its way
    from Redis is then never taken in.
    """
    erasure = await gateway.eraser.begin(caller.tenant, user_id, caller.actor)
    gateway.keyring.forget_user(caller.tenant, user_id)
    gateway.recall.forget({(erasure.tenant, erasure.user_sha256)})
    try:
        async with asyncio.timeout(gateway.settings.request_seconds):
            await gateway.eraser.complete(erasure)
    except TimeoutError:
        pass  # the sweeper's process goes on with it
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        row = await store.certificate(tx, caller.tenant, user_id, erasure.id)
    if row is None:
        raise not_found("erasure")
    response.status_code = 202 if row["finished_at"] is None else 200
    return public_erasure(row)


@router.delete(
    "/{user_id}/sessions/{session_id}", response_model=Erasure, summary="Erase a session"
)
async def erase_session(
    user_id: UserId, session_id: SessionId, query: ReasonParams, gateway: Parts, caller: Writer
) -> dict[str, Any]:
    """Erases a session's messages and what rests on them alone; there is no undo.

    What is still on its way from Redis for it is never taken in. A later message begins it anew.
    """
    deed = Deed(caller.tenant, user_id, time_ordered_id(), caller.actor, query.reason)
    place = await streams.last_place(gateway.redis)

    async def work(tx: Transaction) -> tuple[Row | None, list[Announcement]]:
        row, _, bells = await deeds.erase_certified(tx, deed, session_id, None, place)
        return await store.certificate(tx, deed.tenant, deed.user, row), bells

    certificate, bells = await deeds.in_transaction(gateway.db.of(caller.tenant), work)
    gateway.bells.ring(bells)
    assert certificate is not None
    return public_erasure(certificate)


@router.get("/{user_id}/erasures", response_model=Erasures, summary="A user's erasures")
async def list_erasures(user_id: UserId, query: PageParams, gateway: Parts, caller: Reader) -> Any:
    """Certificates, the last first: of the user, of sessions and of messages."""
    before = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        whose = (caller.tenant, user_id)
        rows = await store.certificates(tx, whose, (before[0], before[1]), query.limit)
    page, following = cursors.page(rows, query.limit, ["requested_at", "id"])
    return {"erasures": [public_erasure(row) for row in page], "next_cursor": following}


@router.get(
    "/{user_id}/erasures/{erasure_id}",
    response_model=Erasure,
    responses=READS_ONE,
    summary="A certificate",
)
async def get_erasure(
    user_id: UserId, erasure_id: ErasureId, gateway: Parts, caller: Reader
) -> Any:
    """What was erased, and whether it is finished."""
    row = row_id(erasure_id)
    found = None
    if row is not None:
        async with gateway.db.of(caller.tenant).autocommit() as tx:
            found = await store.certificate(tx, caller.tenant, user_id, row)
    if found is None:
        raise not_found("erasure")
    return public_erasure(found)
