"""Stands around every request to one model: reserved before, settled and counted after.

Where no tenant of a request has a budget nothing is reserved, and counting is a few additions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.errors import BudgetSpentError
from shared.metrics.calls import calling, paid
from shared.metrics.catalogue import HELD_CALLS
from shared.providers import is_free
from shared.spending.books import Asked, NoRecords, Records
from shared.spending.budgets import Budgets, Reservation
from shared.spending.prices import Amount, Prices, Tokens, shares


@dataclass(slots=True)
class Bill:
    """What a request cost, told by whoever made it; None where the server did not say."""

    tokens: Tokens | None = None


class Till:
    """Pays for one model's requests."""

    def __init__(
        self,
        asked: Asked,
        *,
        records: Records | None = None,
        budgets: Budgets | None = None,
        prices: Prices | None = None,
    ) -> None:
        self._asked = asked
        self._records = records or NoRecords()
        self._budgets = budgets
        self._prices = prices or Prices()

    async def must_reserve(self, tenants: Iterable[str]) -> bool:
        """Whether a request for these tenants needs a bound of its cost."""
        return self._budgets is not None and await self._budgets.concern(tenants)

    def wait_seconds(self, tenant: str) -> float:
        return self._budgets.wait_seconds(tenant) if self._budgets else 0.0

    def spent(self) -> list[str]:
        return self._budgets.spent() if self._budgets else []

    @asynccontextmanager
    async def paying(
        self, weights: Mapping[str, int], most: Tokens | None = None
    ) -> AsyncIterator[Bill]:
        """Run one request, borne by tenants by weight; `most` it may cost, where it must reserve.

        Raises BudgetSpentError before anything is asked.
        """
        reservation: Reservation | None = None
        if most is not None and self._budgets is not None:
            reservation = await self._reserve(self._budgets, shares(most, weights))
        bill = Bill()
        try:
            with calling(self._asked):
                yield bill
        except asyncio.CancelledError:  # it may go on at the server: the reservation stays
            self._count(weights, bill.tokens or most or Tokens(), failed=True)
            raise
        except BaseException as error:
            nothing = Tokens() if is_free(error) else None
            await self._settle(weights, bill.tokens or nothing or most, reservation, failed=True)
            raise
        else:
            await self._settle(weights, bill.tokens or most, reservation, failed=False)

    async def _reserve(self, budgets: Budgets, most: Mapping[str, Tokens]) -> Reservation:
        try:
            return await budgets.reserve(self._amounts(most))
        except BudgetSpentError:
            HELD_CALLS.add(purpose=self._asked.purpose, reason="budget")
            raise

    async def _settle(
        self,
        weights: Mapping[str, int],
        tokens: Tokens | None,
        reservation: Reservation | None,
        *,
        failed: bool,
    ) -> None:
        cost = self._count(weights, tokens or Tokens(), failed=failed)
        if reservation is not None and self._budgets is not None:
            await self._budgets.settle(reservation, self._amounts(cost))

    def _count(
        self, weights: Mapping[str, int], tokens: Tokens, *, failed: bool
    ) -> dict[str, Tokens]:
        cost = shares(tokens, weights)
        for tenant, share in cost.items():
            money = self._prices.cost(share)
            self._records.count(self._asked, tenant, share, money, failed=failed)
            paid(self._asked, share, money)
        return cost

    def _amounts(self, cost: Mapping[str, Tokens]) -> dict[str, Amount]:
        return {
            tenant: Amount(share.total, self._prices.cost(share)) for tenant, share in cost.items()
        }
