"""What an application should always know of a user: the essential facts and the profile."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from services.gateway import store
from services.gateway.facts import public_fact
from services.gateway.requests import UserId
from services.gateway.routes.documented import READS
from services.gateway.schemas import Conscious
from services.gateway.state import Gateway, Parts, Reader

router = APIRouter(prefix="/v1/users", tags=["users"], responses=READS)

_MOST_ESSENTIAL = 100


@router.get("/{user_id}/conscious", response_model=Conscious, summary="What to know always")
async def conscious(user_id: UserId, gateway: Parts, caller: Reader) -> Any:
    """The essential facts that hold now, and the profile; `stale` once a source has changed."""
    now = gateway.clock()

    async def made() -> bytes:
        return await _made(gateway, caller.tenant, user_id, now)

    async with gateway.db.of(caller.tenant).autocommit() as tx:
        version = await store.conscious_version(tx, caller.tenant, user_id, now)
    kept = gateway.conscious.answer
    body = await (kept(caller.tenant, user_id, version, made) if version else made())
    return Response(body, media_type="application/json")


async def _made(gateway: Gateway, tenant: str, user: str, now: datetime) -> bytes:
    async with gateway.db.of(tenant).autocommit() as tx:
        rows = await store.essential_facts(tx, tenant, user, now, _MOST_ESSENTIAL)
        profile = await store.profile(tx, tenant, user)
    answer = {
        "essential": [public_fact(row, now) for row in rows],
        "profile": profile and {**profile, "stale": profile["stale_since"] is not None},
    }
    return Conscious.model_validate(answer).model_dump_json().encode()
