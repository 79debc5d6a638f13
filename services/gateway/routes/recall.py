"""What is known about a user that matters for a query."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from services.gateway.requests import RecallRequest
from services.gateway.routes.documented import WRITES
from services.gateway.schemas import Recalled
from services.gateway.state import Parts, Reader

router = APIRouter(prefix="/v1", tags=["recall"], responses=WRITES)


@router.post(
    "/recall",
    response_model=Recalled,
    response_model_exclude_unset=True,
    summary="What matters for this query?",
)
async def recall(
    asked: Annotated[RecallRequest, Body()], gateway: Parts, caller: Reader
) -> dict[str, Any]:
    """The most relevant facts, best first; an unknown user has none."""
    answer = await gateway.recall.answer(caller.tenant, asked)
    if asked.as_of is None and asked.known_at is None:
        gateway.uses.count(caller.tenant, asked.user_id, answer["relevant_facts"])
    return answer
