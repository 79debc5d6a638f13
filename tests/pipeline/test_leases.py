"""What a living worker holds stays its own, whatever else happens at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.extractor import store
from services.extractor.extractors import ByModel
from services.extractor.store import Reservation
from shared.delivery import Entry, Stage
from shared.topology import MESSAGES
from tests.databases import TestedDatabase
from tests.fakes.chat_server import chat_server, one_fact_each
from tests.pipeline.harness import Pipeline, quick_model


async def bell_of(pipeline: Pipeline, session_id: str) -> Entry:
    stored = await pipeline.store(pipeline.message("I live in Lisbon", session_id=session_id))
    [(_, bell)] = stored.announcements
    raw = {key.encode(): str(value).encode() for key, value in bell.encode().items()}
    return Entry(MESSAGES, "1-1", raw)


async def reserved(pipeline: Pipeline, count: int) -> None:
    async with asyncio.timeout(30):
        while len(await pipeline.rows("SELECT 1 AS one FROM extractions")) < count:
            await asyncio.sleep(0.01)


async def test_a_session_reserved_while_leases_are_renewed_is_renewed_next_time(
    db: TestedDatabase, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with chat_server(one_fact_each) as server:
        pipeline = Pipeline(
            db,
            redis,
            redis_url,
            extractor=ByModel(quick_model(server.url)),
            extract_linger_ms=600_000,
            lease_seconds=600.0,
        )
        stage: Stage = pipeline.stage("extractor")
        first = asyncio.create_task(stage.work([await bell_of(pipeline, "a")]))
        await reserved(pipeline, 1)
        bell = await bell_of(pipeline, "b")
        work = [first]

        renew = store.renew

        async def meanwhile(
            db: TestedDatabase, held: Collection[Reservation], lease_seconds: float
        ) -> set[UUID]:
            ours = await renew(db, held, lease_seconds)
            work.append(asyncio.create_task(stage.work([bell])))
            await reserved(pipeline, 2)
            return ours

        monkeypatch.setattr(store, "renew", meanwhile)
        await stage.heartbeat()
        monkeypatch.undo()
        await pipeline.rows("UPDATE extractions SET lease_until = now() RETURNING 1 AS done")
        await stage.heartbeat()
        held = await pipeline.rows("SELECT 1 AS one FROM extractions WHERE lease_until > now()")
        stage.hurry()
        await asyncio.gather(*work, return_exceptions=True)
        assert len(held) == 2
