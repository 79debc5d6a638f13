"""Operators' acts over HTTP: corrections and what takes them back, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.embedder import store as embedder_store
from services.superseder.store import settle
from shared.broker import connect_redis
from shared.clock import utc_now
from shared.failures.store import RowRef
from shared.spaces.embedders import Embedders
from tests.fakes.embedder import HashEmbedder
from tests.integration.test_gateway_app import Api, code, eventually, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


async def settle_open(api: Api) -> None:
    """Move what is open through the stages."""
    rows = await api.sql("SELECT * FROM memory_facts WHERE state <> 'settled'")
    for row in rows:
        ref = RowRef(row["tenant_id"], row["user_id"], row["id"])
        vectors = {HashEmbedder.model: await HashEmbedder().embed([row["content"]])}
        text = embedder_store.Text(ref, row["content"])
        spaces = await Embedders(api.db, HashEmbedder()).read()
        await embedder_store.save_vectors(api.db, spaces, [text], vectors)
        await api.sql(
            "UPDATE memory_facts SET state = 'compared', compared_at = now() WHERE id = %(id)s",
            id=row["id"],
        )
        await settle(api.db, [[ref]])


async def patch(api: Api, fact: Any, body: Any, **more: Any) -> Any:
    return await api.client.patch(f"/v1/facts/{fact}", json=body, **more)


async def corrected(api: Api, fact: Any, **body: Any) -> str:
    """Correct a fact and let it settle; returns the new fact's id."""
    answer = await patch(api, fact, body)
    assert answer.status_code == 202, answer.text
    await settle_open(api)
    return answer.json()["fact_id"]


async def delete(api: Api, fact: Any, **query: Any) -> Any:
    return await api.client.delete(f"/v1/facts/{fact}", params=query)


async def undone(api: Api, fact: Any, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/v1/facts/{fact}/undo", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def current(api: Api, **query: Any) -> list[str]:
    facts = (await api.get("/v1/users/ana/facts", **query)).json()["facts"]
    return [fact["content"] for fact in facts]


async def recalled(api: Api, query: str, **more: Any) -> list[str]:
    answer = await api.post("/v1/recall", {"user_id": "ana", "query": query, "limit": 50, **more})
    assert answer.status_code == 200, answer.text
    return [fact["content"] for fact in answer.json()["relevant_facts"]]


async def values(api: Api, **query: Any) -> list[str]:
    slots = (await api.get("/v1/users/ana/timeline", **query)).json()["slots"]
    return [interval["value"] for slot in slots for interval in slot["intervals"]]


async def history(api: Api, fact: Any) -> dict[str, Any]:
    return (await api.get(f"/v1/facts/{fact}/history")).json()


async def everywhere(api: Api, words: str) -> str:
    """All that any route shows of a user, as one text."""
    shown = [
        await api.get("/v1/users/ana/facts", view="all", limit=100),
        await api.get("/v1/users/ana/timeline"),
        await api.get("/v1/users/ana/facts", view="all", limit=100, known_at=utc_now().isoformat()),
        await api.post("/v1/recall", {"user_id": "ana", "query": words, "view": "all"}),
        await api.get("/v1/users/ana/conscious"),
    ]
    rows = await api.sql("SELECT id FROM memory_facts")
    shown += [await api.get(f"/v1/facts/{row['id']}") for row in rows]
    shown += [await api.get(f"/v1/facts/{row['id']}/source") for row in rows]
    shown += [await api.get(f"/v1/facts/{row['id']}/history") for row in rows]
    return "\n".join(answer.text for answer in shown)


# ---- corrections


async def test_a_correction_takes_the_place_of_what_was_said(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    answer = await patch(api, rome, {"value": "Porto", "reason": "wrote to support"})
    assert answer.status_code == 202
    accepted = answer.json()
    assert set(accepted) == {"status", "fact_id", "trace_id"}
    assert accepted["status"] == "accepted"
    assert await current(api) == ["Lives in Rome"], "until the correction has settled"
    trace = (await api.get(f"/v1/traces/{accepted['trace_id']}")).json()
    assert (trace["status"], [f["id"] for f in trace["facts"]]) == ("open", [accepted["fact_id"]])
    await settle_open(api)
    [fact] = (await api.get("/v1/users/ana/facts")).json()["facts"]
    expected = {
        "id": accepted["fact_id"],
        "content": "Lives in Porto",
        "value": "Porto",
        "slot": "home_city",
        "status": "current",
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_to": None,
        "speaker": "operator",
        "source_message_ids": [],
        "confidence": 1.0,
    }
    assert {name: fact[name] for name in expected} == expected
    assert await recalled(api, "lives in") == ["Lives in Porto"]
    assert await values(api) == ["Porto"]
    old = (await api.get(f"/v1/facts/{rome}")).json()
    assert (old["status"], old["superseded_by"]) == ("past", accepted["fact_id"])


async def test_a_correction_wins_until_the_user_says_something_later(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await corrected(api, rome, value="Porto")
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2022))
    assert await values(api) == ["Porto"], "an old chat, imported afterwards"
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=utc_now())
    assert (await values(api))[-1] == "Rome"
    assert await current(api) == ["Lives in Rome"]


