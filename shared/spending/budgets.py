"""Keeps each tenant within its budget of a day: reserved before a call, settled after it.

A reservation is the most its call may cost, taken in one durable statement that finds room or takes
nothing; whatever dies before it is settled leaves it counted. So under any interleaving of any
number of processes a day's calls stay within its budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg
import structlog

from shared.db import Database
from shared.errors import BudgetSpentError, PausedError
from shared.spending import store
from shared.spending.prices import Amount
from shared.spending.store import Limits

log = structlog.get_logger()

_OUTAGE_SECONDS = 1.0
_LIMITS_KNOWN_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = (
    60.0  # a budget may be raised, and other calls give back what they did not use
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is taken of one day's budgets."""

    day: date
    amounts: Mapping[str, Amount]


class Budgets:
    """One process' view of budgets; the truth is in the database."""

    def __init__(
        self,
        durable: Database,
        default: Limits,
        *,
        look_again_seconds: float = _LOOK_AGAIN_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = durable
        self._default = default
        self._look_again_seconds = look_again_seconds
        self._now = monotonic
        self._own: dict[str, Limits] = {}
        self._known_until = 0.0
        self._asking = asyncio.Lock()
        self._spent_until: dict[str, float] = {}

    async def concern(self, tenants: Iterable[str]) -> bool:
        """Whether any of these tenants has a budget; a new one is noticed within ten seconds."""
        if self._default:
            return True
        if self._now() >= self._known_until:
            async with self._asking:
                with _or_wait():
                    await self._read_own()
        return any(self._own.get(tenant) for tenant in tenants) if self._own else False

    def wait_seconds(self, tenant: str) -> float:
        """How long not to ask for this tenant; 0 where there may be room."""
        return max(0.0, self._spent_until.get(tenant, 0.0) - self._now())

    def spent(self) -> list[str]:
        """The tenants that are not to be asked for at the moment."""
        return [tenant for tenant in self._spent_until if self.wait_seconds(tenant)]

    async def reserve(self, most: Mapping[str, Amount]) -> Reservation:
        """Take the most a call may cost from its tenants' budgets.

        Raises BudgetSpentError, and takes nothing, where one of them has no room; PausedError where
        PostgreSQL cannot say: without it nothing is spent.
        """
        with _or_wait():
            day, refused = await self._take(most)
            if refused:
                raise await self._refused(most, refused)
        assert day is not None
        for tenant in most:
            self._spent_until.pop(tenant, None)
        return Reservation(day, most)

    async def settle(self, reservation: Reservation, spent: Mapping[str, Amount]) -> None:
        """Give back what was not used; where that cannot be written the reservation stays counted.

        It is tried once: given back twice, a day would overshoot.
        """
        differences = {
            tenant: Amount(spent[tenant].tokens - taken.tokens, spent[tenant].money - taken.money)
            for tenant, taken in reservation.amounts.items()
            if spent[tenant] != taken
        }
        if not differences:
            return
        try:
            async with self._db.of(*differences).autocommit() as tx:
                await store.settle(tx, reservation.day, differences)
        except psycopg.Error as error:
            log.warning("a reservation stays counted", error=str(error).strip())

    async def _take(self, most: Mapping[str, Amount]) -> tuple[date | None, frozenset[str]]:
        """Take all amounts or, where some tenant has no room, none."""
        async with self._db.of(*most).transaction() as tx:
            day, refused = await store.reserve(tx, most, self._default)
            if refused:
                raise psycopg.Rollback
        return day, refused

    async def _read_own(self) -> None:
        if self._now() < self._known_until:
            return
        async with self._db.gate() as tx:
            self._own = await store.own_budgets(tx)
        self._known_until = self._now() + _LIMITS_KNOWN_SECONDS

    async def _refused(
        self, most: Mapping[str, Amount], tenants: frozenset[str]
    ) -> BudgetSpentError:
        async with self._db.of(*tenants).transaction() as tx:
            left = await store.note_refused(tx, sorted(tenants))
        wait = min(left, self._look_again_seconds)
        for tenant in tenants:
            if tenant not in self._spent_until:
                log.warning("a tenant's budget of today is spent", tenant=tenant)
            self._spent_until[tenant] = self._now() + wait
        asked = ", ".join(f"{tenant}: {most[tenant].tokens} tokens" for tenant in sorted(tenants))
        return BudgetSpentError(
            f"today's budget has no room for this call ({asked} at most)", wait, tenants
        )


@contextmanager
def _or_wait() -> Iterator[None]:
    """Let a call wait while PostgreSQL is away; no item is to blame for that."""
    try:
        yield
    except psycopg.Error as error:
        log.warning("budgets cannot be read", error=str(error).strip())
        raise PausedError("budgets cannot be read", _OUTAGE_SECONDS) from error
