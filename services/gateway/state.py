"""What a route is given: the app's parts, and who calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from redis.asyncio import Redis

from services.gateway.auth import Caller, Keyring, Scope
from services.gateway.bells import BellRinger
from services.gateway.conscious import ConsciousCache
from services.gateway.errors import ApiError
from services.gateway.intake import SingleIntake
from services.gateway.limits import RateLimiter
from services.gateway.recall import Recall
from services.gateway.uses import UseCounter
from services.gateway.watch import RowWatch
from shared.clock import Clock
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.erasure.work import Eraser
from shared.settings import Settings
from shared.spaces.embedders import Embedders


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of one app; built by `build_app`, used by the routes."""

    settings: Settings
    db: Database
    redis: Redis | None
    embedders: Embedders
    clock: Clock
    bells: BellRinger
    keyring: Keyring
    limiter: RateLimiter
    watch: RowWatch
    recall: Recall
    conscious: ConsciousCache
    uses: UseCounter
    eraser: Eraser
    store_single: SingleIntake
    stopping: asyncio.Event
    """Set when the process is told to stop: what never ends by itself ends then."""

    at_point: AtPoint = ignore_point


async def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Parts = Annotated[Gateway, Depends(_gateway)]

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="`mem_…`")
_bearer = HTTPBearer(auto_error=False, description="The same key as a bearer token.")


async def _presented(
    key: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str | None:
    return key or (bearer.credentials if bearer else None)


Presented = Annotated[str | None, Depends(_presented)]
"""The key as it came, for those who look at it more than once."""


async def _caller(gateway: Parts, presented: Presented) -> Caller:
    caller = await gateway.keyring.caller(presented)
    if wait := await gateway.limiter.wait_seconds(caller.key_id):
        headers = {"Retry-After": str(wait)}
        raise ApiError("rate_limited", "Too many requests with this key.", headers=headers)
    return caller


class _Needs:
    """Lets in who may do at least this."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if not caller.may(self._scope):
            raise ApiError("forbidden", f"This needs a key with scope {self._scope}.")
        return caller


Reader = Annotated[Caller, Depends(_Needs("read"))]
Writer = Annotated[Caller, Depends(_Needs("write"))]
Admin = Annotated[Caller, Depends(_Needs("admin"))]