async def test_words_and_labels_are_corrected_too(api: Api) -> None:
    fact = await api.fact(
        "Has a dog, Rex", slot="pet", value="Rex", metadata={"a": 1}, category="biographical"
    )
    other = await api.fact("Has a cat, Milo", slot="pet", value="Milo")
    new = await corrected(
        api, fact, category="relationship", metadata={"b": 2}, content="Rex is a dog of theirs"
    )
    shown = (await api.get(f"/v1/facts/{new}")).json()
    assert (shown["category"], shown["metadata"]) == ("relationship", {"b": 2})
    assert (shown["content"], shown["value"]) == ("Rex is a dog of theirs", "Rex")
    old = (await api.get(f"/v1/facts/{fact}")).json()
    assert (old["status"], old["superseded_by"]) == ("past", new)
    assert (await api.get(f"/v1/facts/{other}")).json()["status"] == "current"
    assert await recalled(api, "dog", metadata={"b": 2}) == ["Rex is a dog of theirs"]


async def test_a_second_correction_of_one_fact_replaces_the_first(api: Api) -> None:
    for slot, first, words in (("pet", "Rex", "Max"), ("home_city", "Rome", "Oslo")):
        fact = await api.fact(f"It is {first}", slot=slot, value=first, said_at=at(2020))
        await corrected(api, fact, value=words)
        await corrected(api, fact, value=f"New {words}")
        assert await values(api, slot=slot) == [f"New {words}"]
    sentence = await api.fact("Likes tea", said_at=at(2020))
    await corrected(api, sentence, content="Likes black tea")
    await corrected(api, sentence, content="Likes green tea")
    assert [c for c in await current(api) if "tea" in c] == ["Likes green tea"]


async def test_a_correction_can_be_corrected(api: Api) -> None:
    fact = await api.fact("Likes tea", said_at=at(2020))
    new = await corrected(api, fact, content="Likes black tea")
    newest = await corrected(api, new, content="Likes white tea")
    assert await current(api) == ["Likes white tea"]
    shown = (await api.get(f"/v1/facts/{newest}")).json()
    assert shown["valid_from"] == "2020-01-01T00:00:00Z"
    await undone(api, newest)
    assert await current(api) == ["Likes black tea"]
    await undone(api, fact)
    assert await current(api) == ["Likes tea"]


async def test_a_sentence_is_replaced_and_counts_again_when_said_again(api: Api) -> None:
    old = await api.fact("Hates olives", category="user_preference", said_at=at(2021))
    new = await corrected(api, old, content="Hates capers", reason="misheard")
    assert await current(api) == ["Hates capers"]
    assert await current(api, as_of=at(2022).isoformat()) == ["Hates capers"]
    shown = (await api.get(f"/v1/facts/{old}")).json()
    assert (shown["status"], shown["superseded_by"]) == ("past", new)
    imported = await api.fact("Hates olives", said_at=at(2022))
    assert await current(api) == ["Hates capers"]
    assert (await api.get(f"/v1/facts/{imported}")).json()["superseded_by"] == new
    await api.fact("Hates olives", said_at=utc_now())
    assert set(await current(api)) == {"Hates capers", "Hates olives"}


async def test_what_says_the_same_is_corrected_with_it(api: Api) -> None:
    first = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    same = await api.fact("Home is Rome", slot="home_city", value="rome", said_at=at(2021))
    await corrected(api, same, value="Porto")
    [fact] = (await api.get("/v1/users/ana/facts")).json()["facts"]
    assert (fact["content"], fact["valid_from"]) == ("Lives in Porto", "2020-01-01T00:00:00Z")
    for fact in (first, same):
        told = await history(api, fact)
        assert [act["kind"] for act in told["acts"]] == ["correction"]
        assert "fact.corrected" in [event["event"] for event in told["events"]]
    await undone(api, same)
    assert await values(api) == ["Rome"]


