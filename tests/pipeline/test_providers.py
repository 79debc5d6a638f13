"""Providers that are away, refuse, or have become too dear: time is lost, messages are not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from shared.embeddings import OpenAIEmbedder
from shared.spending import store
from shared.spending.books import Books
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server, one_fact_each
from tests.fakes.embedding_server import EmbeddingServer, failure, running
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_gate, quick_model

SOON = {"max_attempts": 4, "retry_base_seconds": 0.02, "retry_cap_seconds": 0.05, **UNHURRIED}
"""Attempts that are used up in a tenth of a second."""

AWAY = [
    Reply(status=503),
    Reply(status=429, headers={"retry-after": "0.2"}),
    Reply(status=529),
    Reply(status=500, headers={"retry-after": "0.1"}),
]


async def dead(pipeline: Pipeline) -> list[Any]:
    return await pipeline.rows("SELECT * FROM failures WHERE dead_at IS NOT NULL")


async def probed(asked: list[Any], times: int) -> None:
    """Wait until a provider that is away was probed so often: a few times a second, not more."""
    clock = asyncio.get_running_loop().time
    began, before = clock(), len(asked)
    async with asyncio.timeout(60):
        while len(asked) < times or clock() - began < 2:
            await asyncio.sleep(0.05)
    assert len(asked) - before <= 15 + 5 * (clock() - began), "it probes, it does not hammer"


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: str(fault.status))
async def test_an_outage_costs_time_and_few_calls_and_no_message(
    db: TestedDatabase, redis: Redis, redis_url: str, fault: Reply
) -> None:
    """It lasts thirty times longer than all attempts; then everything goes on at once."""
    away = True

    async def script(document: dict[str, Any]) -> Any:
        return fault if away else one_fact_each(document)

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            for number in range(60):
                await pipeline.say("I live in Lisbon", session_id=f"s{number}")
            await probed(server.documents, 5)
            assert await dead(pipeline) == []
            away = False
            await pipeline.settled()
        assert await dead(pipeline) == []
        attempts = await pipeline.rows("SELECT attempts FROM failures")
        assert all(row["attempts"] == 1 for row in attempts)
    assert len(await pipeline.rows("SELECT 1 AS one FROM memory_facts")) == 60


@pytest.mark.parametrize("others_answered", [True, False])
async def test_retry_after_is_a_minimum(
    db: TestedDatabase, redis: Redis, redis_url: str, others_answered: bool
) -> None:
    """A message whose call was answered 429 is not asked about earlier, whoever is to blame."""
    asked: list[float] = []

    def script(document: dict[str, Any]) -> Any:
        if document["messages"][0]["content"] == "I live in Oslo":
            return one_fact_each(document)
        asked.append(asyncio.get_running_loop().time())
        return (
            Reply(status=429, headers={"retry-after": "1.2"})
            if len(asked) == 1
            else one_fact_each(document)
        )

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            if others_answered:
                await pipeline.say("I live in Oslo", session_id="another")
                await pipeline.settled()
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.2
    failed = await pipeline.rows("SELECT attempts FROM failures")
    assert [row["attempts"] for row in failed] == ([1] if others_answered else [])


async def test_a_provider_that_is_not_there_at_all_is_waited_for(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Nothing listens; minutes of attempts would be used up; then it comes up and all settles."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extractor = ByModel(quick_model(f"http://127.0.0.1:{port}/v1"))
    pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
    async with pipeline.running():
        await pipeline.say("I live in Lisbon")
        await pipeline.say("I live in Oslo", session_id="another")
        await asyncio.sleep(1.5)
        assert await pipeline.rows("SELECT * FROM failures") == []
        async with chat_server(one_fact_each, port) as server:
            await pipeline.settled()
            assert len(server.documents) == 2


async def test_a_backlog_stays_where_it_is_during_an_outage(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Of three hundred messages only the window's were ever announced, however long it lasts."""
    away = True

    def script(document: dict[str, Any]) -> Any:
        return Reply(status=503) if away else one_fact_each(document)

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, window=20, **SOON)
        said = [pipeline.message(f"I am {n}", session_id=f"s{n}") for n in range(300)]
        async with pipeline.running():
            await pipeline.store(*said)
            await asyncio.sleep(2)
            rows = await pipeline.rows(
                """SELECT count(announced_at)::int AS announced, max(rings)::int AS rings
                     FROM chat_logs"""
            )
            assert rows[0]["announced"] <= 40
            assert rows[0]["rings"] <= 2, "a postponed session does not lose its turn"
            away = False
            await pipeline.settled()
    assert await dead(pipeline) == []


