"""Counts requests per key and per tenant: in Redis, or beside it while it is away.

One round trip for both limits. Without Redis each process counts for itself, so a limit then holds
per process; it never falls away, and a request never waits for a Redis that hangs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.gateway import gcra
from services.gateway.circuit import Circuit
from services.gateway.gcra import Count, Limit
from shared.db import Row

_SCRIPT = Path(__file__).with_name("gcra.lua").read_text(encoding="utf-8")
_COUNT_SECONDS = 0.1
_MOST_BUCKETS = 20_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute; 0: no limit."""

    per_key: int = 0
    per_tenant: int = 0

    def overridden(self, own: Row | None) -> Self:
        """A tenant's own limits, where it has some."""
        if own is None:
            return self
        key, tenant = own["key_requests_per_minute"], own["requests_per_minute"]
        return type(self)(
            self.per_key if key is None else key, self.per_tenant if tenant is None else tenant
        )


NO_LIMITS = Rates()


class RateLimiter:
    """Answers whether one more request of a key passes, and what is left."""

    def __init__(
        self,
        redis: Redis | None,
        now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
        *,
        count_seconds: float = _COUNT_SECONDS,
    ) -> None:
        self._script = redis.register_script(_SCRIPT) if redis is not None else None
        self._circuit = Circuit()
        self._now_us = now_us
        self._count_seconds = count_seconds
        self._local: dict[str, int] = {}

    async def count(self, tenant: str, key_id: str, rates: Rates) -> tuple[bool, list[Count]]:
        """Count one request against every limit there is; refused ones count in none."""
        buckets = [
            (f"memoire:limit:{{{tenant}}}:key:{key_id}", Limit("key", rates.per_key)),
            (f"memoire:limit:{{{tenant}}}:tenant", Limit("tenant", rates.per_tenant)),
        ]
        asked = [(name, limit) for name, limit in buckets if limit.per_minute]
        if not asked:
            return True, []
        names, limits = [name for name, _ in asked], [limit for _, limit in asked]
        held = await self._held(names, limits)
        if held is None:
            return self._counted_here(names, limits)
        counts = [Count(limit, us) for limit, us in zip(limits, held, strict=True)]
        return not any(count.wait_us for count in counts), counts

    async def _held(self, names: list[str], limits: Sequence[Limit]) -> list[int] | None:
        """Count in Redis; None when it does not answer in time."""
        if self._script is None or self._circuit.is_open:
            return None
        numbers: list[Any] = [
            number for limit in limits for number in (limit.interval_us, limit.tolerance_us)
        ]
        try:
            async with asyncio.timeout(self._count_seconds):
                _, *held = await self._script(keys=names, args=numbers)
        except (TimeoutError, OSError, RedisError):
            self._circuit.failed()
            return None
        return [int(us) for us in held]

    def _counted_here(
        self, names: Sequence[str], limits: Sequence[Limit]
    ) -> tuple[bool, list[Count]]:
        now = self._now_us()
        if len(self._local) > _MOST_BUCKETS:
            self._local = {name: at for name, at in self._local.items() if at > now}
        empty_at = [self._local.get(name, 0) for name in names]
        passed, after, counts = gcra.pour(empty_at, now, limits)
        self._local.update(zip(names, after, strict=True))
        return passed, counts
