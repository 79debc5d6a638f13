"""What was given up, and giving it another set of attempts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from services.gateway import cursors
from services.gateway.requests import DeadLettersParams, Redrive
from services.gateway.routes.documented import READS, WRITES
from services.gateway.schemas import DeadLetters, Redriven
from services.gateway.state import Admin, Parts
from shared.failures.store import list_dead, redrive

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


@router.get("", response_model=DeadLetters, responses=READS, summary="List dead letters")
async def list_letters(query: DeadLettersParams, gateway: Parts, caller: Admin) -> Any:
    """Dead letters of the tenant, newest first."""
    at, row = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    async with gateway.db.autocommit() as tx:
        rows = await list_dead(
            tx,
            caller.tenant,
            stage=query.stage,
            before=(at, row) if row is not None else None,
            limit=query.limit + 1,
        )
    letters, following = cursors.page(rows, query.limit, ["dead_at", "id"])
    return {"dead_letters": letters, "next_cursor": following}


@router.post("/redrive", status_code=202, responses=WRITES, summary="Try dead letters again")
async def redrive_letters(
    which: Annotated[Redrive, Body()], gateway: Parts, caller: Admin
) -> Redriven:
    """The sweep takes them from there."""
    async with gateway.db.transaction() as tx:
        count = await redrive(tx, caller.tenant, ids=which.ids, stage=which.stage)
    return Redriven(redriven=count)
