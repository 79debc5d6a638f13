"""Tenants' catalogues as they were at most a few seconds ago, for those who only name facts.

A fold never uses these: it reads its own. What is named by a catalogue that has just changed is
named anew in every fold, so that no belief depends on this memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.db import Database
from shared.slots import Catalogue
from shared.tenant_slots import store

_SECONDS = 5.0
_TENANTS = 10_000


class RecentCatalogues:
    """One per process."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._read: dict[str, tuple[float, Catalogue]] = {}

    async def of(self, tenant: str) -> Catalogue:
        now = self._monotonic()
        if (known := self._read.get(tenant)) is not None and now - known[0] < _SECONDS:
            return known[1]
        async with self._db.of(tenant).autocommit() as tx:
            catalogue = await store.catalogue(tx, tenant)
        if len(self._read) >= _TENANTS:
            self._read.clear()
        self._read[tenant] = (now, catalogue)
        return catalogue
