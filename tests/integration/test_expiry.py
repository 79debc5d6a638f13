"""What was said to end ends by itself: the law says so, and no job, sweep or deletion is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.maintenance.retention.work import Retention
from shared.settings import Settings
from tests.integration.test_consolidate import consolidated, profile
from tests.integration.test_gateway_acts import at, corrected, settle_open
from tests.integration.test_gateway_app import Api, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def stated(api: Api, content: str, **more: Any) -> None:
    """State a fact over HTTP, and settle it."""
    body = {"content": content, "timestamp": "2026-01-01T00:00:00Z", **more}
    answer = await api.post("/v1/users/ana/facts", body)
    assert answer.status_code == 202, answer.text
    await api.sql(
        "UPDATE memory_facts SET state = 'compared' WHERE state = 'extracted' RETURNING 1"
    )
    await settle_open(api)


async def current(api: Api, **params: Any) -> list[str]:
    found = await api.client.get("/v1/users/ana/facts", params={"view": "current", **params})
    return [fact["content"] for fact in found.json()["facts"]]


async def test_a_stay_ends_on_its_day_and_what_lay_beneath_returns(api: Api) -> None:
    """Before and after, through HTTP: in Paris until Friday, then in Rome again."""
    home = {"slot": "home_city"}
    await stated(api, "Lives in Rome", value="Rome", occurred_at="2020", **home)
    stay = {"value": "Paris", "ended_at": "2150-01-05", "timestamp": "2026-01-02T00:00:00Z"}
    await stated(api, "Stays in Paris until Friday", **stay, **home)
    assert await current(api) == ["Stays in Paris until Friday"]
    assert await current(api, as_of="2150-01-04T12:00:00Z") == ["Stays in Paris until Friday"]
    assert await current(api, as_of="2150-01-06T12:00:00Z") == ["Lives in Rome"]


async def test_free_text_ends_on_its_day_too(api: Api) -> None:
    await stated(api, "Is visiting Ana", ended_at="2150-01-05")
    assert await current(api) == ["Is visiting Ana"]
    assert await current(api, as_of="2150-01-06T12:00:00Z") == []


async def test_it_is_over_the_moment_it_ends(api: Api) -> None:
    """Nothing is asked for in between, and nothing is deleted."""
    ends = datetime.now(UTC) + timedelta(seconds=1)
    await stated(api, "Is visiting Ana", ended_at=ends.isoformat())
    async with asyncio.timeout(60):
        while await current(api):
            await asyncio.sleep(0.1)
    everything = await api.client.get("/v1/users/ana/facts", params={"view": "all"})
    [fact] = everything.json()["facts"]
    assert fact["status"] == "past"


async def test_a_profile_follows_what_ends_by_itself(api: Api) -> None:
    """It is marked, and its job asked for, although nobody said anything new."""
    await api.fact("Likes tea", said_at=at(2024))
    fact = await api.fact("Is visiting Eva", said_at=at(2024), ended_at="2150-01-05")
    await consolidated(api)
    assert str(fact) in (await profile(api))["rests_on"]
    assert await Retention(api.db.everyone, Settings()).turn() == {}
    await api.sql(
        "UPDATE memory_facts SET believed = '{[2024-01-01,2024-02-01)}' WHERE id = %(id)s RETURNING 1",
        id=fact,
    )
    await api.sql("UPDATE profiles SET holds_until = '2024-02-01' RETURNING 1")
    assert await Retention(api.db.everyone, Settings()).turn() == {"profiles ended": 1}
    assert (await profile(api))["stale"] is True
    jobs = await api.sql("SELECT kind FROM jobs WHERE state = 'requested'")
    assert jobs == [{"kind": "consolidate"}]
    assert await Retention(api.db.everyone, Settings()).turn() == {}


async def test_a_profile_that_lost_a_source_is_written_anew_by_itself(api: Api) -> None:
    """Asked for once, when it has been stale for a while; what is written tells what holds now."""
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2024))
    await consolidated(api)
    await corrected(api, fact, value="Porto")
    [stale] = await api.sql("SELECT stale_since IS NOT NULL AS stale FROM profiles")
    assert stale["stale"]
    patient = Retention(api.db.everyone, Settings(profile_stale_seconds=3_600))
    assert "profiles stale" not in await patient.turn()
    soon = Retention(api.db.everyone, Settings(profile_stale_seconds=0))
    assert (await soon.turn())["profiles stale"] == 1
    assert "profiles stale" not in await soon.turn()
    [job] = await api.sql("SELECT kind FROM jobs WHERE state = 'requested'")
    assert job["kind"] == "consolidate"
