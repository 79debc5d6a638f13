"""Who calls, and what they may do: keys `mem_<id>_<secret>`, of which only a SHA-256 is kept.

A verified key is remembered for four seconds at most, so that revoking one works within five
seconds everywhere. An unknown id takes the same path as a wrong secret. When keys were last used is
noted behind the requests' back.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import psycopg
from pydantic import SecretStr

from services.gateway import key_store
from services.gateway.errors import ApiError
from services.gateway.rates import NO_LIMITS, Rates
from shared.clock import Clock
from shared.db import Database
from shared.ids import time_ordered_id

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each includes those before it

REMEMBERED_SECONDS = 4.0
_NOTED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000
_PREFIX = "mem"
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified key: whose data it opens, and how far. `ends_at`: expired or revoked from then.

    `user`: the only one it opens, where it is bound to one; for it nobody else is there.
    """

    tenant: str
    key_id: str
    scope: Scope
    ends_at: datetime | None = None
    name: str = ""
    user: str | None = None
    rates: Rates = NO_LIMITS
    row: UUID | None = None

    @property
    def actor(self) -> str:
        """Who acts, as it is written down: the key's name and id."""
        return f"{self.name} ({UUID(self.key_id)})" if self.name else self.key_id

    def may(self, scope: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def opens(self, user: str) -> bool:
        return self.user is None or self.user == user

    def own(self, idempotency_key: str) -> str:
        """Keep the Idempotency-Keys of one user's clients apart: no answer tells of another's.

        What parts them is not printable, so no caller's own key looks like it.
        """
        return idempotency_key if self.user is None else f"{self.user}\x1f{idempotency_key}"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown, once."""

    id: UUID
    text: str = field(repr=False)
    secret_sha256: bytes = field(repr=False)


def new_key() -> NewKey:
    row, secret = time_ordered_id(), secrets.token_urlsafe(32)
    return NewKey(row, f"{_PREFIX}_{row.hex}_{secret}", _sha256(secret))


class Keyring:
    """Verifies keys against the database, and remembers the good ones for a moment."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        admin_key: SecretStr | None,
        rates: Rates = NO_LIMITS,
    ) -> None:
        self._db = db
        self._clock = clock
        self._admin = _sha256(admin_key.get_secret_value()) if admin_key else None
        self._rates = rates
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        self._used: dict[UUID, datetime] = {}

    async def caller(self, presented: str | None) -> Caller:
        """Tell who presents this key; raises ApiError (unauthorized) for nobody."""
        if not presented:
            raise _unauthorized("A key is needed: X-API-Key or Authorization: Bearer.")
        digest = _sha256(presented)
        caller = self._recall(digest)
        if caller is None:
            caller = await self._verify(presented, digest)
            if caller is not None:
                self._remember(digest, caller)
        now = self._clock()
        if caller is None or (caller.ends_at is not None and caller.ends_at <= now):
            raise _unauthorized("The key is not valid.")
        if caller.row is not None:
            self._used[caller.row] = now
        return caller

    def forget(self, key_id: UUID) -> None:
        """Stop believing a key that was just changed."""
        for digest, (caller, _) in list(self._remembered.items()):
            if caller.key_id == key_id.hex:
                del self._remembered[digest]

    def forget_user(self, tenant: str, user: str) -> None:
        """Stop believing the keys of a user who was just erased."""
        for digest, (caller, _) in list(self._remembered.items()):
            if (caller.tenant, caller.user) == (tenant, user):
                del self._remembered[digest]

    def _recall(self, digest: bytes) -> Caller | None:
        caller, until = self._remembered.get(digest, (None, 0.0))
        return caller if time.monotonic() < until else None

    def _remember(self, digest: bytes, caller: Caller) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = (caller, time.monotonic() + REMEMBERED_SECONDS)

    async def _verify(self, presented: str, digest: bytes) -> Caller | None:
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            async with self._db.of("default").autocommit() as tx:
                own = await key_store.rates_of_tenant(tx, "default")
            return Caller("default", "admin", "admin", rates=self._rates.overridden(own))
        row_id, secret = _parts(presented)
        async with self._db.gate() as tx:
            row = await key_store.key_by_id(tx, row_id)
        expected = bytes(row["secret_sha256"]) if row else _NOBODY
        if not hmac.compare_digest(_sha256(secret), expected) or row is None or row["ended"]:
            return None
        return Caller(
            tenant=row["tenant_id"],
            key_id=row["id"].hex,
            scope=row["scope"],
            ends_at=row["ends_at"],
            name=row["name"],
            user=row["user_id"],
            rates=self._rates.overridden(row),
            row=row["id"],
        )

    async def keep_noting(self) -> None:
        """Note uses for as long as the process runs: a statement a minute, whatever the traffic."""
        while True:
            await asyncio.sleep(_NOTED_SECONDS)
            await self.note_uses()

    async def note_uses(self) -> None:
        """Note which keys were used since the last time; an outage costs only the newest note."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._db.gate() as tx:
                await key_store.note_uses(tx, used)
        except psycopg.OperationalError:
            self._used = {**used, **self._used}


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
