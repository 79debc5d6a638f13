"""Alive, ready, and what is in use; no key needed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from fastapi import APIRouter, Response

from services.gateway.health_schemas import Health, Live, Ready
from services.gateway.state import Gateway, Parts
from shared.db import Row
from shared.dead_letters.store import count_by_stage
from shared.spending import store as spending

router = APIRouter(tags=["health"])

Result = TypeVar("Result")

_POSTGRES_SECONDS = 1.0
_REDIS_SECONDS = 0.3
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "PostgreSQL is away."}}


def _version() -> str:
    try:
        return version("memoire-streams")
    except PackageNotFoundError:
        return "unknown"


VERSION = _version()


@router.get("/v1/health/live", response_model=Live, summary="Is the process alive?")
@router.get("/health/live", response_model=Live, include_in_schema=False)
async def live() -> Any:
    return {"status": "ok"}


@router.get(
    "/v1/health/ready",
    response_model=Ready,
    responses=_UNAVAILABLE,
    summary="Can it take requests?",
)
@router.get("/health/ready", response_model=Ready, include_in_schema=False)
async def ready(gateway: Parts, response: Response) -> Any:
    """200 without Redis: messages are taken in all the same."""
    dead, redis = await asyncio.gather(_dead(gateway), _redis(gateway))
    checks = _checks(dead, redis)
    return {"status": _answer(response, dead), "checks": checks}


@router.get(
    "/v1/health", response_model=Health, responses=_UNAVAILABLE, summary="How is everything?"
)
async def health(gateway: Parts, response: Response) -> Any:
    """The two servers, the models in use or paused, and how much was given up at each stage."""
    dead, redis, paused, over_budget = await asyncio.gather(
        _dead(gateway), _redis(gateway), _paused(gateway), _over_budget(gateway)
    )
    status = _answer(response, dead)
    if status == "ok" and (paused or not redis):
        status = "degraded"
    settings = gateway.settings
    return {
        "status": status,
        "version": VERSION,
        "checks": _checks(dead, redis),
        "extractor": {"mode": "llm", "model": settings.llm_model}
        if settings.uses_model
        else {"mode": "rules", "model": "rules"},
        "embeddings": {
            "mode": "openai" if settings.embeds_remotely else "local",
            "model": gateway.embedders.configured.model,
            **_spaces(gateway),
        },
        "paused": paused,
        "over_budget": over_budget,
        "dead": None if dead is None else {row["stage"]: row["dead"] for row in dead},
        "dead_last_hour": None
        if dead is None
        else {row["stage"]: row["last_hour"] for row in dead if row["last_hour"]},
    }


def _spaces(gateway: Gateway) -> dict[str, str | None]:
    """Which model's vectors count, by this process' last look, and which is being changed to."""
    spaces = gateway.embedders.spaces
    return {
        "active_model": gateway.embedders.current.model,
        "migrating_to": spaces.filling.model if spaces and spaces.filling else None,
        "warning": gateway.embedders.warning,
    }


def _answer(response: Response, dead: list[Row] | None) -> str:
    if dead is None:
        response.status_code = 503
        return "unavailable"
    return "ok"


def _checks(dead: list[Row] | None, redis: bool) -> dict[str, str]:
    return {
        "postgres": "unavailable" if dead is None else "ok",
        "redis": "ok" if redis else "unavailable",
    }


async def _dead(gateway: Gateway) -> list[Row] | None:
    """Count dead letters by stage; None when PostgreSQL does not answer."""

    async def count() -> list[Row]:
        async with gateway.db.gate(_POSTGRES_SECONDS) as tx:
            return await count_by_stage(tx)

    return await _within(_POSTGRES_SECONDS, count())


async def _paused(gateway: Gateway) -> list[Row] | None:
    """Models that are left alone, without why: that may quote what a provider answered."""

    async def read() -> list[Row]:
        async with gateway.db.gate(_POSTGRES_SECONDS) as tx:
            return await spending.pauses(tx)

    return await _within(_POSTGRES_SECONDS, read())


async def _over_budget(gateway: Gateway) -> int | None:
    """Count tenants, without names: anybody may ask."""

    async def count() -> int:
        async with gateway.db.gate(_POSTGRES_SECONDS) as tx:
            return len(await spending.over_budget(tx))

    return await _within(_POSTGRES_SECONDS, count())


async def _redis(gateway: Gateway) -> bool:
    if gateway.redis is None:
        return False

    async def ping(redis: Any = gateway.redis) -> bool:
        return bool(await redis.ping())

    return await _within(_REDIS_SECONDS, ping()) or False


async def _within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What it returned in time; a server that hangs even hangs up its cancellation: not awaited."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        return None
    return None if task.exception() is not None else task.result()
