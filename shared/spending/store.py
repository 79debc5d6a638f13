"""What is read and written about spending: what was counted, budgets, and pauses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from shared.db import Row, Transaction
from shared.spending.prices import Amount
from shared.sql import Queries

queries = Queries("shared.spending")

PAUSE_STALE_SECONDS = 90.0
"""So long after its end a pause is shown: its probe may take a minute."""
REFUSAL_STALE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Line:
    """Whose calls of which model are counted together."""

    tenant: str
    day: date
    purpose: str
    provider: str
    model: str


@dataclass(slots=True)
class Counts:
    """What was counted of one line."""

    calls: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    money: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens and money a day; None: unlimited."""

    tokens_per_day: int | None = None
    money_per_day: Decimal | None = None

    @classmethod
    def of(cls, tokens_per_day: int, money_per_day: float) -> Limits:
        """Limits as settings say them: 0 is none."""
        return cls(tokens_per_day or None, Decimal(str(money_per_day)) if money_per_day else None)

    def overridden(self, tokens_per_day: int | None, money_per_day: Decimal | None) -> Limits:
        """These limits, where a tenant has none of its own; its own 0 lifts one."""
        tokens = self.tokens_per_day if tokens_per_day is None else tokens_per_day
        money = self.money_per_day if money_per_day is None else money_per_day
        return Limits(tokens or None, money or None)

    def __bool__(self) -> bool:
        return bool(self.tokens_per_day or self.money_per_day)

    def params(self) -> dict[str, Any]:
        return {"tokens_per_day": self.tokens_per_day, "money_per_day": self.money_per_day}


async def add(tx: Transaction, counted: Mapping[Line, Counts]) -> None:
    lines, counts = list(counted), list(counted.values())
    params: dict[str, Any] = {
        "tenants": [line.tenant for line in lines],
        "days": [line.day for line in lines],
        "purposes": [line.purpose for line in lines],
        "providers": [line.provider for line in lines],
        "models": [line.model for line in lines],
        "calls": [each.calls for each in counts],
        "failed": [each.failed for each in counts],
        "input_tokens": [each.input_tokens for each in counts],
        "output_tokens": [each.output_tokens for each in counts],
        "money": [each.money for each in counts],
    }
    await tx.execute(queries["add_spending"], params)


async def usage(tx: Transaction, tenant: str, first: date, last: date) -> list[Row]:
    return await tx.rows(queries["usage"], {"tenant": tenant, "from": first, "to": last})


async def own_budgets(tx: Transaction) -> dict[str, Limits]:
    rows = await tx.rows(queries["own_budgets"])
    return {row["tenant_id"]: Limits(row["tokens_per_day"], row["money_per_day"]) for row in rows}


async def reserve(
    tx: Transaction, asked: Mapping[str, Amount], default: Limits
) -> tuple[date | None, frozenset[str]]:
    """Take these amounts out of today's budgets; returns the day, and who has no room.

    Where somebody has none the caller must roll back, so that nothing is taken at all.
    """
    params = {**_amounts(asked), **default.params()}
    rows = await tx.rows(queries["reserve"], params)
    if missing := sorted(asked.keys() - {row["tenant_id"] for row in rows}):
        await tx.execute(queries["open_days"], {"tenants": missing})
        again = {tenant: asked[tenant] for tenant in missing}
        rows += await tx.rows(queries["reserve"], {**_amounts(again), **default.params()})
    refused = asked.keys() - {row["tenant_id"] for row in rows}
    return (rows[0]["day"] if rows else None), frozenset(refused)


async def settle(tx: Transaction, day: date, differences: Mapping[str, Amount]) -> None:
    await tx.execute(queries["settle"], {"day": day, **_amounts(differences)})


async def note_refused(tx: Transaction, tenants: Sequence[str]) -> float:
    """Keep for people to see whose budget is spent; returns the seconds left of the day."""
    await tx.execute(queries["open_days"], {"tenants": list(tenants)})
    seconds = await tx.value(queries["note_refused"], {"tenants": list(tenants)})
    return float(seconds)


async def budget_of(tx: Transaction, tenant: str) -> Row:
    row = await tx.row(queries["budget_of"], {"tenant": tenant})
    assert row is not None
    return row


async def set_budget(tx: Transaction, tenant: str, limits: Limits) -> None:
    await tx.execute(queries["set_budget"], {"tenant": tenant, **limits.params()})


async def over_budget(tx: Transaction) -> list[str]:
    rows = await tx.rows(queries["over_budget"], {"seconds": REFUSAL_STALE_SECONDS})
    return [row["tenant_id"] for row in rows]


async def note_pause(tx: Transaction, pause: Mapping[str, Any]) -> None:
    await tx.execute(queries["note_pause"], {**pause, "stale": PAUSE_STALE_SECONDS})


async def note_back(tx: Transaction, purpose: str, provider: str, model: str) -> None:
    params = {"purpose": purpose, "provider": provider, "model": model}
    await tx.execute(queries["note_back"], params)


async def pauses(tx: Transaction) -> list[Row]:
    return await tx.rows(queries["pauses"], {"stale": PAUSE_STALE_SECONDS})


def _amounts(amounts: Mapping[str, Amount]) -> dict[str, list[Any]]:
    tenants = sorted(amounts)
    return {
        "tenants": tenants,
        "tokens": [amounts[tenant].tokens for tenant in tenants],
        "money": [amounts[tenant].money for tenant in tenants],
    }
