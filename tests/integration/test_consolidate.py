"""Consolidation: duplicates that slipped through, profiles by a model, cascades, at any size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pgvector import HalfVector

from services.deduper.overlooked import Overlooked
from services.maintenance.biographer import Biographer
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.jobs.means import Means
from services.maintenance.jobs.running import JobPace
from shared.failures.store import RetryPolicy
from shared.llm import ChatModel
from tests.fakes.chat_server import ChatServer, Document, Reply, chat_server
from tests.integration.test_gateway_acts import at
from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_jobs import Died, requested

MODEL = "all-MiniLM-L6-v2-int8"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        await served.sql(
            """INSERT INTO embedding_spaces AS s (model, state, remote)
               VALUES (%(m)s, 'active', false)
                   ON CONFLICT (state) WHERE state IN ('active', 'filling')
                   DO UPDATE SET model = excluded.model RETURNING 1""",
            m=MODEL,
        )
        yield served


async def consolidated(api: Api, biographer: Biographer | None = None, **more: Any) -> Any:
    """Ask for the job over HTTP, do it, and return its result as the trace tells it."""
    ref = await requested(api)
    await worker(api, biographer, **more).process([ref])
    trace = (await api.get(f"/v1/traces/{ref.id}?wait=settled")).json()
    return trace["job"]["result"]


def worker(
    api: Api, biographer: Biographer | None = None, *, configured: str = MODEL, **more: Any
) -> MaintenanceStage:
    means = Means(Overlooked(configured), biographer)
    return MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy(), means=means, **more)


async def shown(api: Api) -> list[str]:
    """What is believed now, as anybody sees it."""
    params = {"view": "current", "limit": 100}
    found = (await api.client.get("/v1/users/ana/facts", params=params)).json()["facts"]
    return sorted(fact["content"] for fact in found)


async def profile(api: Api) -> Any:
    return (await api.get("/v1/users/ana/conscious")).json()["profile"]


async def embed(api: Api, fact: Any, vector: list[float], model: str = MODEL) -> None:
    await api.sql(
        """INSERT INTO fact_vectors VALUES ('default', 'ana', %(f)s, %(m)s, %(v)s) RETURNING 1""",
        f=fact,
        m=model,
        v=HalfVector(vector),
    )


async def test_duplicates_that_were_never_compared_are_merged(api: Api) -> None:
    """Before and after, through HTTP: two rows that say the same become one with more evidence."""
    first = await api.fact("Likes hiking in the mountains", said_at=at(2024))
    await api.fact("Likes to hike in the mountains", said_at=at(2025))
    later = await api.fact("Likes hiking in the mountains.", said_at=at(2026))
    await api.fact("Dislikes hiking in the mountains", said_at=at(2023))
    assert len(await shown(api)) == 4
    result = await consolidated(api)
    assert result["merged"] >= 1
    assert "Dislikes hiking in the mountains" in await shown(api)
    fact = (await api.get(f"/v1/facts/{later}")).json()
    assert (fact["status"], fact["canonical_id"]) == ("merged", str(first))
    events = (await api.get(f"/v1/facts/{later}/history")).json()["events"]
    [merged] = [event for event in events if event["event"] == "fact.merged"]
    assert merged["data"]["kind"] == "consolidate"
    assert merged["data"]["into"] == str(first)
    again = await consolidated(api)
    assert (again["merged"], again["changed"], again["profile"]) == (0, 0, "unchanged")


async def test_the_vectors_that_count_decide_whatever_model_is_configured(api: Api) -> None:
    """After a change of the model, and before a setting follows it."""
    for sentence in ("Works on robots in Lisbon", "Works in Lisbon on robots"):
        await embed(api, await api.fact(sentence, said_at=at(2024)), [1.0, 0.0])
    assert (await consolidated(api, configured="another"))["merged"] == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Has 2 cats", "Has 3 cats"),
        ("Likes horror movies", "Hates horror movies"),
        ("Is allergic to nuts", "Is not allergic to nuts"),
        ("Visited Rome in 2019", "Visited Rome in 2020"),
        ("Anna likes Ben", "Ben likes Anna"),
    ],
)
async def test_what_guards_keep_apart_stays_apart(api: Api, one: str, other: str) -> None:
    """Even when their vectors are the same."""
    for sentence in (one, other):
        await embed(api, await api.fact(sentence, said_at=at(2024)), [1.0, 0.0])
    assert (await consolidated(api))["merged"] == 0
    assert await shown(api) == sorted([one, other])


async def test_what_a_model_has_said_of_a_pair_stands(api: Api) -> None:
    one = await api.fact("Likes tea", said_at=at(2024))
    other = await api.fact("Likes tea!", said_at=at(2025))
    await api.sql(
        """INSERT INTO verdicts VALUES ('default', 'ana', least(%(a)s, %(b)s), greatest(%(a)s, %(b)s),
                                        'independent', 'a-model', 'it said so') RETURNING 1""",
        a=one,
        b=other,
    )
    assert (await consolidated(api))["merged"] == 0


async def test_facts_of_two_people_or_generations_do_not_meet(api: Api) -> None:
    await api.fact("Likes tea", said_at=at(2024))
    await api.fact("Likes tea", subject="Sara", said_at=at(2024))
    assert (await consolidated(api))["merged"] == 0


@pytest.mark.parametrize("point", ["begin", "written", "saved", "committed"])
async def test_killed_anywhere_it_goes_on(api: Api, point: str) -> None:
    """Whichever batch dies, the end is the same as without."""
    for year in range(2015, 2025):
        await api.fact("Likes tea", said_at=at(year))
    reached = 0

    def die(here: str) -> None:
        nonlocal reached
        reached += here == point
        if reached == 2:
            raise Died

    ref = await requested(api)
    with pytest.raises(Died):
        await worker(api, at_point=die).process([ref])
    await worker(api).process([ref])
    assert await shown(api) == ["Likes tea"]
    assert (await profile(api))["content"] == "About:\n- Likes tea"


async def test_a_job_in_many_slices_ends_like_one(api: Api) -> None:
    """A slice is over after each batch: it is announced again, and goes on."""
    for year in (2023, 2024):
        await api.fact("Likes tea", said_at=at(year))
        await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(year))
    ref, short = await requested(api), worker(api, pace=JobPace(slice_seconds=1e-9))
    for _ in range(10):
        if not await short.process([ref]):
            break
    assert await shown(api) == ["Likes tea", "Lives in Rome"]


async def test_a_chain_of_retirements_is_followed_in_one_run(api: Api) -> None:
    """A message goes, so its fact, so what was merged into it, so the profile that rests on it."""
    message = (await api.ingest(content="I like tea", session_id="s")).json()["chat_log_id"]
    [row] = await api.sql("SELECT id FROM chat_logs WHERE id = %(id)s", id=message)
    first = await api.fact("Likes tea", said_at=at(2023), sources=(row["id"],))
    second = await api.fact("Likes tea!", said_at=at(2024))
    await consolidated(api)
    before = await profile(api)
    assert before["rests_on"] == [str(first)]
    await api.client.delete(f"/v1/users/ana/sessions/s/messages/{message}")
    assert (await profile(api))["stale"] is True
    await consolidated(api)
    after = await profile(api)
    assert (after["rests_on"], after["stale"]) == ([str(second)], False)


# ---- by a model


@asynccontextmanager
async def biographer(script: Any) -> AsyncIterator[tuple[Biographer, ChatServer]]:
    async with chat_server(script) as server:
        model = ChatModel(base_url=server.url, api_key="k", model="m", timeout_seconds=20)
        yield Biographer(model), server


def writes(document: Document) -> dict[str, Any]:
    ids = {fact["content"]: fact["id"] for fact in document["facts"]}
    home, tea = ids["Lives in Rome"], ids["Likes tea"]
    return {
        "lines": [
            {"text": "Lives in Rome and likes tea", "fact_ids": [home, tea]},
            {"text": "Lives in Rome with Eva", "fact_ids": [home]},
            {"text": "Likes tea", "fact_ids": ["f99"]},
            {"text": "Does not like tea", "fact_ids": [tea]},
        ]
    }


async def two_facts(api: Api) -> tuple[Any, Any]:
    home = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2023))
    return home, await api.fact("Likes tea", said_at=at(2024))


async def test_a_model_writes_the_profile_and_is_asked_once(api: Api) -> None:
    """Lines that say more than their facts are dropped; unchanged facts are not sent again."""
    home, tea = await two_facts(api)
    async with biographer(writes) as (author, server):
        assert (await consolidated(api, author))["profile"] == "written"
        found = await profile(api)
        assert found["content"] == "Lives in Rome and likes tea"
        assert set(found["rests_on"]) == {str(home), str(tea)}
        assert (await consolidated(api, author))["profile"] == "unchanged"
        assert (await consolidated(api))["profile"] == "unchanged"
        assert len(server.documents) == 1
        assert server.documents[0]["task"] == "profile"


async def test_a_retired_source_has_the_profile_written_anew(api: Api) -> None:
    home, _ = await two_facts(api)
    async with biographer(writes) as (author, server):
        await consolidated(api, author)
        await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=at(2025))
        assert (await profile(api))["stale"] is True
        server.script = lambda document: {
            "lines": [{"text": "Lives in Oslo", "fact_ids": [_of(document, "Lives in Oslo")]}]
        }
        await consolidated(api, author)
        found = await profile(api)
        assert (found["content"], found["stale"]) == ("Lives in Oslo", False)
        assert str(home) not in found["rests_on"]


def _of(document: Document, content: str) -> str:
    return next(fact["id"] for fact in document["facts"] if fact["content"] == content)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(status=500),
        Reply(status=401),
        "no JSON at all",
        {"lines": "none"},
        {"lines": [{"text": "Is a spy", "fact_ids": ["f1"]}, 7, {"text": 3, "fact_ids": ["f1"]}]},
    ],
    ids=["a fault", "a wrong key", "prose", "no list", "nothing usable"],
)
async def test_whatever_a_model_answers_there_is_a_profile(api: Api, answer: Any) -> None:
    await two_facts(api)
    async with biographer(lambda _: answer) as (author, server):
        assert (await consolidated(api, author))["profile"] == "written"
        assert (await profile(api))["content"] == "Home city: Rome\nAbout:\n- Likes tea"
        asked = len(server.documents)
        assert (await consolidated(api, author))["profile"] == "unchanged"
        if not isinstance(answer, Reply):
            assert len(server.documents) == asked
