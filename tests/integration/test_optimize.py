"""Essential facts are chosen and given up again, with a model's ranking or without, and told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.maintenance.consumer import MaintenanceStage
from services.maintenance.essential.choosing import Budget
from services.maintenance.essential.model import Ranker
from services.maintenance.jobs import optimize
from shared.clock import utc_now
from shared.failures.store import RetryPolicy, RowRef
from tests.fakes.chat_server import ChatServer, Reply, chat_server
from tests.integration.test_gateway_app import Api, serve
from tests.pipeline.harness import quick_model


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def optimized(
    api: Api, ranker: Ranker | None = None, budget: Budget | None = None, **more: Any
) -> dict[str, Any]:
    """Have the job done; returns what it did."""
    trace = (await api.post("/v1/users/ana/optimize")).json()["trace_id"]
    jobs: dict[Any, Any] = {"optimize": optimize.job(budget, ranker)}
    stage = MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy(), jobs=jobs, **more)
    await stage.process([RowRef("default", "ana", UUID(trace))])
    result: dict[str, Any] = (await api.get(f"/v1/traces/{trace}")).json()["job"]["result"]
    return result


async def essential(api: Api) -> list[str]:
    found = (await api.get("/v1/users/ana/conscious")).json()["essential"]
    return [fact["content"] for fact in found]


async def version(api: Api) -> int:
    [row] = await api.sql("SELECT belief_version FROM users WHERE user_id = 'ana'")
    return int(row["belief_version"])


async def lived(api: Api) -> None:
    await api.fact("Is called Ana", slot="name", value="Ana")
    await api.fact("Is allergic to nuts", slot="allergy", value="nuts")
    await api.fact("Wears size 38", slot="shoe_size", value="38")
    await api.fact("Sara lives in Oslo", subject="Sara", slot="home_city", value="Oslo")


def preferring(*wanted: str) -> Any:
    """A model that names facts by a word in them, in this order."""

    def script(document: dict[str, Any]) -> dict[str, Any]:
        assert document["task"] == "essential"
        found = [
            {"id": fact["id"], "why": "asked for"}
            for word in wanted
            for fact in document["facts"]
            if word in fact["content"]
        ]
        return {"essential": found}

    return script


def ranker_of(server: ChatServer) -> Ranker:
    return Ranker(quick_model(server.url))


async def test_what_should_always_be_known_is_chosen(api: Api) -> None:
    """Of the user's own facts alone, and in an order that stays."""
    await lived(api)
    before = await version(api)
    assert await optimized(api) == {
        "essential": 2,
        "promoted": 2,
        "demoted": 0,
        "by": "formula",
        "model_calls": 0,
    }
    assert await essential(api) == ["Is allergic to nuts", "Is called Ana"]
    assert await version(api) > before
    before = await version(api)
    result = await optimized(api)
    assert (result["promoted"], result["demoted"]) == (0, 0)
    assert await version(api) == before


async def test_a_better_fact_takes_the_place_of_one_that_is_given_up(api: Api) -> None:
    """Both stand in the facts' histories, with the job."""
    pet = await api.fact("Has a dog", slot="pet", value="dog")
    await optimized(api, budget=Budget(facts=1))
    name = await api.fact("Is called Ana", slot="name", value="Ana", confidence=1.0)
    result = await optimized(api, budget=Budget(facts=1))
    assert (result["promoted"], result["demoted"]) == (1, 1)
    assert await essential(api) == ["Is called Ana"]
    told = {}
    for fact in (pet, name):
        last = (await api.get(f"/v1/facts/{fact}/history")).json()["events"][-1]
        assert last["data"]["kind"] == "optimize"
        trace = await api.get(f"/v1/traces/{last['data']['job']}")
        assert trace.json()["job"]["result"] == result
        told[fact] = last["event"]
    assert told == {pet: "fact.demoted", name: "fact.promoted"}