async def test_a_message_that_brings_the_provider_down_is_parked(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its calls alone end in 503 while others are answered: it is dead in the end, they are not."""

    def script(document: dict[str, Any]) -> Any:
        if any("poison" in message["content"] for message in document["messages"]):
            return Reply(status=503)
        return one_fact_each(document)

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            await pipeline.say("poison", session_id="bad")
            async with asyncio.timeout(60):
                number = 0
                while not await dead(pipeline):
                    number += 1
                    await pipeline.say(f"I am {number}", session_id=f"s{number}")
                    await asyncio.sleep(0.05)
            await pipeline.settled()
    [letter] = await dead(pipeline)
    assert letter["error_class"] == "retry"
    assert "503" in letter["error"]


async def test_timeouts_burn_attempts(db: TestedDatabase, redis: Redis, redis_url: str) -> None:
    """An input may be what takes so long: it is not tried for ever."""

    async def script(_: dict[str, Any]) -> Any:
        await asyncio.sleep(5)
        return {"facts": []}

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url, timeout_seconds=0.1))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
    [letter] = await dead(pipeline)
    assert letter["attempts"] == 4


async def test_an_embedder_without_its_provider_stops_reading_and_burns_nothing(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Facts stay extracted, their bells in the stream; back, all of them settle."""
    server = EmbeddingServer(dimensions=16)
    async with running(server):
        server.faults = [failure(503)] * 10_000
        embedder = OpenAIEmbedder(server.url, "k", "m", None, 5.0, gate=quick_gate(server.url))
        pipeline = Pipeline(db, redis, redis_url, embedder=embedder, read_batch=5, **SOON)
        async with pipeline.running():
            for number in range(40):
                await pipeline.say(f"I have a dog called Rex{number}", user_id=f"u{number}")
            await probed(server.requests, 3)
            assert await pipeline.redis.xlen("memoire:facts:extracted") >= 30
            server.faults = []
            await pipeline.settled()
        assert await pipeline.rows("SELECT * FROM failures") == []


async def test_a_wrong_key_is_shown_while_it_lasts(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Which model is paused, since when and why; and no more when it answers."""
    broken = True

    def script(document: dict[str, Any]) -> Any:
        return Reply(status=401) if broken else one_fact_each(document)

    async with chat_server(script) as server:
        books = Books(db, pause_seconds=0.05)
        gate = quick_gate(server.url, records=books)
        pipeline = Pipeline(
            db, redis, redis_url, extractor=ByModel(quick_model(server.url, gate=gate))
        )
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            [paused] = await _pauses(db, 1)
            assert (paused["purpose"], paused["kind"]) == ("extraction", "configuration")
            assert "401" in paused["reason"]
            await asyncio.sleep(1)
            [again] = await _pauses(db, 1)
            assert again["since"] == paused["since"]
            broken = False
            await pipeline.settled()
            await _pauses(db, 0)
        await books.close()


async def _pauses(db: TestedDatabase, count: int) -> list[Any]:
    async with asyncio.timeout(60):
        while True:
            async with db.everyone.autocommit() as tx:
                found = await store.pauses(tx)
            if len(found) == count:
                return found
            await asyncio.sleep(0.02)
