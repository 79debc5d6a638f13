"""Who calls, and what they may do: keys `mem_<id>_<secret>`, of which only a SHA-256 is kept.

A verified key is remembered for five seconds at most, so that revoking one works within five
seconds everywhere. An unknown id takes the same path as a wrong secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from pydantic import SecretStr

from services.gateway import key_store
from services.gateway.errors import ApiError
from shared.clock import Clock
from shared.db import Database
from shared.ids import time_ordered_id

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each includes those before it

REMEMBERED_SECONDS = 5.0
_MOST_REMEMBERED = 10_000
_PREFIX = "mem"
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified key: whose data it opens, and how far. `ends_at`: expired or revoked from then."""

    tenant: str
    key_id: str
    scope: Scope
    ends_at: datetime | None = None
    name: str = ""

    @property
    def actor(self) -> str:
        """Who acts, as it is written down: the key's name and id."""
        return f"{self.name} ({UUID(self.key_id)})" if self.name else self.key_id

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown, once."""

    id: UUID
    text: str
    secret_sha256: bytes


def new_key() -> NewKey:
    row, secret = time_ordered_id(), secrets.token_urlsafe(32)
    return NewKey(row, f"{_PREFIX}_{row.hex}_{secret}", _sha256(secret))


class Keyring:
    """Verifies keys against the database, and remembers the good ones for a moment."""

    def __init__(self, db: Database, clock: Clock, admin_key: SecretStr | None) -> None:
        self._db = db
        self._clock = clock
        self._admin = _sha256(admin_key.get_secret_value()) if admin_key else None
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    async def caller(self, presented: str | None) -> Caller:
        """Tell who presents this key; raises ApiError (unauthorized) for nobody."""
        if not presented:
            raise _unauthorized("A key is needed: X-API-Key or Authorization: Bearer.")
        digest = _sha256(presented)
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return Caller("default", "admin", "admin")
        caller = self._recall(digest) or await self._verify(presented)
        if caller is None or (caller.ends_at is not None and caller.ends_at <= self._clock()):
            raise _unauthorized("The key is not valid.")
        self._remember(digest, caller)
        return caller

    def forget(self, key_id: UUID) -> None:
        """Stop believing a key that was just changed."""
        for digest, (caller, _) in list(self._remembered.items()):
            if caller.key_id == key_id.hex:
                del self._remembered[digest]

    def _recall(self, digest: bytes) -> Caller | None:
        caller, until = self._remembered.get(digest, (None, 0.0))
        return caller if time.monotonic() < until else None

    def _remember(self, digest: bytes, caller: Caller) -> None:
        if self._recall(digest) is not None:
            return  # the five seconds are not prolonged by use
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = (caller, time.monotonic() + REMEMBERED_SECONDS)

    async def _verify(self, presented: str) -> Caller | None:
        row_id, secret = _parts(presented)
        async with self._db.autocommit() as tx:
            row = await key_store.key_by_id(tx, row_id)
        expected = bytes(row["secret_sha256"]) if row else _NOBODY
        if not hmac.compare_digest(_sha256(secret), expected) or row is None:
            return None
        ends = [end for end in (row["expires_at"], row["revoked_at"]) if end is not None]
        ends_at = min(ends, default=None)
        return Caller(row["tenant_id"], row["id"].hex, row["scope"], ends_at, row["name"])


def _parts(presented: str) -> tuple[UUID, str]:
    """Part a key into its id and secret; what is no key gets an id that nobody has."""
    prefix, _, rest = presented.partition("_")
    row, _, secret = rest.partition("_")
    try:
        return (UUID(hex=row), secret) if prefix == _PREFIX else (UUID(int=0), secret)
    except ValueError:
        return UUID(int=0), secret


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _unauthorized(message: str) -> ApiError:
    return ApiError("unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
