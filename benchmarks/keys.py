"""What verifying a key costs in CPU: known, wrong, and of nobody; its row is read from memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from services.gateway.auth import Keyring, NewKey, new_key
from services.gateway.errors import ApiError
from shared.clock import utc_now
from shared.db import Database


class _OneKey:
    """A database that holds one key."""

    def __init__(self, key: NewKey) -> None:
        named = {"id": key.id, "tenant_id": "default", "name": "bench", "scope": "write"}
        ends = {"ends_at": None, "ended": False, "user_id": None}
        rates = {"requests_per_minute": None, "key_requests_per_minute": None}
        self._row = {**named, **ends, **rates, "secret_sha256": key.secret_sha256}

    @asynccontextmanager
    async def gate(self) -> AsyncIterator[_OneKey]:
        yield self

    async def row(self, _: bytes, params: dict[str, Any]) -> dict[str, Any] | None:
        return self._row if params["id"] == self._row["id"] else None


async def verify(times: int) -> dict[str, float]:
    """Microseconds of CPU a verification."""
    key = new_key()
    keyring = Keyring(cast("Database", _OneKey(key)), utc_now, None)

    async def once(presented: str, *, anew: bool) -> float:
        begun = time.process_time()
        for _ in range(times):
            if anew:
                keyring.forget(key.id)
            with suppress(ApiError):
                await keyring.caller(presented)
        return 1_000_000 * (time.process_time() - begun) / times

    return {
        "CPU µs, remembered": await once(key.text, anew=False),
        "CPU µs, first in four seconds": await once(key.text, anew=True),
        "CPU µs, wrong secret": await once(key.text[:-1] + "-", anew=True),
        "CPU µs, unknown id": await once(new_key().text, anew=True),
    }
