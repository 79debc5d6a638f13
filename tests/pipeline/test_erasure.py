"""Erasing a user whom every stage is busy with: nothing stays, and nothing returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.broker import Announcer
from shared.erasure.tables import BY_BATCH, LAST
from shared.erasure.work import Eraser
from shared.topology import MESSAGES, SETTLED, STAGES
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

CANARY = "Zanzibar-7719"
TOLD = (
    f"I live in {CANARY}", f"I love {CANARY} and jazz", f"My sister {CANARY} has a dog",
    f"I work at {CANARY}", f"I moved to {CANARY} in 2019",
)  # fmt: skip


@pytest.fixture
async def pipeline(db: TestedDatabase, redis: Redis, redis_url: str) -> AsyncIterator[Pipeline]:
    yield Pipeline(db, redis, redis_url)


def entry(number: int, user: str = "ana", **more: str) -> dict[Any, Any]:
    content = f"{TOLD[number % len(TOLD)]} ({number})"
    return {"user_id": user, "role": "user", "content": content, **more}


async def rows_of(pipeline: Pipeline, user: str = "ana") -> dict[str, int]:
    left = {}
    for table in (*BY_BATCH, *LAST):
        sql = f"SELECT count(*) AS n FROM {table} WHERE user_id = %(user)s"
        left[table] = (await pipeline.rows(sql, user=user))[0]["n"]
    return {table: number for table, number in left.items() if number}


async def canary_in_postgres(pipeline: Pipeline) -> list[str]:
    """Every table, every column: as a dump would have it."""
    tables = await pipeline.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200 ORDER BY 1"
    )
    found = []
    for table in (row["relname"] for row in tables):
        sql = f'SELECT 1 AS one FROM "{table}" AS t WHERE t::text LIKE %(like)s LIMIT 1'
        found += [table] if await pipeline.rows(sql, like=f"%{CANARY}%") else []
    return found


async def canary_in_redis(redis: Redis) -> list[bytes]:
    """Every key: streams as text, strings as they are."""
    found = []
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        held = await redis.xrange(key) if kind == b"stream" else await redis.get(key)
        found += [key] if CANARY in str(held) else []
    return found


async def erased(pipeline: Pipeline, user: str = "ana") -> dict[str, Any]:
    eraser = Eraser(pipeline.db, pipeline.redis, batch=50)
    erasure = await eraser.begin("default", user, "test")
    await eraser.complete(erasure)
    [row] = await pipeline.rows("SELECT * FROM erasures WHERE id = %(id)s", id=erasure.id)
    return row


async def quiet(pipeline: Pipeline) -> None:
    """Wait until no row is open and no work stream holds anything."""
    await pipeline.settled(120)
    await pipeline.drained([stream for streams in STAGES.values() for stream in streams], 120)


@pytest.mark.parametrize("emptied", [False, True], ids=["", "redis-emptied"])
@pytest.mark.parametrize("messages", [150, pytest.param(1_000, marks=pytest.mark.nightly)])
async def test_a_user_with_messages_in_flight_is_erased(
    pipeline: Pipeline, redis: Redis, messages: int, emptied: bool
) -> None:
    """On the stream, stored, and at every stage, while the sweep runs, beside a user who stays."""
    third = messages // 3
    async with pipeline.running():
        for number in range(third):
            await redis.xadd(MESSAGES, entry(number))
            await pipeline.say(f"{TOLD[number % 5]}, {number}", user_id="ana", session_id="http")
            if number % 10 == 0:
                await redis.xadd(MESSAGES, entry(number, user="ben", content="I live in Oslo"))
        for number in range(third, 2 * third):
            await redis.xadd(MESSAGES, entry(number))
        if emptied:
            await redis.flushall()
        certificate = await erased(pipeline)
        assert await rows_of(pipeline) == {}
        if emptied:
            await redis.flushall()
        await quiet(pipeline)
        assert await rows_of(pipeline) == {}, "something came back"
    assert certificate["user_id"] is None
    assert certificate["finished_at"] is not None
    assert await canary_in_postgres(pipeline) == []
    assert await canary_in_redis(redis) == []
    assert emptied or "home_city" in str(
        await pipeline.rows("SELECT slot FROM memory_facts WHERE user_id = 'ben'")
    )


async def test_entries_are_told_by_their_place(pipeline: Pipeline, redis: Redis) -> None:
    """Read late, what stood before the tombstone is passed over, and what stands behind it counts."""
    await redis.xadd(MESSAGES, entry(1, message_id="m1"))
    await redis.xadd(MESSAGES, entry(2))
    await redis.xadd(MESSAGES, {"user_id": "ana", "role": "robot", "content": CANARY})
    await redis.xadd(MESSAGES, {"user_id": "ana", "role": "user", "content": b"\xff" + b"Zanz"})
    await redis.xadd(MESSAGES, entry(3, user="ben", tenant="acme"))
    assert await redis.xlen(MESSAGES) == 5
    eraser = Eraser(pipeline.db, None)  # nobody takes them out of Redis: they are read
    erasure = await Eraser(pipeline.db, redis).begin("default", "ana", "test")
    await redis.xadd(
        MESSAGES,
        entry(4, content="I live in Oslo", message_id="n1", timestamp="2020-01-01T00:00:00Z"),
    )
    async with pipeline.running(sweeper=False):
        async with asyncio.timeout(60):
            while not await rows_of(pipeline, "ben"):  # the new one waits until the rows are gone
                await asyncio.sleep(0.02)
        assert await rows_of(pipeline) == {}
        await eraser.complete(erasure)
        await quiet(pipeline)
        assert await pipeline.current("ana", "home_city") == ["Oslo"]
    said = await pipeline.rows("SELECT content FROM chat_logs WHERE user_id = 'ana'")
    assert [row["content"] for row in said] == ["I live in Oslo"]
    assert await pipeline.rows("SELECT 1 FROM failures WHERE user_id = 'ana'") == []
    assert len(await pipeline.rows("SELECT 1 FROM chat_logs WHERE user_id = 'ben'")) == 1


async def test_a_session_is_erased_with_what_is_on_its_way(
    pipeline: Pipeline, redis: Redis
) -> None:
    """Its entries are passed over; those of the user's other sessions are not."""
    from services.gateway import deeds
    from services.gateway.act_store import Deed
    from shared.erasure.streams import last_place
    from shared.ids import time_ordered_id

    await redis.xadd(MESSAGES, entry(1, session_id="gone"))
    await redis.xadd(MESSAGES, entry(2, session_id="kept", content="I live in Oslo"))
    place = await last_place(redis)
    deed = Deed("default", "ana", time_ordered_id(), "test", None)
    async with pipeline.db.everyone.transaction() as tx:
        await deeds.erase_certified(tx, deed, "gone", None, place)
    await redis.xadd(MESSAGES, entry(3, session_id="gone", content="I like tea"))
    async with pipeline.running():
        await quiet(pipeline)
    said = await pipeline.rows("SELECT content FROM chat_logs ORDER BY recorded_at")
    assert [row["content"] for row in said] == ["I live in Oslo", "I like tea"]


