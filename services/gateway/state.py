"""What a route is given: the app's parts, and who calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from redis.asyncio import Redis

from services.gateway import gcra
from services.gateway.auth import Caller, Keyring, Scope
from services.gateway.bells import BellRinger
from services.gateway.conscious import ConsciousCache
from services.gateway.errors import ApiError, detail, invalid, not_found
from services.gateway.intake import SingleIntake
from services.gateway.limits import tell
from services.gateway.observed import told_of
from services.gateway.rates import RateLimiter
from services.gateway.recall import Recall
from services.gateway.uses import UseCounter
from services.gateway.watch import RowWatch
from shared.clock import Clock
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.erasure.work import Eraser
from shared.quotas.quotas import Quotas
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
    quotas: Quotas
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


async def _caller(request: Request, gateway: Parts, presented: Presented) -> Caller:
    caller = await gateway.keyring.caller(presented)
    told_of(caller.tenant, request.path_params.get("user_id"))
    passed, counts = await gateway.limiter.count(caller.tenant, caller.key_id, caller.rates)
    # what a tenant's others do is nothing for a key of one user
    told = counts if caller.user is None else [c for c in counts if c.limit.name == "key"]
    tell(request.scope, gcra.headers(told))
    if not passed:
        raise _too_many(counts)
    return caller


def _too_many(counts: list[gcra.Count]) -> ApiError:
    worst = max(counts, key=lambda count: count.wait_us)
    wait = gcra.seconds(worst.wait_us)
    reason = f"the {worst.limit.name} sends too many requests; the next passes in {wait} s"
    return ApiError(
        "rate_limited",
        "Too many requests.",
        [detail("requests_per_minute", reason)],
        headers={"Retry-After": str(wait)},
    )


class _Needs:
    """Lets in who may do at least this, and to nobody's data but what the key opens."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(
        self, request: Request, caller: Annotated[Caller, Depends(_caller)]
    ) -> Caller:
        if not caller.may(self._scope):
            raise ApiError("forbidden", f"This needs a key with scope {self._scope}.")
        if caller.user is not None:
            await _refuse_others(request, caller)
        _refuse_twice(request)
        return caller


def _refuse_twice(request: Request) -> None:
    """Refuse a query that says one thing twice: no parameter of ours is a list."""
    for name, number in Counter(name for name, _ in request.query_params.multi_items()).items():
        if number > 1:
            raise invalid(name, "must be given once")


async def _refuse_others(request: Request, caller: Caller) -> None:
    """Answer whoever names another user than the key's as if there were no such user.

    Here and not in the routes, so that none can forget it; the same answer for users that exist and
    those that do not.
    """
    named = [request.path_params.get("user_id"), *request.query_params.getlist("user_id")]
    with suppress(
        ValueError, RecursionError
    ):  # what is no JSON names nobody, and is refused as such
        named.extend(_named(await request.json()))
    if not all(caller.opens(user) for user in named if isinstance(user, str)):
        raise not_found("user")


def _named(body: Any) -> Iterator[Any]:
    """Every `user_id` of a body: its own, and those of its lists' items."""
    if isinstance(body, dict):
        yield body.get("user_id")
        for listed in body.values():
            if isinstance(listed, list):
                yield from (item.get("user_id") for item in listed if isinstance(item, dict))


Reader = Annotated[Caller, Depends(_Needs("read"))]
Writer = Annotated[Caller, Depends(_Needs("write"))]
Admin = Annotated[Caller, Depends(_Needs("admin"))]
