"""What a query's own words ask for weighs in recall, shows in `explain`, and bends no filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_gateway_recall import AwayEmbedder


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None, embedder=AwayEmbedder()) as served:
        yield served


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


async def recalled(api: Api, query: str, **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/recall", {"user_id": "ana", "query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def contents(api: Api, query: str, **more: Any) -> list[str]:
    return [fact["content"] for fact in (await recalled(api, query, **more))["relevant_facts"]]


async def a_life(api: Api) -> None:
    city = {"slot": "home_city", "category": "biographical"}
    await api.fact("Home is Boston", value="Boston", said_at=at(2015), **city)
    await api.fact("Home is Lisbon", value="Lisbon", said_at=at(2020), **city)
    await api.fact("Home is Oslo", subject="Sara (sister)", value="Oslo", said_at=at(2021), **city)
    await api.fact("Wants to live off the land", category="user_preference", said_at=at(2022))
    await api.fact("Watched live music", said_at=at(2023, 7), occurred_at="2023-07")


@pytest.mark.parametrize(
    "query",
    ["Where do I live?", "where does the user live", "¿Dónde vivo?", "où est-ce que j'habite"],
)
async def test_the_slot_asked_for_comes_first(api: Api, query: str) -> None:
    await a_life(api)
    assert (await contents(api, query))[0] == "Home is Lisbon"


async def test_hints_can_be_switched_off(api: Api) -> None:
    await a_life(api)
    assert "Home is Lisbon" not in await contents(api, "Where do I live?", hints=False)
    answer = await recalled(api, "Where do I live?", hints=False, explain=True)
    assert answer["explain"]["hints"] == {}


async def test_the_slot_of_the_person_who_is_named(api: Api) -> None:
    await a_life(api)
    assert (await contents(api, "Where does my sister live?"))[0] == "Home is Oslo"
    assert (await contents(api, "where does Sara live"))[0] == "Home is Oslo"


async def test_a_question_about_the_past_is_answered_by_the_past(api: Api) -> None:
    await a_life(api)
    found = await recalled(api, "Where did I live in 2017?", explain=True)
    first = found["relevant_facts"][0]
    assert first["content"] == "Home is Boston"
    assert found["explain"]["hints"]["as_of"]["words"] == "2017"
    assert found["explain"]["filters"]["held_since"].startswith("2017-01-01")
    assert first["explain"]["timeline"] == {"place": 1, "of": 2}
    both = await contents(api, "Where did I live in 2020?")
    assert set(both[:2]) == {"Home is Lisbon"} | ({"Home is Boston"} & set(both))


async def test_a_time_without_an_answer_is_no_filter(api: Api) -> None:
    """Nothing is known of 2010: what is known otherwise is better than nothing."""
    await a_life(api)
    found = await recalled(api, "Where did I live in 2010?", explain=True)
    assert found["relevant_facts"][0]["content"] == "Home is Lisbon"
    assert "as_of" not in found["explain"]["hints"]


async def test_a_time_makes_its_facts_likelier(api: Api) -> None:
    for year in (2021, 2022, 2023):
        await api.fact(f"Saw a concert number {year}", said_at=at(year, 7))
    found = await recalled(api, "which concert in summer 2022", explain=True)
    first = found["relevant_facts"][0]
    assert first["content"] == "Saw a concert number 2022"
    assert first["explain"]["boosts"]["time"] > 1
    assert first["explain"]["hints"]["time"] == "summer 2022"


async def test_about_the_user_at_large_the_essential_and_the_profile_come_first(api: Api) -> None:
    await a_life(api)
    essential = await api.fact("Allergic to peanuts", slot="allergy", value="peanuts")
    await api.sql("UPDATE memory_facts SET essential = true WHERE id = %(id)s", id=essential)
    await api.fact("Knows a lot about you and me")
    found = await contents(api, "What do you know about me?", limit=10)
    assert found[0] == "Allergic to peanuts"
    assert "Home is Lisbon" in found
    assert "Home is Boston" not in found, "it holds no more"


async def test_filters_of_the_request_hold_whatever_the_words_say(api: Api) -> None:
    await a_life(api)
    query = "Where did I live in 2017, and what do I like?"
    for filters in (
        {"categories": ["user_preference"]},
        {"slots": ["employer"]},
        {"since": "2022-01-01T00:00:00Z"},
        {"until": "2016-01-01T00:00:00Z", "view": "all"},
        {"metadata": {"a": 1}},
        {"max_age_days": 1},
        {"as_of": "2016-01-01T00:00:00Z"},
        {"known_at": "2016-01-01T00:00:00Z"},
    ):
        for asked in (query, "What do you know about me?"):
            with_hints = await recalled(api, asked, limit=100, **filters)
            for fact in with_hints["relevant_facts"]:
                _passes(fact, filters)


def _passes(fact: dict[str, Any], filters: dict[str, Any]) -> None:
    said = fact["occurred_at"] or fact["said_at"]
    match filters:
        case {"categories": wanted}:
            assert fact["category"] in wanted
        case {"slots": _} | {"metadata": _} | {"max_age_days": _} | {"known_at": _}:
            raise AssertionError(fact["content"])
        case {"since": since}:
            assert said >= since[:7]
        case {"until": until}:
            assert said < until
        case {"as_of": moment}:
            assert fact["valid_from"] <= moment


async def test_explain_names_what_every_hit_rests_on(api: Api) -> None:
    await a_life(api)
    found = await recalled(api, "Any live music where I live?", explain=True)
    assert found["explain"]["hints"]["slots"] == {"home_city": "where i live"}
    assert found["explain"]["filters"]["view"] == "current"
    by_content = {fact["content"]: fact["explain"] for fact in found["relevant_facts"]}
    home = by_content["Home is Lisbon"]
    assert home["boosts"]["slot"] > 1
    assert home["hints"]["slot"] == {"home_city": "where i live"}
    assert home["timeline"] == {"place": 2, "of": 2}
    music = by_content["Watched live music"]
    assert music["timeline"] is None
    assert music["lexical"]["rank"] == 1 and music["lexical"]["raw"] > 0
