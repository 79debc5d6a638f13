"""Which tenants have quotas: known for ten seconds, so that the others pay nothing for them.

Counting itself is exact, in the transaction that stores. Where PostgreSQL cannot say, nothing is
stored either: quotas fail closed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Literal

from shared.db import Database, Transaction
from shared.quotas import store
from shared.settings import Settings

Quota = Literal["messages_per_day", "facts_per_day"]

_KNOWN_SECONDS = 10.0


class Quotas:
    """One process' view of who may store how much; counts in a row of its own where it can."""

    def __init__(
        self,
        db: Database,
        *,
        messages_per_day: int = 0,
        facts_per_day: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._default: dict[Quota, int] = {
            "messages_per_day": messages_per_day,
            "facts_per_day": facts_per_day,
        }
        self._own: dict[Quota, dict[str, int]] = {"messages_per_day": {}, "facts_per_day": {}}
        self._now = monotonic
        self._known_until = float("-inf")
        self._asking = asyncio.Lock()
        self._at = random.randrange(1_000)

    @classmethod
    def of(cls, settings: Settings, db: Database) -> Quotas:
        return cls(
            db,
            messages_per_day=settings.tenant_messages_per_day,
            facts_per_day=settings.tenant_facts_per_day,
        )

    async def limits(
        self, quota: Quota, tenants: Iterable[str], tx: Transaction | None = None
    ) -> dict[str, int]:
        """Those of the tenants that have this quota; a new one counts within ten seconds.

        Whoever is in a transaction asks in it: waiting for a second connection, or for somebody who
        waits for one, would hold up all who do the same.
        """
        if self._now() >= self._known_until:
            if tx is not None:
                async with tx.at_gate():
                    await self._read(tx)
            else:
                await self._read_once()
        own, default = self._own[quota], self._default[quota]
        if not own and not default:
            return {}
        found = {tenant: own.get(tenant, default) for tenant in tenants}
        return {tenant: limit for tenant, limit in found.items() if limit}

    async def _read_once(self) -> None:
        async with self._asking:
            if self._now() >= self._known_until:
                async with self._db.gate() as tx:
                    await self._read(tx)

    async def _read(self, tx: Transaction) -> None:
        rows = await store.own_limits(tx)
        for quota in self._own:
            self._own[quota] = {
                row["tenant_id"]: row[quota] for row in rows if row[quota] is not None
            }
        self._known_until = self._now() + _KNOWN_SECONDS

    async def take(
        self, tx: Transaction, tenant: str, quota: Quota, number: int, limit: int
    ) -> dict[int, int]:
        """Count up to so many; by the row they are counted in."""
        return await store.take(tx, tenant, quota, number, limit, self._at)