async def test_words_that_contradict_the_value_are_refused(api: Api) -> None:
    city = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    ended = await api.fact("Left the job", slot="employer", value="Acme", claim="ends")
    tea = await api.fact("Likes tea")
    for fact, body, field in (
        (city, {"content": "Lives in Porto"}, "value"),
        (tea, {"value": "coffee"}, "value"),
        (ended, {"value": "Initech"}, "content"),
        (city, {}, "body"),
        (city, {"reason": "none"}, "body"),
        (city, {"value": ""}, "value"),
        (city, {"value": "\x00"}, "value"),
        (city, {"value": None}, "body"),
        (city, {"slot": "employer"}, "slot"),
        (tea, {"content": "My password is hunter2x9"}, "content"),
        (city, {"value": "4111 1111 1111 1111"}, "value"),
        (city, {"metadata": {"a": "x" * 5000}}, "metadata"),
        (city, {"content": "x" * 2001, "value": "x"}, "content"),
        (city, {"value": "Oslo", "reason": "x" * 2001}, "reason"),
    ):
        answer = await patch(api, fact, body)
        assert (answer.status_code, code(answer)) == (422, "invalid_request"), body
        assert answer.json()["error"]["details"][0]["field"] == field, body
    assert await api.sql("SELECT 1 FROM belief_acts") == []
    malformed = await api.client.patch(f"/v1/facts/{city}", content=b"{")
    assert (malformed.status_code, code(malformed)) == (400, "invalid_json")


async def test_a_value_is_put_where_the_old_one_stood(api: Api) -> None:
    for content, value, new, expected in (
        ("Moved to rome in May", "Rome", "Porto", "Moved to Porto in May"),
        ("A Roman at heart", "Rome", r"\1 Porto", r"Home city: \1 Porto"),
        ("Met Romeo in Rome", "Rome", "Oslo", "Met Romeo in Oslo"),
    ):
        fact = await api.fact(content, slot="home_city", value=value, user=str(uuid4()))
        new_id = await corrected(api, fact, value=new)
        assert (await api.get(f"/v1/facts/{new_id}")).json()["content"] == expected
    sara = await api.fact("She is at home there", subject="Sara", slot="home_city", value="Oslo")
    new_id = await corrected(api, sara, value="Bergen")
    shown = (await api.get(f"/v1/facts/{new_id}")).json()
    assert shown["content"] == "Sara's home city: Bergen"