async def test_what_no_longer_holds_is_essential_no_more(api: Api) -> None:
    await api.fact("Lives in Rome", slot="home_city", value="Rome")
    await optimized(api)
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo")
    assert (await optimized(api))["demoted"] == 1
    assert await essential(api) == ["Lives in Oslo"]


async def test_what_is_left_of_certainty_counts(api: Api) -> None:
    """A goal of years ago is none any more."""
    long_ago = utc_now() - timedelta(days=900)
    await api.fact("Wants to run a marathon", slot="goal", value="a marathon", said_at=long_ago)
    assert (await optimized(api))["essential"] == 0
    await api.fact("Still the marathon", slot="goal", value="a marathon")
    assert (await optimized(api))["essential"] == 1


async def test_a_model_ranks_and_is_not_asked_twice_about_the_same(api: Api) -> None:
    """Nor is it shown whose facts they are, or anybody else's."""
    await lived(api)
    async with chat_server(preferring("nuts")) as server:
        result = await optimized(api, ranker_of(server))
        assert (result["by"], result["model_calls"], result["essential"]) == ("model", 1, 1)
        assert await essential(api) == ["Is allergic to nuts"]
        assert "Oslo" not in str(server.documents)
        for _ in range(2):
            assert (await optimized(api, ranker_of(server)))["model_calls"] == 0
        assert await essential(api) == ["Is allergic to nuts"]
        assert len(server.documents) == 1
        await api.fact("Has a dog", slot="pet", value="dog")
        assert (await optimized(api, ranker_of(server)))["model_calls"] == 1


@pytest.mark.parametrize(
    ("reply", "calls"),
    [
        (Reply(status=500, error={"message": "down"}), 0),
        (Reply(status=401, error={"message": "wrong key"}), 0),
        ({"essential": [{"id": "f77", "why": "x"}]}, 1),
        ({"essential": []}, 1),
    ],
    ids=["away", "configuration", "unknown", "nothing"],
)
async def test_without_a_usable_answer_the_formula_chooses(
    api: Api, reply: Any, calls: int
) -> None:
    """An answer of no use was given, and is not asked for again; a server that is away is, later."""
    await lived(api)
    async with chat_server(lambda _: reply) as server:
        result = await optimized(api, ranker_of(server))
        assert (result["by"], result["model_calls"]) == ("formula", calls)
        assert await essential(api) == ["Is allergic to nuts", "Is called Ana"]
        [run] = await api.sql("SELECT due_at - last_run_at AS wait FROM job_runs")
        assert run["wait"] == timedelta(days=30 if calls else 0)  # the next slot asks who was away
        asked = len(server.documents)
        server.script = preferring("Ana")
        again = await optimized(api, ranker_of(server))
    assert (again["by"] == "formula") == bool(calls)
    assert (len(server.documents) > asked) == (not calls)


async def test_a_models_order_is_bound_by_the_budget(api: Api) -> None:
    await lived(api)
    async with chat_server(preferring("Ana", "nuts")) as server:
        await optimized(api, ranker_of(server), Budget(facts=1))
    assert await essential(api) == ["Is called Ana"]


class Died(BaseException):
    """As a process dies: nothing is caught, nothing is cleaned up."""


@pytest.mark.parametrize("point", ["begin", "moved", "written", "saved", "committed"])
async def test_a_job_that_dies_has_paid_once(api: Api, point: str) -> None:
    """Its successor uses the answer that was kept, and each promotion is told once."""
    await lived(api)

    def die(at: str) -> None:
        if at == point:
            raise Died

    async with chat_server(preferring("nuts")) as server:
        with pytest.raises(Died):
            await optimized(api, ranker_of(server), at_point=die)
        await optimized(api, ranker_of(server))
        assert len(server.documents) == 1
    assert await essential(api) == ["Is allergic to nuts"]
    assert len(await api.sql("SELECT 1 FROM events WHERE event = 'fact.promoted'")) == 1
