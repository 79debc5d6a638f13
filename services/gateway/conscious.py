"""What should always be known of a user, kept in Redis as long as PostgreSQL says it is the same.

One small query reads a version of all that the answer is made of: the rows' own transaction numbers
and which of their stretches have begun. So whatever changes a belief, in whatever process, is seen
at once, and nothing has to tell the cache. Redis may be away; then the answer is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.gateway.circuit import Circuit
from shared.topology import conscious_key

_REDIS_SECONDS = 0.1
KEPT_SECONDS = 60
"""What was forgotten is shown to nobody; its words are gone from Redis as well after so long."""


class ConsciousCache:
    """Answers by tenant and user, each with the version it was made of."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._circuit = Circuit()

    async def answer(
        self, tenant: str, user: str, version: str, make: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """The answer of this version, kept or made; `make` may be of a later one, never earlier."""
        key = conscious_key(tenant, user)
        kept = await self._get(key)
        if kept is not None and kept.startswith(version.encode()):
            return kept[len(version) :]
        made = await make()
        await self._set(key, version.encode() + made)
        return made

    async def _get(self, key: str) -> bytes | None:
        if self._redis is None or self._circuit.is_open:
            return None
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                kept = await self._redis.get(key)
        except (TimeoutError, OSError, RedisError):
            self._circuit.failed()
            return None
        return kept.encode() if isinstance(kept, str) else kept

    async def _set(self, key: str, value: bytes) -> None:
        if self._redis is None or self._circuit.is_open:
            return
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                await self._redis.set(key, value, ex=KEPT_SECONDS)
        except (TimeoutError, OSError, RedisError):
            self._circuit.failed()
