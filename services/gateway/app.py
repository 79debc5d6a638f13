"""Puts the gateway together. Everything it uses is built elsewhere and closed elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis

from services.gateway import errors
from services.gateway.auth import Keyring
from services.gateway.bells import BellRinger
from services.gateway.conscious import ConsciousCache
from services.gateway.forgetting import follow_erasures
from services.gateway.intake import build_single_intake
from services.gateway.limits import RequestGuard
from services.gateway.methods import Methods
from services.gateway.observed import NoteRoute, Observed
from services.gateway.rates import RateLimiter, Rates
from services.gateway.recall import Recall
from services.gateway.routes import (
    acts,
    conscious,
    context,
    dead_letters,
    erasure,
    events,
    facts,
    health,
    ingest,
    jobs,
    keys,
    portable,
    quarantine,
    recall,
    slots,
    traces,
    usage,
    users,
)
from services.gateway.state import Gateway
from services.gateway.uses import UseCounter
from services.gateway.watch import RowWatch
from shared.clock import Clock, utc_now
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.embeddings import Embedder
from shared.erasure.work import Eraser
from shared.quotas.quotas import Quotas
from shared.settings import Settings
from shared.spaces.embedders import Embedders
from shared.topology import JobKind

_DESCRIPTION = """\
A memory sidecar for LLM applications: send chat messages, ask what is known about a user.

`user_id`, `session_id` and `message_id` are your own strings (1 to 128 printable characters, no
slash). Times are ISO 8601 with zone. Lists take `limit` and `cursor` and answer `next_cursor`.
Every failure is `{"error": {"code", "message", "details"}}`.
"""
_ROUTERS = (
    ingest,
    traces,
    recall,
    context,
    users,
    conscious,
    facts,
    acts,
    erasure,
    portable,
    quarantine,
    slots,
    keys,
    dead_letters,
    events,
    usage,
    health,
)


def build_app(
    settings: Settings,
    *,
    db: Database,
    redis: Redis | None,
    embedder: Embedder | Embedders,
    clock: Clock = utc_now,
    stopping: asyncio.Event | None = None,
    at_point: AtPoint = ignore_point,
    job_kinds: Sequence[JobKind] = (),
) -> FastAPI:
    """The HTTP gateway over a durable database and a Redis that may be away or None.

    Streams of events end when `stopping` is set. `job_kinds` are those that maintenance can do:
    each has a route. A single embedder serves until its model is no longer the active one.
    """
    gateway = _parts(settings, db, redis, embedder, clock, stopping, at_point)
    app = FastAPI(
        title="Mémoire",
        version=health.VERSION,
        description=_DESCRIPTION,
        docs_url="/docs" if settings.docs_enabled else None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.gateway = gateway
    routers = [*(module.router for module in _ROUTERS), jobs.router_for(job_kinds)]
    for router in routers:
        app.include_router(router)
    app.state.methods = Methods(route for router in routers for route in router.routes)
    errors.install(app)
    app.add_middleware(NoteRoute)
    app.add_middleware(
        RequestGuard,
        max_body_bytes=settings.max_body_bytes,
        client_seconds=settings.client_seconds,
    )
    app.add_middleware(Observed)  # the last one stands outermost
    return app


def _parts(
    settings: Settings,
    db: Database,
    redis: Redis | None,
    embedder: Embedder | Embedders,
    clock: Clock,
    stopping: asyncio.Event | None,
    at_point: AtPoint,
) -> Gateway:
    """What every request works with."""
    embedders = embedder if isinstance(embedder, Embedders) else Embedders(db, embedder)
    quotas = Quotas.of(settings, db)
    return Gateway(
        settings=settings,
        db=db,
        redis=redis,
        embedders=embedders,
        clock=clock,
        bells=BellRinger(redis, at_point=at_point),
        keyring=Keyring(db, clock, settings.admin_key, _rates(settings)),
        limiter=RateLimiter(redis),
        quotas=quotas,
        watch=RowWatch(db),
        recall=Recall(db, embedders, clock, settings.recall_memory_mb * 1_000_000),
        conscious=ConsciousCache(redis),
        uses=UseCounter(db),
        eraser=Eraser(db, redis, at_point=at_point),
        store_single=build_single_intake(db, settings.window, quotas, at_point),
        stopping=stopping or asyncio.Event(),
        at_point=at_point,
    )


def _rates(settings: Settings) -> Rates:
    return Rates(settings.rate_limit_per_minute, settings.tenant_rate_limit_per_minute)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    gateway: Gateway = app.state.gateway
    gateway.bells.start()
    # Warmed at once: else the first recall loads the model.
    warming = asyncio.create_task(gateway.embedders.current.warm())
    following = asyncio.create_task(gateway.embedders.follow())
    forgetting = asyncio.create_task(follow_erasures(gateway.db, gateway.recall))
    noting = asyncio.create_task(gateway.keyring.keep_noting())
    yield
    for task in (warming, following, forgetting, noting):
        task.cancel()
    await gateway.keyring.note_uses()
    await gateway.recall.hot.keeper.close()
    await gateway.watch.stop()
    await gateway.uses.stop()
    await gateway.bells.stop()