async def test_an_idempotency_key_makes_one_correction(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    headers = {"Idempotency-Key": "k1"}
    body = {"value": "Porto"}
    answers = await asyncio.gather(*(patch(api, fact, body, headers=headers) for _ in range(5)))
    assert sorted(a.json()["status"] for a in answers) == ["accepted"] + ["duplicate"] * 4
    assert len({(a.json()["fact_id"], a.json()["trace_id"]) for a in answers}) == 1
    assert len(await api.sql("SELECT 1 FROM belief_acts")) == 1
    other = await patch(api, fact, {"value": "Oslo"}, headers=headers)
    assert (other.status_code, code(other)) == (409, "conflict")
    wrong = await patch(api, fact, body, headers={"Idempotency-Key": ""})
    assert (wrong.status_code, code(wrong)) == (422, "invalid_request")
    refused = await patch(api, fact, {"content": "x"}, headers={"Idempotency-Key": "k2"})
    assert refused.status_code == 422
    again = await patch(api, fact, {"value": "Oslo"}, headers={"Idempotency-Key": "k2"})
    assert again.status_code == 202, "what was refused has not used the key up"


async def test_two_corrections_at_once_leave_the_later_one(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    cities = ("Porto", "Oslo", "Bonn", "Lyon")
    answers = await asyncio.gather(*(patch(api, fact, {"value": city}) for city in cities))
    assert {a.status_code for a in answers} == {202}
    await settle_open(api)
    [last] = await api.sql("SELECT value FROM belief_acts ORDER BY acted_at DESC, id DESC LIMIT 1")
    assert await values(api) == [last["value"]]
    assert len(await current(api)) == 1


async def test_unknown_and_foreign_facts_are_not_found(api: Api) -> None:
    mine = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    stranger = {"X-API-Key": await api.key("admin", tenant="other")}
    for fact, headers in ((uuid4(), None), ("nonsense", None), (mine, stranger)):
        for answer in (
            await patch(api, fact, {"value": "Porto"}, headers=headers),
            await api.client.delete(f"/v1/facts/{fact}", headers=headers),
            await api.post(f"/v1/facts/{fact}/undo", {}, headers=headers),
        ):
            assert (answer.status_code, code(answer)) == (404, "not_found")
    assert await values(api) == ["Rome"]


async def test_acts_need_a_key_that_may_write(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    headers = {"X-API-Key": await api.key("read")}
    for method, path, body in (
        ("PATCH", f"/v1/facts/{fact}", {"value": "Oslo"}),
        ("DELETE", f"/v1/facts/{fact}", None),
        ("POST", f"/v1/facts/{fact}/undo", {}),
        ("DELETE", "/v1/users/ana/sessions/default/messages", None),
        ("DELETE", f"/v1/users/ana/sessions/default/messages/{uuid4()}", None),
        ("POST", "/v1/users/ana/consolidate", None),
    ):
        answer = await api.client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, code(answer)) == (403, "forbidden"), path


# ---- undo


async def test_undo_takes_back_the_last_act_and_the_history_keeps_both(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    headers = {"X-API-Key": await api.key("write", name="support")}
    answer = await patch(api, rome, {"value": "Porto", "reason": "letter"}, headers=headers)
    await settle_open(api)
    between = utc_now()
    new = answer.json()["fact_id"]
    undo = await api.post(f"/v1/facts/{rome}/undo", {"reason": "other person"})
    assert (undo.status_code, undo.json()["status"]) == (200, "current")
    assert await values(api) == ["Rome"]
    assert (await api.get(f"/v1/facts/{new}")).json()["status"] == "forgotten"
    assert await values(api, known_at=between.isoformat()) == ["Porto"]
    assert await current(api, known_at=between.isoformat()) == ["Lives in Porto"]
    assert await recalled(api, "lives", known_at=between.isoformat()) == ["Lives in Porto"]
    for fact in (rome, new):
        acts = (await history(api, fact))["acts"]
        told = [(a["kind"], a["reason"], a["fact_id"]) for a in acts]
        assert told == [("correction", "letter", str(rome)), ("undo", "other person", str(rome))]
        assert acts[0]["actor"].startswith("support (")
        assert (acts[0]["new_fact_id"], acts[1]["undoes"]) == (new, acts[0]["id"])
        assert acts[1]["actor"] == "admin"
        assert acts[0]["at"] < acts[1]["at"]
    events = (await history(api, rome))["events"]
    told = {e["event"]: e["data"] for e in events}
    assert told["fact.corrected"]["by"] == new
    assert told["fact.corrected"]["reason"] == "letter"
    assert told["fact.restored"]["actor"] == "admin"
    nothing = await api.post(f"/v1/facts/{rome}/undo")
    assert (nothing.status_code, code(nothing)) == (409, "conflict")


async def test_undo_of_a_deletion_restores_all_it_forgot(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2021))
    before = utc_now()
    await delete(api, rome)
    between = utc_now()
    assert (await undone(api, rome))["content"] == "Lives in Rome"
    [fact] = (await api.get("/v1/users/ana/facts")).json()["facts"]
    assert fact["evidence_count"] == 2
    assert await values(api, known_at=before.isoformat()) == ["Rome"]
    assert await values(api, known_at=between.isoformat()) == []
    events = [e["event"] for e in (await history(api, rome))["events"]]
    assert events[-2:] == ["fact.forgotten", "fact.restored"]
    await delete(api, rome)
    assert await values(api) == []


async def test_undo_honours_an_idempotency_key(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await corrected(api, rome, value="Porto")
    await corrected(api, rome, value="Oslo")
    headers = {"Idempotency-Key": "u1"}
    for _ in range(3):
        answer = await api.post(f"/v1/facts/{rome}/undo", {}, headers=headers)
        assert answer.status_code == 200
    assert await values(api) == ["Porto"]
    strange = await api.post(f"/v1/facts/{rome}/undo", {"why": "x"})
    assert (strange.status_code, code(strange)) == (422, "invalid_request")


async def test_undo_before_the_correction_has_settled(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await patch(api, rome, {"value": "Porto"})
    await undone(api, rome)
    await settle_open(api)
    assert await values(api) == ["Rome"]
    assert await current(api) == ["Lives in Rome"]


# ---- told to others


async def test_acts_are_told_on_the_public_stream(database_url: str, redis_url: str) -> None:
    redis = connect_redis(redis_url)
    async with serve(database_url, redis) as api:
        fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
        await patch(api, fact, {"value": "Porto"})
        await settle_open(api)
        await undone(api, fact)
        await delete(api, fact)

        async def told() -> list[bytes]:
            entries = await redis.xrange("memoire:facts:settled")
            mine = [f[b"event"] for _, f in entries if f[b"fact_id"] == str(fact).encode()]
            return mine if b"fact.forgotten" in mine else []

        assert await eventually(told) == [b"fact.corrected", b"fact.restored", b"fact.forgotten"]
    await redis.aclose()


async def test_a_user_that_somebody_else_has_is_waited_for(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    async with api.db.everyone.transaction() as tx:
        await tx.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended("
            "'beliefs' || chr(31) || 'default' || chr(31) || 'ana', 0))"
        )
        waiting = asyncio.create_task(delete(api, fact))
        accepted = await patch(api, fact, {"value": "Porto"})
        assert accepted.status_code == 202, "a correction waits for nobody"
        assert not waiting.done()
    assert (await waiting).json()["status"] == "forgotten"
