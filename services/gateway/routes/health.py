"""Alive, ready, and what is in use; no key needed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from fastapi import APIRouter, Response

from services.gateway.schemas import Health, Live, Ready
from services.gateway.state import Gateway, Parts
from shared.db import Row
from shared.dead_letters.store import count_by_stage

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
    """The two servers, the models in use, and how much was given up at each stage."""
    dead, redis = await asyncio.gather(_dead(gateway), _redis(gateway))
    status = _answer(response, dead)
    if status == "ok" and not redis:
        status = "degraded"
    settings = gateway.settings
    remote = settings.embeddings == "openai" or (
        settings.embeddings == "auto"
        and (settings.embed_base_url is not None or settings.embed_api_key is not None)
    )
    return {
        "status": status,
        "version": VERSION,
        "checks": _checks(dead, redis),
        "extractor": {"mode": "llm", "model": settings.llm_model}
        if settings.uses_model
        else {"mode": "rules", "model": "rules"},
        "embeddings": {"mode": "openai" if remote else "local", "model": gateway.embedder.model},
        "dead": None if dead is None else {row["stage"]: row["dead"] for row in dead},
        "dead_last_hour": None
        if dead is None
        else {row["stage"]: row["last_hour"] for row in dead if row["last_hour"]},
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
        async with gateway.db.autocommit(_POSTGRES_SECONDS) as tx:
            return await count_by_stage(tx)

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
