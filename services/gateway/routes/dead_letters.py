"""What was given up: listing it, mending it, trying it again, or dropping it with a reason."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body

from services.gateway import cursors
from services.gateway.dead_letter_schemas import (
    DeadLetter,
    DeadLetters,
    DeadSummary,
    Dropped,
    DroppedLetters,
    Redriven,
)
from services.gateway.errors import not_found
from services.gateway.query_strings import DeadLettersParams, DroppedParams
from services.gateway.requests import (
    Drop,
    LetterId,
    Mend,
    Redrive,
)
from services.gateway.routes.documented import READS, WRITES, WRITES_ONE
from services.gateway.state import Admin, Parts
from shared.dead_letters import store
from shared.dead_letters.store import Selection

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


@router.get("", response_model=DeadLetters, responses=READS, summary="List dead letters")
async def list_letters(query: DeadLettersParams, gateway: Parts, caller: Admin) -> Any:
    """Dead letters of the tenant, newest first, by stage, class and age."""
    at, row = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    selection = Selection(
        tenant=caller.tenant,
        stage=query.stage,
        error_class=query.error_class,
        older_than_seconds=query.older_than_seconds,
    )
    before = (at, row) if row is not None else None
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        rows = await store.list_dead(tx, selection, before=before, limit=query.limit + 1)
    letters, following = cursors.page(rows, query.limit, ["dead_at", "id"])
    return {"dead_letters": letters, "next_cursor": following}


@router.get("/summary", response_model=DeadSummary, responses=READS, summary="How many, and why")
async def summarize_letters(gateway: Parts, caller: Admin) -> Any:
    """Dead letters by stage and class, with those of the last hour: do they grow?"""
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        return {"groups": await store.summarize(tx, caller.tenant)}


@router.get("/dropped", response_model=DroppedLetters, responses=READS, summary="What was dropped")
async def list_dropped(query: DroppedParams, gateway: Parts, caller: Admin) -> Any:
    """The last ones dropped, by whom and why; their payloads are gone."""
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        return {"dropped": await store.list_dropped(tx, caller.tenant, query.limit)}


@router.patch(
    "/{letter_id}", response_model=DeadLetter, responses=WRITES_ONE, summary="Mend a dead entry"
)
async def mend_letter(
    letter_id: LetterId, mended: Annotated[Mend, Body()], gateway: Parts, caller: Admin
) -> Any:
    """Replace the payload of an entry that never became a message; redrive it afterwards."""
    try:
        row = UUID(letter_id)
    except ValueError as error:
        raise not_found("dead letter") from error
    payload = mended.payload | {"tenant": caller.tenant}
    async with gateway.db.of(caller.tenant).transaction() as tx:
        letter = await store.mend(tx, caller.tenant, row, payload)
    if letter is None:
        raise not_found("dead letter with a payload")
    return letter


@router.post("/redrive", status_code=202, responses=WRITES, summary="Try dead letters again")
async def redrive_letters(
    which: Annotated[Redrive, Body()], gateway: Parts, caller: Admin
) -> Redriven:
    """The sweep takes them from there."""
    async with gateway.db.of(caller.tenant).transaction() as tx:
        return Redriven(redriven=await store.redrive(tx, _selected(which, caller.tenant)))


@router.post("/drop", status_code=202, responses=WRITES, summary="Give dead letters up")
async def drop_letters(which: Annotated[Drop, Body()], gateway: Parts, caller: Admin) -> Dropped:
    """There is no way back; who dropped them and why is kept."""
    selection = _selected(which, caller.tenant)
    async with gateway.db.of(caller.tenant).transaction() as tx:
        count = await store.drop_dead(
            tx, selection, actor=f"key {caller.key_id}", reason=which.reason
        )
    return Dropped(dropped=count)


def _selected(which: Redrive, tenant: str) -> Selection:
    return Selection(
        tenant=tenant,
        ids=which.ids,
        stage=which.stage,
        error_class=which.error_class,
        older_than_seconds=which.older_than_seconds,
    )
