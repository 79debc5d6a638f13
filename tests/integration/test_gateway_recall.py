"""Recall: both arms under the same filters, and an answer even without vectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from services.gateway.schemas import RecalledFact
from shared.clock import utc_now
from shared.errors import RetryableError
from tests.fakes.embedder import HashEmbedder
from tests.integration.test_gateway_app import Api, serve


class AwayEmbedder(HashEmbedder):
    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> np.ndarray:
        raise RetryableError("the provider is down")


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def _recall(api: Api, query: str, **more: Any) -> list[str]:
    answer = await api.post("/v1/recall", {"user_id": "ana", "query": query, **more})
    assert answer.status_code == 200, answer.text
    return [fact["content"] for fact in answer.json()["relevant_facts"]]


async def test_recall_answers_as_the_contract_says(api: Api) -> None:
    await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    await api.fact("Allergic to peanuts")
    body = {"user_id": "ana", "query": "Which city is Lisbon?"}
    answer = (await api.post("/v1/recall", body)).json()
    assert set(answer) == {"relevant_facts", "freshness"}
    assert answer["freshness"] == {"pending": 0, "oldest_seconds": None}
    first = answer["relevant_facts"][0]
    assert set(first) == set(RecalledFact.model_fields) - {"explain"}
    assert first["content"] == "Lives in Lisbon"
    assert 0 <= first["score"] <= 1


async def test_recall_explains_itself_when_asked(api: Api) -> None:
    await api.fact("Lives in Lisbon")
    body = {"user_id": "ana", "query": "Lisbbon", "explain": True}
    answer = (await api.post("/v1/recall", body)).json()
    assert answer["explain"]["read_as"] == {"lisbbon": "lisbon"}
    assert answer["explain"]["candidates"] == {"vector": 1, "lexical": 1}
    assert {"vector", "lexical", "fused", "boosts"} <= set(answer["relevant_facts"][0]["explain"])


async def test_an_unknown_user_has_no_facts(api: Api) -> None:
    answer = await api.post("/v1/recall", {"user_id": "nobody", "query": "anything"})
    assert answer.json()["relevant_facts"] == []


async def test_words_are_stemmed_unaccented_and_forgiven(database_url: str) -> None:
    async with serve(database_url, None, embedder=AwayEmbedder()) as api:
        await api.fact("Owns three cafés in Zürich")
        await api.fact("Plays the violin")
        for query in ("cafe", "Cafés", "zurich", "owning", "Zuricch", "a violinn?"):
            assert len(await _recall(api, query)) == 1, query
        assert await _recall(api, "skydiving") == []
        assert await _recall(api, "the of and") == []


async def test_rare_words_weigh_more(database_url: str) -> None:
    async with serve(database_url, None, embedder=AwayEmbedder()) as api:
        for dish in ("soup", "rice", "bread", "salad"):
            await api.fact(f"Likes {dish} for dinner")
        await api.fact("Likes borscht")
        assert (await _recall(api, "likes borscht for dinner"))[0] == "Likes borscht"


async def test_a_provider_that_is_away_leaves_the_words(database_url: str) -> None:
    async with serve(database_url, None, embedder=AwayEmbedder()) as api:
        await api.fact("Lives in Lisbon")
        assert await _recall(api, "Lisbon") == ["Lives in Lisbon"]


async def test_vectors_of_another_model_are_not_compared(api: Api) -> None:
    await api.fact("Lives in Lisbon")
    await api.sql("UPDATE fact_vectors SET model = 'other'")
    assert await _recall(api, "Porto") == []
    await api.sql(
        "UPDATE fact_vectors SET model = %(m)s, embedding = '[1,2,3]'", m=HashEmbedder.model
    )
    assert await _recall(api, "Porto") == []


@pytest.mark.parametrize("embedder", [HashEmbedder, AwayEmbedder], ids=["both", "lexical"])
async def test_filters_hold_in_every_arm(database_url: str, embedder: Any) -> None:
    async with serve(database_url, None, embedder=embedder()) as api:
        now = utc_now()
        await api.fact("Likes tea at home", category="user_preference", said_at=now)
        await api.fact(
            "Home is Lisbon, likes it",
            slot="home_city",
            value="Lisbon",
            metadata={"channel": "web", "tags": ["a", "b"]},
            said_at=now - timedelta(days=10),
        )
        await api.fact(
            "Likes the home office", occurred_at="2015-06", said_at=now - timedelta(days=400)
        )
        tea, lisbon, office = (
            "Likes tea at home",
            "Home is Lisbon, likes it",
            "Likes the home office",
        )

        async def found(**filters: Any) -> set[str]:
            return set(await _recall(api, "likes home", **filters))

        assert await found() == {tea, lisbon, office}
        assert await found(categories=["user_preference"]) == {tea}
        assert await found(slots=["City"]) == {lisbon}
        assert await found(metadata={"channel": "web"}) == {lisbon}
        assert await found(metadata={"tags": ["b"]}) == {lisbon}
        assert await found(metadata={"channel": "app"}) == set()
        assert await found(max_age_days=1) == {tea}
        assert await found(since="2015-06-01T00:00:00Z", until="2015-07-01T00:00:00Z") == {office}
        assert await found(until="2015-06-01T00:00:00Z") == set()
        assert await found(limit=1) <= {tea, lisbon, office}
        assert len(await found(limit=1)) == 1


async def test_only_what_holds_is_recalled_unless_all_is_asked(api: Api) -> None:
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=_at(2018))
    await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon", said_at=_at(2020))
    await api.fact("Lives in hope", until="embedded")
    assert await _recall(api, "lives") == ["Lives in Lisbon"]
    assert set(await _recall(api, "lives", view="all")) == {"Lives in Lisbon", "Lives in Rome"}


def _at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


async def test_scores_and_tokens_limit_the_list(api: Api) -> None:
    for word in ("tea", "jam", "rye", "fog"):
        await api.fact(f"Likes {word} a lot")  # 16 characters are 4 tokens
    assert len(await _recall(api, "likes", limit=100)) == 4
    assert len(await _recall(api, "likes", max_tokens=9)) == 2
    assert await _recall(api, "likes", max_tokens=3) == []
    assert await _recall(api, "completely unrelated", min_score=0.9) == []


async def test_freshness_counts_what_is_on_its_way(api: Api) -> None:
    await api.ingest(content="hi")
    await api.fact("Likes tea", until="embedded")
    dead = await api.fact("Likes jam", until="embedded")
    await api.sql("UPDATE memory_facts SET retry_at = 'infinity' WHERE id = %(id)s", id=dead)
    answer = (await api.post("/v1/recall", {"user_id": "ana", "query": "tea"})).json()
    assert answer["freshness"]["pending"] == 2
    assert 0 <= answer["freshness"]["oldest_seconds"] < 60


async def test_one_users_facts_are_not_anothers(api: Api) -> None:
    await api.fact("Lives in Lisbon", user="bob")
    assert await _recall(api, "Lisbon", view="all") == []
