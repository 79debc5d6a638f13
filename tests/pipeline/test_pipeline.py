"""The main job: a message goes in, a fact comes out, and what is believed follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.topology import COMPARED, EMBEDDED, EXTRACTED, MESSAGES, SETTLED
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

WORK_STREAMS = (MESSAGES, EXTRACTED, EMBEDDED, COMPARED)


@pytest.fixture
def pipeline(db: TestedDatabase, redis: Redis, redis_url: str) -> Pipeline:
    return Pipeline(db, redis, redis_url)


async def test_a_message_becomes_a_settled_fact(pipeline: Pipeline) -> None:
    """One message is extracted, embedded, compared and settled, and the streams are empty again."""
    async with pipeline.running():
        await pipeline.say("I live in San Francisco")
        await pipeline.settled()
        await pipeline.drained(WORK_STREAMS)
    assert await pipeline.current(slot="home_city") == ["San Francisco"]


async def test_moving_back_gives_three_intervals(pipeline: Pipeline) -> None:
    """San Francisco, Dallas, San Francisco: the last one said is current, none is lost."""
    async with pipeline.running():
        await pipeline.say("I live in San Francisco", timestamp="2018-03-01T10:00:00Z")
        await pipeline.say("I live in Dallas", timestamp="2020-03-01T10:00:00Z")
        await pipeline.say("I live in San Francisco", timestamp="2024-03-01T10:00:00Z")
        await pipeline.settled()
    assert await pipeline.current(slot="home_city") == ["San Francisco"]
    rows = await pipeline.rows(
        "SELECT value, believed::text FROM memory_facts WHERE slot = 'home_city' ORDER BY said_at"
    )
    assert [row["value"] for row in rows] == ["San Francisco", "Dallas", "San Francisco"]
    assert all(row["believed"] != "{}" for row in rows)


async def test_an_outside_program_may_publish_messages(pipeline: Pipeline) -> None:
    """A bare XADD is a message; what makes no sense is a dead letter, its neighbours are kept."""
    await pipeline.redis.xadd(MESSAGES, {"user_id": "ana", "role": "user", "content": ""})
    await pipeline.redis.xadd(MESSAGES, {"user_id": "ana", "role": "nobody", "content": "hi"})
    await pipeline.redis.xadd(MESSAGES, {b"user_id": b"\xff\xfe", "role": "user", "content": "hi"})
    await pipeline.redis.xadd(
        MESSAGES, {"user_id": "b", "role": "user", "content": "x" * 5_000_000}
    )
    await pipeline.redis.xadd(
        MESSAGES, {"user_id": "b", "role": "user", "content": "hi", "timestamp": "yesterday"}
    )
    await pipeline.redis.xadd(MESSAGES, {"anything": "else"})
    await pipeline.redis.xadd(
        MESSAGES, {"user_id": "ana", "role": "user", "content": "I moved to Lisbon"}
    )
    async with pipeline.running():
        await pipeline.drained(WORK_STREAMS)
        await pipeline.settled()
    assert await pipeline.current(slot="home_city") == ["Lisbon"]
    dead = await pipeline.rows("SELECT * FROM failures ORDER BY first_failed_at, id")
    assert len(dead) == 6
    assert all(row["dead_at"] and row["payload"] and row["error"] for row in dead)
    assert all(len(json.dumps(row["payload"])) <= 70_000 for row in dead)


async def test_every_statement_of_one_person_is_kept(pipeline: Pipeline) -> None:
    """25 distinct statements are 25 beliefs, or more: none swallows another."""
    lines = Path("tests/data/one_person_25.jsonl").read_text().splitlines()
    statements = [json.loads(line)["content"] for line in lines]
    async with pipeline.running():
        await pipeline.say(*statements)
        await pipeline.settled()
    rows = await pipeline.rows(
        """SELECT DISTINCT c.content FROM memory_facts f JOIN chat_logs c ON c.id = ANY(f.source_message_ids)
            WHERE f.standing IN ('belief', 'plan')"""
    )
    assert {row["content"] for row in rows} == set(statements)


async def test_the_same_messages_again_add_nothing(pipeline: Pipeline) -> None:
    """Ten messages sent three times are ten facts."""
    cities = [
        f"I live in {city}"
        for city in [
            "Paris",
            "Rome",
            "Oslo",
            "Bern",
            "Riga",
            "Lima",
            "Cairo",
            "Quito",
            "Doha",
            "Kiev",
        ]
    ]
    messages = [pipeline.message(city, user_id=f"u{number}") for number, city in enumerate(cities)]
    async with pipeline.running():
        for _ in range(3):
            stored = await pipeline.store(*messages)
            assert set(stored.outcomes) <= {"accepted", "duplicate"}
            for stream, bell in stored.announcements:
                await pipeline.redis.xadd(stream, bell.encode())
        await pipeline.settled()
    assert len(await pipeline.rows("SELECT 1 AS one FROM memory_facts")) == 10


async def test_settling_is_told_on_the_public_stream(pipeline: Pipeline) -> None:
    """`memoire:facts:settled` carries flat fields that name the fact and what happened to it."""
    async with pipeline.running():
        [message] = await pipeline.say("I live in San Francisco")
        await pipeline.settled()
    [(_, fields)] = await pipeline.redis.xrange(SETTLED)
    told = {key.decode(): value.decode() for key, value in fields.items()}
    [fact] = await pipeline.rows("SELECT id FROM memory_facts")
    assert told == {
        "v": "1",
        "tenant": "default",
        "user_id": "ana",
        "fact_id": str(fact["id"]),
        "event": "fact.settled",
        "trace_id": message.id.hex,
    }
