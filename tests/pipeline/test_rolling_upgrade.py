"""This version at work beside a later one: its columns are there, and its bells say more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.events import RowsBell, SessionBell, Settled
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, MESSAGES, SETTLED
from tests.databases import TestedDatabase
from tests.integration.test_gateway_app import serve
from tests.pipeline.harness import UNHURRIED, Pipeline


@pytest.fixture
async def widened(widened_url: str) -> AsyncIterator[TestedDatabase]:
    database = TestedDatabase(widened_url, max_connections=6)
    await database.open()
    yield database
    await database.close()


def _say_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for event in (SessionBell, RowsBell, Settled):
        encode = event.encode
        monkeypatch.setattr(
            event, "encode", lambda self, encode=encode: {"of_later": "x", **encode(self)}
        )


async def test_everything_works_beside_a_later_version(
    widened: TestedDatabase,
    widened_url: str,
    redis: Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message by either entrance becomes a belief, is recalled, exported, erased and taken back.

    No sweep rings again, so it is the bells with more fields that are heard.
    """
    _say_more(monkeypatch)
    pipeline = Pipeline(widened, redis, redis_url, lost_after_seconds=600.0, **UNHURRIED)
    entry = {"user_id": "ana", "role": "user", "content": "I live in Lisbon", "of_later": "x"}
    async with pipeline.running():
        await redis.xadd(MESSAGES, entry)
        await pipeline.say("I have a dog named Rex")
        await pipeline.settled(120)
        await pipeline.drained((MESSAGES, EXTRACTED, EMBEDDED, COMPARED), 120)
    assert await pipeline.current(slot="home_city") == ["Lisbon"]
    assert await pipeline.rows("SELECT FROM failures") == []
    told = await redis.xrange(SETTLED)
    assert told
    assert all(fields[b"of_later"] == b"x" for _, fields in told)

    async with serve(widened_url, redis) as api:
        answer = await api.post("/v1/recall", {"user_id": "ana", "query": "Where do I live?"})
        assert answer.json()["relevant_facts"][0]["value"] == "Lisbon"
        exported = await api.get("/v1/users/ana/export")
        assert exported.status_code == 200
        erased = await api.client.delete("/v1/users/ana")
        assert erased.status_code in (200, 202)
        assert await pipeline.current() == []
        lines = [json.loads(line) for line in exported.text.splitlines()]
        assert any("of_later" in line for line in lines), "an export says all there is"
        taken = await api.post("/v1/users/ana/import", {"lines": lines})
        assert taken.status_code == 202, taken.text
    async with pipeline.running():
        await pipeline.settled(120)
    assert await pipeline.current(slot="home_city") == ["Lisbon"]
