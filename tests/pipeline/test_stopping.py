"""A worker that is told to stop lets go of everything: nobody waits for a claim or a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from shared.topology import MESSAGES
from tests.databases import TestedDatabase
from tests.fakes.chat_server import ChatServer, chat_server, one_fact_each
from tests.pipeline.harness import Pipeline, quick_model

NEVER = {"lease_seconds": 3_600.0, "claim_idle_ms": 3_600_000, "lost_after_seconds": 3_600.0}
"""Who waits for any of these waits for longer than a test may take."""


def pipeline_of(
    server: ChatServer, db: TestedDatabase, redis: Redis, redis_url: str, **settings: Any
) -> Pipeline:
    extractor = ByModel(quick_model(server.url))
    return Pipeline(db, redis, redis_url, extractor=extractor, **{**NEVER, **settings})


async def asked(server: ChatServer, calls: int) -> None:
    async with asyncio.timeout(30):
        while len(server.documents) < calls:
            await asyncio.sleep(0.01)


async def facts_of(pipeline: Pipeline, count: int) -> None:
    async with asyncio.timeout(30):
        while await pipeline.rows("SELECT 1 AS one FROM chat_logs WHERE extracted_at IS NULL"):
            await asyncio.sleep(0.02)
    rows = await pipeline.rows("SELECT content FROM memory_facts")
    assert len(rows) == count


def after(over: asyncio.Event) -> Callable[[dict[str, Any]], Awaitable[Any]]:
    """A model whose first answer waits for an event; the others come at once."""
    asked_before = False

    async def script(document: dict[str, Any]) -> Any:
        nonlocal asked_before
        first, asked_before = not asked_before, True
        if first:
            await over.wait()
        return one_fact_each(document)

    return script


async def test_a_call_longer_than_the_stop_is_made_again_at_once(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """One call is wasted, no attempt counted; whoever comes next neither waits nor doubles."""
    over = asyncio.Event()
    async with chat_server(after(over)) as server:
        first = pipeline_of(server, db, redis, redis_url, stop_grace_seconds=0.2)
        async with first.running("extractor", sweeper=False):
            await first.say("I live in Lisbon")
            await asked(server, 1)
        [left] = await first.rows("SELECT attempts, lease_until < now() AS free FROM extractions")
        assert left == {"attempts": 0, "free": True}
        async with first.running("extractor", sweeper=False):
            await facts_of(first, 1)
        over.set()
    assert len(server.documents) == 2
    assert await first.rows("SELECT 1 AS one FROM failures") == []
    assert await redis.xlen(MESSAGES) == 0


async def test_who_waits_for_a_session_to_fall_quiet_lets_go_of_it(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """No call had begun: a stop neither makes it nor waits for it."""
    async with chat_server(one_fact_each) as server:
        patient = pipeline_of(
            server, db, redis, redis_url, extract_linger_ms=600_000, stop_grace_seconds=600.0
        )
        async with asyncio.timeout(60), patient.running("extractor", sweeper=False):
            await patient.say("I live in Lisbon")
            while not await patient.rows("SELECT 1 AS one FROM extractions"):
                await asyncio.sleep(0.01)
        assert server.documents == []
        quick = pipeline_of(server, db, redis, redis_url)
        async with quick.running("extractor", sweeper=False):
            await facts_of(quick, 1)
    assert len(server.documents) == 1


async def test_what_came_during_the_last_call_is_somebody_elses(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its bell was answered "somebody is at it"; he rings for it when he stops."""
    over = asyncio.Event()
    async with chat_server(after(over)) as server:
        pipeline = pipeline_of(server, db, redis, redis_url, stop_grace_seconds=30.0)
        async with pipeline.running("extractor", sweeper=False):
            await pipeline.say("I live in Lisbon")
            await asked(server, 1)
            await pipeline.say("I work at Google")
            async with asyncio.timeout(30):
                while await redis.xlen(MESSAGES) > 1:
                    await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.2, over.set)
        assert len(server.documents) == 1
        async with pipeline.running("extractor", sweeper=False):
            await facts_of(pipeline, 2)
    assert len(server.documents) == 2
