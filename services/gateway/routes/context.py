"""What a prompt should hold of a user: a block of text, ready to be put in."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body

from services.gateway.context import compose
from services.gateway.requests import ContextRequest
from services.gateway.routes.documented import WRITES
from services.gateway.schemas import Context
from services.gateway.state import Parts, Reader

router = APIRouter(prefix="/v1", tags=["recall"], responses=WRITES)


@router.post(
    "/context",
    response_model=Context,
    response_model_exclude_unset=True,
    summary="What should this prompt hold?",
)
async def context(
    asked: Annotated[ContextRequest, Body()], gateway: Parts, caller: Reader
) -> dict[str, Any]:
    """What is always known and what matters for the query, quoted as data, within `max_tokens`.

    The first part is the same for every query. An unknown user's block is empty.
    """
    found, always = await asyncio.gather(
        gateway.recall.answer(caller.tenant, asked.as_recall()),
        gateway.recall.always(caller.tenant, asked),
    )
    if asked.as_of is None and asked.known_at is None:
        gateway.uses.count(caller.tenant, asked.user_id, found["relevant_facts"])
    block = compose(always, found["relevant_facts"], asked.format, asked.most_tokens)
    explained = {"explain": found["explain"]} if asked.explain else {}
    return {"context": block.text, "tokens": block.tokens, "facts": block.facts, **explained}
