"""What a tenant's calls of models cost, day by day, and what is left of today's budget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter

from services.gateway.errors import invalid
from services.gateway.query_strings import UsageParams
from services.gateway.routes.documented import READS
from services.gateway.spending_schemas import Usage
from services.gateway.state import Admin, Parts
from shared.spending import store
from shared.spending.store import Limits

router = APIRouter(prefix="/v1/usage", tags=["usage"])

_MOST_DAYS = 366
_DEFAULT_DAYS = 30


@router.get("", response_model=Usage, responses=READS, summary="What calls of models cost")
async def usage(query: UsageParams, gateway: Parts, caller: Admin) -> Any:
    """Calls, failed ones among them, tokens and money by day (UTC), purpose and model.

    Counted about a second after each call.
    """
    last = query.until or gateway.clock().date()
    first = query.since or last - timedelta(days=_DEFAULT_DAYS)
    if first > last:
        raise invalid("from", "is after `to`")
    if last - first > timedelta(days=_MOST_DAYS):
        raise invalid("from", f"is more than {_MOST_DAYS} days before `to`")
    settings = gateway.settings
    default = Limits.of(settings.tenant_tokens_per_day, settings.tenant_money_per_day)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        lines = await store.usage(tx, caller.tenant, first, last)
        budget = await store.budget_of(tx, caller.tenant)
    limits = default.overridden(budget["tokens_per_day"], budget["money_per_day"])
    return {"usage": lines, "budget": {**budget, **limits.params()} if limits else None}
