"""Labels of a fact over HTTP: given and taken back without a change to what is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.clock import utc_now
from tests.integration.test_gateway_acts import (
    at,
    corrected,
    current,
    delete,
    history,
    patch,
    recalled,
    settle_open,
    undone,
    values,
)
from tests.integration.test_gateway_app import Api, code, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def shown(api: Api, fact: Any) -> dict[str, Any]:
    return (await api.get(f"/v1/facts/{fact}")).json()


async def believed(api: Api) -> tuple[Any, ...]:
    return await current(api), (await api.get("/v1/users/ana/timeline")).json()


async def relabelled(api: Api, fact: Any, **body: Any) -> None:
    """Nothing waits for a stage, and nothing new is stored."""
    before = await api.sql("SELECT count(*) AS n FROM memory_facts")
    answer = await patch(api, fact, body)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["status"], answer.json()["fact_id"]) == ("accepted", str(fact))
    trace = (await api.get(f"/v1/traces/{answer.json()['trace_id']}")).json()
    assert trace["status"] == "settled"
    assert await api.sql("SELECT count(*) AS n FROM memory_facts") == before


async def test_labels_of_what_was_corrected_away_bring_nothing_back(api: Api) -> None:
    """Dallas was wrong; filing it elsewhere does not make it right."""
    dallas = await api.fact("Lives in Dallas", slot="home_city", value="Dallas", said_at=at(2020))
    austin = await corrected(api, dallas, value="Austin")
    before = await believed(api)
    await relabelled(api, dallas, category="work_context", metadata={"a": 1}, reason="misfiled")
    await settle_open(api)
    assert await believed(api) == before
    assert await values(api) == ["Austin"]
    fact = await shown(api, dallas)
    assert (fact["category"], fact["metadata"], fact["status"]) == (
        "work_context",
        {"a": 1},
        "past",
    )
    assert fact["superseded_by"] == austin
    act = (await history(api, dallas))["acts"][-1]
    assert (act["kind"], act["reason"], act["actor"]) == ("correction", "misfiled", "admin")
    assert act["new_fact_id"] is None


async def test_labels_of_what_was_superseded_bring_nothing_back(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2018))
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=at(2020))
    before = await believed(api)
    await relabelled(api, rome, value="Rome", content="Lives in Rome", category="own")
    await settle_open(api)
    assert await believed(api) == before
    assert (await shown(api, rome))["category"] == "own"


async def test_labels_apply_to_facts_that_are_believed_merged_or_on_their_way(api: Api) -> None:
    first = await api.fact("Has a dog, Rex", slot="pet", value="Rex", said_at=at(2018))
    merged = await api.fact("Rex is a dog of theirs", slot="pet", value="Rex", said_at=at(2019))
    answer = await patch(api, merged, {"metadata": {"b": 2}})
    assert answer.json()["fact_id"] == str(first), "the one that stands for both"
    assert await recalled(api, "dog", metadata={"b": 2}) == ["Has a dog, Rex"]
    coming = await api.fact("Likes tea", until="extracted")
    assert (await patch(api, coming, {"category": "own"})).status_code == 202
    await settle_open(api)
    assert (await shown(api, coming))["category"] == "own"
    assert await current(api, category="own") == ["Likes tea"]


async def test_labels_are_taken_back_one_act_at_a_time(api: Api) -> None:
    fact = await api.fact(
        "Lives in Rome", slot="home_city", value="Rome", category="biographical", metadata={"a": 1}
    )
    await relabelled(api, fact, category="one")
    await relabelled(api, fact, category="two", metadata={"b": 2})
    before = await believed(api)
    await undone(api, fact, reason="no")
    found = await shown(api, fact)
    assert (found["category"], found["metadata"]) == ("one", {"a": 1})
    await undone(api, fact)
    found = await shown(api, fact)
    assert (found["category"], found["metadata"]) == ("biographical", {"a": 1})
    assert (await believed(api))[1] == before[1]
    kinds = [act["kind"] for act in (await history(api, fact))["acts"]]
    assert kinds == ["correction", "correction", "undo", "undo"]
    assert code(await api.post(f"/v1/facts/{fact}/undo")) == "conflict"


async def test_an_idempotency_key_labels_once(api: Api) -> None:
    fact = await api.fact("Likes tea")
    key = {"Idempotency-Key": "labels-1"}
    first = await patch(api, fact, {"category": "own"}, headers=key)
    again = await patch(api, fact, {"category": "own"}, headers=key)
    assert [first.json()["status"], again.json()["status"]] == ["accepted", "duplicate"]
    assert first.json()["fact_id"] == again.json()["fact_id"] == str(fact)
    assert first.json()["trace_id"] == again.json()["trace_id"]
    assert len((await history(api, fact))["acts"]) == 1
    other = await patch(api, fact, {"category": "another"}, headers=key)
    assert other.status_code == 409


async def test_what_was_deleted_has_no_labels_to_change(api: Api) -> None:
    fact = await api.fact("Likes tea", metadata={"a": 1})
    await relabelled(api, fact, metadata={"private": "words"})
    await delete(api, fact)
    assert code(await patch(api, fact, {"category": "own"})) == "conflict"
    await undone(api, fact)
    assert (await shown(api, fact))["metadata"] == {"private": "words"}


async def test_other_words_for_what_is_not_believed_do_not_revive_it(api: Api) -> None:
    """In a slot they are kept as words for what holds nowhere; a sentence is not accepted."""
    dallas = await api.fact("Lives in Dallas", slot="home_city", value="Dallas", said_at=at(2020))
    await corrected(api, dallas, value="Austin")
    words = await corrected(api, dallas, content="Has a home in Dallas")
    assert await values(api) == ["Austin"]
    assert (await shown(api, words))["status"] == "past"
    jazz = await api.fact("Loves jazz", said_at=at(2020))
    await corrected(api, jazz, content="Loves blues")
    assert code(await patch(api, jazz, {"content": "loves Jazz!"})) == "conflict"
    assert [each for each in await current(api) if "oves" in each] == ["Loves blues"]
    await api.fact("Loves jazz", said_at=utc_now())
    assert "Loves jazz" in await current(api)


async def test_an_undone_correction_shows_as_taken_back(api: Api) -> None:
    """Its own fact is forgotten: in no list, no timeline, and never "past" without dates."""
    for slot, first, second in (("home_city", "Rome", "Porto"), (None, "Likes tea", "Likes tee")):
        stated = {"slot": slot, "value": first} if slot else {}
        fact = await api.fact(f"It is {first}" if slot else first, said_at=at(2020), **stated)
        said = {"value": second} if slot else {"content": second}
        new = await corrected(api, fact, **said)
        await undone(api, new)
        found = await shown(api, new)
        assert (found["status"], found["content"], found["evidence_count"]) == ("forgotten", "", 0)
        assert (await shown(api, fact))["status"] == "current"
        listed = (await api.get("/v1/users/ana/facts", view="all")).json()["facts"]
        assert new not in [each["id"] for each in listed]
        assert second not in str((await api.get("/v1/users/ana/timeline")).json())
        known = (
            await api.get("/v1/users/ana/facts", view="all", known_at=utc_now().isoformat())
        ).json()
        assert new not in [each["id"] for each in known["facts"]]
        acts = [act["kind"] for act in (await history(api, new))["acts"]]
        assert acts == ["correction", "undo"]
        assert (await patch(api, new, {"category": "own"})).status_code == 409
