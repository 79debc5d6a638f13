"""The profile rests on facts, and knows when one of them has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.maintenance.consumer import MaintenanceStage
from shared.failures.store import RetryPolicy, RowRef
from tests.integration.test_gateway_app import Api, serve, short_redis


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


def at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


async def conscious(api: Api, user: str = "ana") -> dict[str, Any]:
    return (await api.get(f"/v1/users/{user}/conscious")).json()


async def consolidated(api: Api) -> dict[str, Any]:
    """Request it, have maintenance do it, and read the profile."""
    answer = await api.post("/v1/users/ana/consolidate")
    assert answer.status_code == 202, answer.text
    trace = answer.json()["trace_id"]
    stage = MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy())
    await stage.process([RowRef("default", "ana", UUID(trace))])
    shown = (await api.get(f"/v1/traces/{trace}")).json()
    assert shown["status"] == "settled"
    return (await conscious(api))["profile"]


async def test_without_anything_there_is_no_profile(api: Api) -> None:
    assert await conscious(api, "nobody") == {"essential": [], "profile": None}
    assert await consolidated(api) is None


async def test_the_profile_is_written_with_what_it_rests_on(api: Api) -> None:
    city = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    tea = await api.fact("Likes tea", category="user_preference", said_at=at(2021))
    await api.fact("Lives in Oslo", subject="Sara", slot="home_city", value="Oslo")
    await api.fact("Lives in Bonn", slot="home_city", value="Bonn", said_at=at(2010))
    profile = await consolidated(api)
    assert profile["content"] == "Home city: Rome\nPreferences:\n- Likes tea"
    assert profile["rests_on"] == [str(city), str(tea)]
    assert (profile["stale"], profile["stale_since"], profile["stale_fact"]) == (False, None, None)


async def test_unchanged_facts_rewrite_nothing(api: Api) -> None:
    await api.fact("Likes tea", said_at=at(2020))
    first = await consolidated(api)
    [before] = await api.sql("SELECT xmin::text FROM profiles")
    assert await consolidated(api) == first
    assert [before] == await api.sql("SELECT xmin::text FROM profiles")


async def test_a_source_that_is_retired_makes_it_stale(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await consolidated(api)
    await api.fact("Works for Acme", slot="employer", value="Acme", said_at=at(2021))
    await api.fact("Home is Rome", slot="home_city", value="Rome", said_at=at(2021))
    assert (await conscious(api))["profile"]["stale"] is False, "what it rests on still holds"
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=at(2022))
    stale = (await conscious(api))["profile"]
    assert (stale["stale"], stale["stale_fact"]) == (True, str(rome))
    assert stale["stale_since"] is not None
    await api.fact("Lives in Bonn", slot="home_city", value="Bonn", said_at=at(2023))
    again = (await conscious(api))["profile"]
    assert again == stale, "the first change is the one that is told"
    fresh = await consolidated(api)
    assert fresh["content"] == "Home city: Bonn\nEmployer: Acme"
    assert fresh["stale"] is False


async def test_what_was_forgotten_is_not_read_in_a_stale_profile(api: Api) -> None:
    secret = await api.fact("Is secretly a spy", said_at=at(2020))
    await api.fact("Likes tea", said_at=at(2020))
    await consolidated(api)
    await api.client.delete(f"/v1/facts/{secret}")
    profile = (await conscious(api))["profile"]
    assert (profile["stale"], profile["content"]) == (True, "")
    assert profile["stale_fact"] == str(secret)
    assert (await consolidated(api))["content"] == "About:\n- Likes tea"
    await api.post(f"/v1/facts/{secret}/undo", {})
    assert "spy" in (await consolidated(api))["content"]


async def test_a_correction_makes_it_stale_once_it_is_believed(api: Api) -> None:
    tea = await api.fact("Likes tea", said_at=at(2020))
    await consolidated(api)
    new = (await api.client.patch(f"/v1/facts/{tea}", json={"content": "Likes rum"})).json()
    assert (await conscious(api))["profile"]["stale"] is False
    from tests.integration.test_gateway_acts import settle_open

    await settle_open(api)
    assert (await conscious(api))["profile"]["stale_fact"] == str(tea)
    assert (await consolidated(api))["rests_on"] == [new["fact_id"]]


async def test_a_job_that_still_waits_is_not_requested_twice(api: Api) -> None:
    traces = [(await api.post("/v1/users/ana/consolidate")).json()["trace_id"] for _ in range(3)]
    assert len(set(traces)) == 1
    other = (await api.post("/v1/users/bob/consolidate")).json()["trace_id"]
    assert other not in traces
    assert len(await api.sql("SELECT 1 FROM jobs")) == 2


async def test_essential_facts_are_those_that_hold(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    oslo = await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=at(2021))
    await api.fact("Likes tea", said_at=at(2020))
    await api.sql(
        "UPDATE memory_facts SET essential = true WHERE id = ANY(%(ids)s)",
        ids=[rome, oslo, uuid4()],
    )
    found = await conscious(api)
    assert [fact["id"] for fact in found["essential"]] == [str(oslo)]


async def essential(api: Api, content: str, **stated: Any) -> UUID:
    made = await api.fact(content, **stated)
    await api.sql("UPDATE memory_facts SET essential = true WHERE id = %(id)s", id=made)
    return made


@pytest.fixture
async def cached(database_url: str, redis_url: str) -> AsyncIterator[Api]:
    async with short_redis(redis_url) as redis, serve(database_url, redis) as served:
        yield served


async def shown(api: Api) -> list[str]:
    return [fact["content"] for fact in (await conscious(api))["essential"]]


async def test_an_answer_is_kept_while_nothing_changes(cached: Api) -> None:
    await essential(cached, "Allergic to nuts")
    first = await conscious(cached)
    [key] = await cached.gateway.redis.keys("memoire:conscious:*")
    kept = await cached.gateway.redis.get(key)
    await cached.gateway.redis.set(key, kept.replace(b"Allergic", b"Kept as"))
    assert await shown(cached) == ["Kept as to nuts"], "the kept one is the one that is answered"
    await cached.gateway.redis.delete(key)
    assert await conscious(cached) == first


async def test_whatever_changes_a_belief_is_seen_at_once(cached: Api) -> None:
    """Settled facts, deletions, undos, the profile, generations: nobody has to tell the cache."""
    city = {"slot": "home_city", "category": "biographical"}
    rome = await essential(cached, "Lives in Rome", value="Rome", said_at=at(2020), **city)
    assert await shown(cached) == ["Lives in Rome"]
    await essential(cached, "Lives in Oslo", value="Oslo", said_at=at(2021), **city)
    assert await shown(cached) == ["Lives in Oslo"], "a fact that settled"
    oslo = (await conscious(cached))["essential"][0]["id"]
    await cached.client.delete(f"/v1/facts/{oslo}")
    assert await shown(cached) == ["Lives in Rome"], "one that was forgotten"
    await cached.post(f"/v1/facts/{oslo}/undo", {})
    assert await shown(cached) == ["Lives in Oslo"], "an undo"
    await cached.fact("Lives in Oslo", value="Oslo", said_at=at(2022), **city)
    assert (await conscious(cached))["essential"][0]["evidence_count"] == 2, "more evidence"
    assert await consolidated(cached) is not None, "a profile"
    await cached.client.delete(f"/v1/facts/{rome}")
    await cached.sql("UPDATE users SET generation = 2")
    assert await shown(cached) == [], "another generation"


async def test_a_plan_that_falls_due_is_due(cached: Api) -> None:
    """Time alone changes what holds: no row is written when a day comes."""
    await essential(
        cached, "Moves to Porto", slot="home_city", value="Porto", temporal_state="future",
        occurred_at="2031",
    )  # fmt: skip
    assert [fact["status"] for fact in (await conscious(cached))["essential"]] == ["planned"]
    object.__setattr__(cached.gateway, "clock", lambda: at(2040))
    assert [fact["status"] for fact in (await conscious(cached))["essential"]] == ["due"]


async def test_it_is_answered_while_redis_is_away(database_url: str) -> None:
    async with (
        short_redis("redis://127.0.0.1:1") as nowhere,
        serve(database_url, nowhere) as api,
    ):
        await essential(api, "Allergic to nuts")
        for _ in range(3):
            assert await shown(api) == ["Allergic to nuts"]
