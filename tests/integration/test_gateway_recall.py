"""Recall: both arms under the same filters, and an answer even without vectors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from services.gateway.schemas import RecalledFact, RecalledMessage
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
    found = {"vector": 1, "lexical": 1, "messages": 0, "ranked": 1}
    assert answer["explain"]["candidates"] == found
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


async def _said(api: Api, query: str, **more: Any) -> list[str]:
    body = {"user_id": "ana", "query": query, "include": ["messages"], **more}
    answer = (await api.post("/v1/recall", body)).json()
    assert answer["relevant_facts"] == []
    assert all(0 <= message["score"] <= 1 for message in answer["messages"])
    return [message["content"] for message in answer["messages"]]


async def test_what_was_said_a_second_ago_is_found_as_a_message(api: Api) -> None:
    """Nothing has read it yet: the words are there the moment they are accepted."""
    await api.ingest(content="The plumber comes on Friday")
    await api.ingest(content="Nothing else", message_id="m2")
    assert await _said(api, "When does the plumber come?") == [
        "The plumber comes on Friday",
        "Nothing else",  # what was said next may be the answer
    ]
    assert await _said(api, "skydiving") == []
    body = {"user_id": "ana", "query": "plumber", "include": ["facts", "messages"]}
    answer = (await api.post("/v1/recall", body)).json()
    assert set(answer) == {"relevant_facts", "messages", "freshness"}
    assert set(answer["messages"][0]) == set(RecalledMessage.model_fields)


async def test_filters_hold_for_messages_too(api: Api) -> None:
    old, new = "2020-05-01T10:00:00Z", "2024-05-01T10:00:00Z"
    await api.ingest(content="Plumber then", timestamp=old, metadata={"via": {"app": [1, 2]}})
    await api.ingest(content="Plumber now", timestamp=new, session_id="b", message_id="m2")
    assert len(await _said(api, "plumber")) == 2
    assert await _said(api, "plumber", since="2023-01-01T00:00:00Z") == ["Plumber now"]
    assert await _said(api, "plumber", until="2023-01-01T00:00:00Z") == ["Plumber then"]
    assert await _said(api, "plumber", as_of="2023-01-01T00:00:00Z") == ["Plumber then"]
    assert await _said(api, "plumber", known_at="2023-01-01T00:00:00Z") == []
    assert await _said(api, "plumber", metadata={"via": {"app": [2]}}) == ["Plumber then"]
    assert await _said(api, "plumber", metadata={"via": "app"}) == []
    assert await _said(api, "plumber", slots=["home_city"]) == []
    assert await _said(api, "plumber", categories=["biographical"]) == []
    assert await _said(api, "plumber", min_score=1) == []
    assert len(await _said(api, "plumber", limit=1)) == 1


async def test_what_is_asked_to_be_included_must_be_known(api: Api) -> None:
    for include in ([], ["thoughts"]):
        body = {"user_id": "ana", "query": "x", "include": include}
        answer = await api.post("/v1/recall", body)
        assert answer.status_code == 422
        assert answer.json()["error"]["details"][0]["field"].startswith("include")


async def test_erased_messages_and_other_users_are_not_found(api: Api) -> None:
    await api.ingest(content="The plumber comes on Friday", session_id="s")
    await api.ingest(content="The plumber is expensive", user_id="bob")
    assert len(await _said(api, "plumber")) == 1
    gone = await api.client.delete("/v1/users/ana/sessions/s/messages")
    assert gone.status_code < 300, gone.text
    assert await _said(api, "plumber") == []


async def test_a_stated_fact_next_to_a_hit_is_found_with_it(api: Api) -> None:
    """The neighbour shares no word with the query; somebody else's does not come along."""
    now = utc_now() - timedelta(days=400)
    await api.fact("What is your favourite dish?", said_at=now)
    await api.fact("Borscht, always", said_at=now + timedelta(seconds=1))
    await api.fact("Rye bread", said_at=now + timedelta(hours=9))
    found = await _recall(api, "favourite dish", limit=2)
    assert found == ["What is your favourite dish?", "Borscht, always"]
