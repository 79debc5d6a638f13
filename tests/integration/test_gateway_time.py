"""What was true at a moment, what was believed at one, and both: recall, facts and timeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from shared.clock import utc_now
from shared.errors import RetryableError
from tests.fakes.embedder import HashEmbedder
from tests.integration.test_gateway_app import Api, code, serve


class AwayEmbedder(HashEmbedder):
    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> np.ndarray:
        raise RetryableError("the provider is down")


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def iso(moment: datetime) -> str:
    return moment.isoformat()


async def listed(api: Api, **query: Any) -> list[dict[str, Any]]:
    times = {k: iso(v) if isinstance(v, datetime) else v for k, v in query.items()}
    answer = await api.get("/v1/users/ana/facts", **times)
    assert answer.status_code == 200, answer.text
    return answer.json()["facts"]


async def recalled(api: Api, query: str = "lives in", **more: Any) -> list[dict[str, Any]]:
    times = {k: iso(v) if isinstance(v, datetime) else v for k, v in more.items()}
    body = {"user_id": "ana", "query": query, "limit": 50, **times}
    answer = await api.post("/v1/recall", body)
    assert answer.status_code == 200, answer.text
    return answer.json()["relevant_facts"]


async def slots(api: Api, **query: Any) -> list[dict[str, Any]]:
    times = {k: iso(v) if isinstance(v, datetime) else v for k, v in query.items()}
    return (await api.get("/v1/users/ana/timeline", **times)).json()["slots"]


def values(found: list[dict[str, Any]]) -> list[str]:
    return [fact["value"] for fact in found]


async def city(api: Api, name: str, **more: Any) -> UUID:
    return await api.fact(f"Lives in {name}", slot="home_city", value=name, **more)


async def test_where_did_she_live_in_2024_and_what_did_we_believe_then(api: Api) -> None:
    """The question of the README: truth of a moment, belief of a moment, and both."""
    await city(api, "Rome", said_at=at(2018))
    then = utc_now()
    await city(api, "Oslo", said_at=at(2026, 3), occurred_at="2023-05")
    for found in (listed, recalled):
        assert values(await found(api)) == ["Oslo"]
        assert values(await found(api, as_of=at(2022))) == ["Rome"]
        assert values(await found(api, as_of=at(2024))) == ["Oslo"]
        assert values(await found(api, as_of=at(2024), known_at=then)) == ["Rome"]
        assert values(await found(api, known_at=then)) == ["Rome"]
        assert values(await found(api, as_of=at(2010))) == []
        assert values(await found(api, known_at=at(2025))) == []


async def test_fields_are_those_of_the_view(api: Api) -> None:
    rome = await city(api, "Rome", said_at=at(2018))
    then = utc_now()
    await city(api, "Rome", said_at=at(2019))
    oslo = await city(api, "Oslo", said_at=at(2020))
    for found in (listed, recalled):
        [fact] = await found(api, known_at=then)
        fields = ("id", "status", "valid_to", "superseded_by", "evidence_count")
        assert [fact[f] for f in fields] == [str(rome), "current", None, None, 1]
        [fact] = await found(api, as_of=at(2019, 6))
        assert [fact[f] for f in fields] == [
            str(rome),
            "current",
            "2020-01-01T00:00:00Z",
            str(oslo),
            2,
        ]
        everything = {f["id"]: f["status"] for f in await found(api, view="all", as_of=at(2019, 6))}
        assert everything[str(oslo)] == "past", "it had not begun"
        assert sorted(everything.values()) == ["current", "merged", "past"]
        assert len(await found(api, view="all", known_at=then)) == 1


async def test_plans_are_planned_then_due(api: Api) -> None:
    await city(api, "Oslo", said_at=at(2024), occurred_at="2025-06", temporal_state="future")
    for found in (listed, recalled):
        assert [f["status"] for f in await found(api, as_of=at(2025))] == ["planned"]
        assert [f["status"] for f in await found(api, as_of=at(2025, 7))] == ["due"]
        assert await found(api, as_of=at(2023)) == []


async def test_duplicates_known_later_were_two_beliefs(api: Api) -> None:
    first = await api.fact("Drinks tea", said_at=at(2020))
    second = await api.fact("Is a tea drinker", said_at=at(2021))
    then = utc_now()
    low, high = sorted((first, second))
    await api.sql(
        "INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason) "
        "VALUES ('default', 'ana', %(a)s, %(b)s, 'duplicate', 'guards', '')",
        a=low,
        b=high,
    )
    after = await listed(api, known_at=utc_now())
    assert [(f["content"], f["evidence_count"]) for f in after] == [("Drinks tea", 2)]
    assert {f["content"] for f in await listed(api, known_at=then)} == {
        "Drinks tea",
        "Is a tea drinker",
    }


@pytest.mark.parametrize("embedder", [HashEmbedder, AwayEmbedder], ids=["both", "lexical"])
async def test_times_and_filters_hold_in_both_arms(database_url: str, embedder: Any) -> None:
    async with serve(database_url, None, embedder=embedder()) as api:
        await api.fact("Lives near tea", category="user_preference", metadata={"a": 1})
        await city(api, "Rome", said_at=at(2018))
        then = utc_now()
        await city(api, "Oslo", said_at=at(2020))
        await api.fact("Lives for jam", category="user_preference", said_at=at(2020))

        async def found(**more: Any) -> set[str]:
            return {fact["content"] for fact in await recalled(api, **more)}

        assert await found(known_at=then) == {"Lives near tea", "Lives in Rome"}
        assert await found(known_at=then, categories=["user_preference"]) == {"Lives near tea"}
        assert await found(known_at=then, slots=["city"]) == {"Lives in Rome"}
        assert await found(known_at=then, metadata={"a": 1}) == {"Lives near tea"}
        assert await found(known_at=then, metadata={"a": 2}) == set()
        assert await found(known_at=then, until=iso(at(2019))) == {"Lives in Rome"}
        assert await found(as_of=at(2019)) == {"Lives in Rome"}
        assert await found(as_of=at(2019), max_age_days=400) == {"Lives in Rome"}
        assert await found(as_of=at(2019), max_age_days=300) == set()
        assert await found(known_at=then, limit=1) <= {"Lives near tea", "Lives in Rome"}


async def test_the_list_of_what_was_known_is_paged_and_filtered(api: Api) -> None:
    for year in range(2010, 2017):
        await api.fact(f"Learnt thing {year}", category="learning", said_at=at(year))
    await city(api, "Rome", said_at=at(2012))
    then = utc_now()
    await api.fact("Learnt too much", category="learning", said_at=at(2013))
    seen, cursor = [], None
    while True:
        query: dict[str, Any] = {"limit": 3, "category": "learning", "known_at": iso(then)}
        page = (
            await api.get("/v1/users/ana/facts", **query | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [fact["content"] for fact in page["facts"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [f"Learnt thing {year}" for year in range(2016, 2009, -1)]
    assert values(await listed(api, known_at=then, slot="city")) == ["Rome"]
    assert await listed(api, known_at=then, slot="employer") == []


async def test_what_is_on_its_way_was_not_known(api: Api) -> None:
    await api.fact("Likes tea", until="embedded")
    assert len(await listed(api, view="all")) == 1
    assert await listed(api, view="all", known_at=utc_now()) == []
    assert await recalled(api, "tea", view="all", known_at=utc_now()) == []


async def test_the_timeline_of_a_moment(api: Api) -> None:
    await city(api, "Rome", said_at=at(2018))
    then = utc_now()
    await city(api, "Oslo", said_at=at(2020))
    await api.fact("Works for Acme", slot="employer", value="Acme", said_at=at(2021))

    def shown(found: list[dict[str, Any]]) -> dict[str, list[str]]:
        return {slot["slot"]: [i["value"] for i in slot["intervals"]] for slot in found}

    assert shown(await slots(api)) == {"employer": ["Acme"], "home_city": ["Rome", "Oslo"]}
    assert shown(await slots(api, as_of=at(2019))) == {"home_city": ["Rome"]}
    assert shown(await slots(api, as_of=at(2022))) == {"employer": ["Acme"], "home_city": ["Oslo"]}
    assert shown(await slots(api, known_at=then)) == {"home_city": ["Rome"]}
    assert shown(await slots(api, as_of=at(2022), known_at=then)) == {"home_city": ["Rome"]}
    assert shown(await slots(api, as_of=at(2022), slot="city")) == {"home_city": ["Oslo"]}
    [slot] = await slots(api, known_at=then)
    assert slot["intervals"][0]["valid_to"] is None
    assert await slots(api, known_at=at(2020)) == []


async def test_what_recurs_stands_beside_what_holds(api: Api) -> None:
    """Every summer in Italy: home is San Francisco, in the summer too."""
    home = {"slot": "home_city", "value": "San Francisco"}
    await api.fact("Lives in San Francisco", **home, said_at=at(2018))
    summer = {"slot": "home_city", "value": "Italy", "temporal_state": "recurring"}
    italy = await api.fact("Spends every summer in Italy", **summer, said_at=at(2024))
    [slot] = await slots(api)
    assert [i["value"] for i in slot["intervals"]] == ["San Francisco"]
    [recurring] = slot["recurring"]
    assert (recurring["value"], recurring["fact_id"]) == ("Italy", str(italy))
    assert (recurring["valid_from"], recurring["valid_to"]) == ("2024-01-01T00:00:00Z", None)
    [before] = await slots(api, as_of=at(2023))
    assert (len(before["intervals"]), "recurring" in before) == (1, False)
    [later] = await slots(api, as_of=at(2025))
    assert [i["value"] for i in later["recurring"]] == ["Italy"]
    await api.fact("Flies to Bonn monthly", **{**summer, "slot": "location", "value": "Bonn"})
    assert "location" in {slot["slot"] for slot in await slots(api)}
    await api.client.delete(f"/v1/facts/{italy}")
    assert not [s for s in await slots(api, slot="home_city") if "recurring" in s]


async def test_strange_moments_are_refused(api: Api) -> None:
    for text in ("2024", "yesterday", "2024-01-01T00:00:00", "9999-12-31T00:00:00Z", ""):
        for name in ("as_of", "known_at"):
            body = {"user_id": "ana", "query": "x", name: text}
            answers = [
                await api.post("/v1/recall", body),
                await api.get("/v1/users/ana/facts", **{name: text}),
                await api.get("/v1/users/ana/timeline", **{name: text}),
            ]
            for answer in answers:
                assert (answer.status_code, code(answer)) == (422, "invalid_request"), text
                assert answer.json()["error"]["details"][0]["field"] == name


async def test_another_generation_is_not_what_was_known(api: Api) -> None:
    await city(api, "Rome", said_at=at(2018))
    await api.sql("UPDATE users SET generation = 2")
    assert await listed(api, view="all", known_at=utc_now()) == []