async def test_a_redriven_letter_does_not_come_behind_a_tombstone(
    pipeline: Pipeline, redis: Redis
) -> None:
    """Given new attempts, it waits for the sweep; the user is erased before, or the letter is sent before."""
    await redis.xadd(MESSAGES, {"user_id": "ana", "role": "robot", "content": CANARY})
    async with pipeline.running(sweeper=False):
        await pipeline.drained([MESSAGES])
    assert await canary_in_postgres(pipeline) == ["failures"]
    await pipeline.rows(
        "UPDATE failures SET dead_at = NULL, attempts = 0, next_attempt_at = now(),"
        ' payload = payload || \'{"role": "user"}\' RETURNING 1'
    )
    erasure = await Eraser(pipeline.db, redis).begin("default", "ana", "test")
    await pipeline.sweeper().sweep()
    assert await redis.xlen(MESSAGES) == 0
    await Eraser(pipeline.db, redis).complete(erasure)
    assert await rows_of(pipeline) == {}
    assert await canary_in_postgres(pipeline) == []


async def test_bells_and_news_of_an_erased_user_leave_redis(
    pipeline: Pipeline, redis: Redis
) -> None:
    """No stream names the user any more, pending entries included; others' stay."""
    async with pipeline.running(sweeper=False):
        await pipeline.say("I live in Rome", user_id="ana")
        await pipeline.say("I live in Rome", user_id="ben")
        await pipeline.settled()
    await Announcer(redis).announce(
        (await pipeline.store(pipeline.message("I like tea"))).announcements
    )
    await redis.xreadgroup("extractor", "gone", {MESSAGES: ">"})
    row = await erased(pipeline)
    assert row["streams"] == {MESSAGES: 1, SETTLED: 1}
    assert await redis.xlen(MESSAGES) == 0
    assert (await redis.xpending(MESSAGES, "extractor"))["pending"] == 0
    assert [fields[b"user_id"] for _, fields in await redis.xrange(SETTLED)] == [b"ben"]


async def test_who_comes_back_is_compared_with_nothing_old(
    pipeline: Pipeline, redis: Redis
) -> None:
    """The same words again, under new ids, are first of their kind."""
    async with pipeline.running():
        await pipeline.say("I love jazz", "I live in Rome")
        await pipeline.settled()
        await erased(pipeline)
        await pipeline.say("I love jazz", "I live in Oslo")
        await pipeline.settled()
        assert await pipeline.current("ana", "home_city") == ["Oslo"]
        counts = await pipeline.rows("SELECT evidence_count AS n FROM memory_facts")
        assert {row["n"] for row in counts} == {1}
        [person] = await pipeline.rows("SELECT belief_version FROM users")
        assert person["belief_version"] > 1_000_000_000_000
