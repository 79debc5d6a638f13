"""Forgetting over HTTP: facts deleted, messages and sessions erased, and what is left of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.clock import utc_now
from tests.integration.test_gateway_acts import (
    at,
    corrected,
    current,
    delete,
    everywhere,
    history,
    patch,
    settle_open,
    undone,
    values,
)
from tests.integration.test_gateway_app import Api, code, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


# ---- deletions


async def test_why_a_model_decided_does_not_tell_what_was_forgotten(api: Api) -> None:
    """Its reason may repeat the sentence: the neighbour's history keeps the verdict alone."""
    gone, kept = sorted([await api.fact("Loves jazz"), await api.fact("Hates jazz")])
    await api.sql(
        "INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason) "
        "VALUES ('default', 'ana', %(a)s, %(b)s, 'independent', 'm', 'jazz') RETURNING 1 AS one",
        a=gone,
        b=kept,
    )
    [told] = (await history(api, kept))["verdicts"]
    assert (told["reason"], datetime.fromisoformat(told["at"]) <= utc_now()) == ("jazz", True)
    await delete(api, gone)
    [told] = (await history(api, kept))["verdicts"]
    assert (told["verdict"], told["judge"], told["reason"]) == ("independent", "m", "")
    await undone(api, gone)
    [told] = (await history(api, kept))["verdicts"]
    assert told["reason"] == "jazz"


async def test_what_was_deleted_is_gone_everywhere_at_once(api: Api) -> None:
    before = utc_now()
    fact = await api.fact(
        "Lives in Rome", slot="home_city", value="Rome", metadata={"k": "v"}, said_at=at(2020)
    )
    await api.fact("Works at Acme", slot="employer", value="Acme", said_at=at(2020))
    answer = await delete(api, fact, reason="asked to")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["id"], shown["status"], shown["evidence_count"]) == (str(fact), "forgotten", 0)
    assert (shown["content"], shown["value"], shown["metadata"]) == ("", None, None)
    assert "Rome" not in await everywhere(api, "Rome")
    for moment in (before, utc_now()):
        assert "Rome" not in str(await values(api, known_at=moment.isoformat()))
    assert [s["slot"] for s in (await api.get("/v1/users/ana/timeline")).json()["slots"]] == [
        "employer"
    ]
    again = await delete(api, fact)
    assert (again.status_code, again.json()) == (200, shown)
    assert len(await api.sql("SELECT 1 FROM belief_acts")) == 1
    events = (await history(api, fact))["events"]
    assert [event["event"] for event in events] == ["fact.settled", "fact.forgotten"]
    refused = await patch(api, fact, {"value": "Porto"})
    assert (refused.status_code, code(refused)) == (409, "conflict")


async def test_a_later_statement_counts_and_an_older_one_does_not(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    await delete(api, fact)
    await api.fact("Home is Rome", slot="home_city", value="Rome", said_at=at(2021))
    assert await values(api) == []
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=utc_now())
    assert await values(api) == ["Rome"]


async def test_what_says_the_same_is_deleted_with_it(api: Api) -> None:
    first = await api.fact("Drinks tea", said_at=at(2020))
    same = await api.fact("Is a tea drinker", said_at=at(2021), until="embedded")
    low, high = sorted((first, same))
    await api.sql(
        "INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason) "
        "VALUES ('default', 'ana', %(a)s, %(b)s, 'duplicate', 'guards', 'same words')",
        a=low,
        b=high,
    )
    await settle_open(api)
    assert await current(api) == ["Drinks tea"]
    await delete(api, same)
    assert await current(api, view="all") == []
    await undone(api, first)
    assert await current(api) == ["Drinks tea"]
    assert (await api.get(f"/v1/facts/{same}")).json()["status"] == "merged"


async def test_a_fact_on_its_way_can_be_deleted_and_restored(api: Api) -> None:
    for state in ("extracted", "embedded"):
        fact = await api.fact(f"Likes {state} tea", until=state)
        assert (await delete(api, fact)).json()["status"] == "forgotten"
        assert await current(api, view="all") == []
        assert [e["event"] for e in (await history(api, fact))["events"]] == ["fact.forgotten"]
        await settle_open(api)
        assert await current(api, view="all") == []
        await undone(api, fact)
        assert await current(api) == [f"Likes {state} tea"]
        await delete(api, fact)
    fact = await api.fact("Likes jam", until="extracted")
    await delete(api, fact)
    assert (await undone(api, fact))["status"] is None
    await settle_open(api)
    assert await current(api) == ["Likes jam"]


async def test_a_statement_without_a_value_is_deleted_alone(api: Api) -> None:
    message = (await api.ingest(content="We divorced; I like jam")).json()["chat_log_id"]
    sources = (UUID(message),)
    await api.fact("Is with Ana", slot="partner", value="Ana", said_at=at(2015))
    ended = await api.fact(
        "Divorced", slot="partner", claim="ends", said_at=at(2022), sources=sources
    )
    await api.fact("Likes jam", said_at=at(2022), sources=sources)
    assert await values(api, as_of=at(2023).isoformat()) == []
    await delete(api, ended)
    assert await values(api, as_of=at(2023).isoformat()) == ["Ana"]
    assert set(await current(api)) == {"Is with Ana", "Likes jam"}
    stated = await api.fact("Left", slot="partner", claim="ends", said_at=at(2024))
    await delete(api, stated)
    assert await values(api, as_of=utc_now().isoformat()) == ["Ana"]


async def test_forgetting_what_has_no_value_hides_nothing_else_on_its_way(api: Api) -> None:
    sources = (UUID((await api.ingest(content="Bea, then nobody")).json()["chat_log_id"]),)
    both = {"slot": "partner", "sources": sources, "until": "extracted", "said_at": at(2022)}
    ended = await api.fact("Is alone", claim="ends", **both)
    bea = await api.fact("Was with Bea", value="Bea", **both)
    await delete(api, ended)
    assert await current(api, view="all") == ["Was with Bea"]
    await settle_open(api)
    assert [e["event"] for e in (await history(api, bea))["events"]] == ["fact.settled"]


async def test_deleting_a_correction_does_not_bring_back_what_it_denied(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2020))
    new = await corrected(api, rome, value="Porto")
    await delete(api, new)
    assert await values(api) == []
    await undone(api, new)
    assert await values(api) == ["Porto"]
    await undone(api, new)
    assert await values(api) == ["Rome"]


async def test_many_deletions_at_once_are_one(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    answers = await asyncio.gather(*(delete(api, fact) for _ in range(6)))
    assert {(a.status_code, a.json()["status"]) for a in answers} == {(200, "forgotten")}
    assert len(await api.sql("SELECT DISTINCT deed FROM belief_acts")) == 1


# ---- messages


async def said(api: Api, content: str, **more: Any) -> UUID:
    return UUID((await api.ingest(content=content, **more)).json()["chat_log_id"])


async def test_forgetting_a_message_takes_what_rests_on_it_alone(api: Api) -> None:
    first = await said(api, "I live in Rome, secretly", session_id="s", message_id="m1")
    second = await said(api, "Rome, I said, and I like jam", session_id="s", message_id="m2")
    alone = await api.fact(
        "Lives in Rome", slot="home_city", value="Rome", sources=(first,), said_at=at(2020)
    )
    both = await api.fact("Likes jam", sources=(first, second), said_at=at(2021))
    path = f"/v1/users/ana/sessions/s/messages/{first}"
    answer = await api.client.delete(path, params={"reason": "GDPR"})
    assert (answer.status_code, answer.json()) == (200, {"messages": 1, "facts": 1})
    assert await current(api, view="all") == ["Likes jam"]
    assert "secretly" not in await everywhere(api, "secretly")
    [row] = await api.sql("SELECT * FROM memory_facts WHERE id = %(id)s", id=alone)
    assert (row["content"], row["value"], row["quote"], row["value_key"]) == ("", None, None, None)
    assert await api.sql("SELECT 1 FROM fact_vectors WHERE fact_id = %(id)s", id=alone) == []
    listed = (await api.get("/v1/users/ana/sessions/s/messages")).json()["messages"]
    assert [m["message_id"] for m in listed] == ["m2"]
    source = (await api.get(f"/v1/facts/{both}/source")).json()
    assert [m["message_id"] for m in source["messages"]] == ["m2"]
    assert [(a["kind"], a["reason"]) for a in (await history(api, alone))["acts"]] == [
        ("erasure", "GDPR")
    ]
    undo = await api.post(f"/v1/facts/{alone}/undo", {})
    assert (undo.status_code, code(undo)) == (409, "conflict")
    again = await api.client.delete(path)
    assert (again.status_code, again.json()) == (200, {"messages": 0, "facts": 0})
    duplicate = await api.ingest(
        content="I live in Rome, secretly", session_id="s", message_id="m1"
    )
    assert duplicate.json()["status"] == "duplicate"
    rest = await api.client.delete(f"/v1/users/ana/sessions/s/messages/{second}")
    assert rest.json() == {"messages": 1, "facts": 1}, "now nothing is left of what it rested on"


async def test_forgetting_a_session(api: Api) -> None:
    await said(api, "I like tea", session_id="s1")
    kept = await said(api, "I like jam", session_id="s2")
    for row in await api.sql("SELECT id, content FROM chat_logs"):
        await api.fact(row["content"].replace("I like", "Likes"), sources=(row["id"],))
    path = "/v1/users/ana/sessions/s1/messages"
    assert (await api.client.delete(path)).json() == {"messages": 1, "facts": 1}
    assert await current(api, view="all") == ["Likes jam"]
    assert (await api.client.delete(path)).json() == {"messages": 0, "facts": 0}
    [row] = await api.sql("SELECT content FROM chat_logs WHERE id = %(id)s", id=kept)
    assert row["content"] == "I like jam"


async def test_unknown_sessions_and_messages_are_not_found(api: Api) -> None:
    message = await said(api, "I like tea", session_id="s")
    stranger = {"X-API-Key": await api.key("admin", tenant="other")}
    for path, headers in (
        ("/v1/users/ana/sessions/none/messages", None),
        ("/v1/users/bob/sessions/s/messages", None),
        (f"/v1/users/ana/sessions/s/messages/{uuid4()}", None),
        (f"/v1/users/ana/sessions/none/messages/{message}", None),
        ("/v1/users/ana/sessions/s/messages/nonsense", None),
        (f"/v1/users/ana/sessions/s/messages/{message}", stranger),
    ):
        answer = await api.client.delete(path, headers=headers)
        assert (answer.status_code, code(answer)) == (404, "not_found"), path
    [row] = await api.sql("SELECT content FROM chat_logs")
    assert row["content"] == "I like tea"


async def test_what_models_answered_is_scrubbed(api: Api) -> None:
    first, second = await said(api, "one", session_id="s"), await said(api, "two", session_id="s")
    facts = [
        {"content": "Knows one", "source_message_ids": [str(first)]},
        {"content": "Knows two", "source_message_ids": [str(second)]},
        {"content": "Knows nothing"},
    ]
    await api.sql(
        "INSERT INTO extractions (tenant_id, user_id, id, session_id, state, lease_until, worker, "
        "answer) VALUES ('default', 'ana', %(id)s, 's', 'done', now(), 'w', %(answer)s::jsonb)",
        id=first,
        answer=json.dumps({"facts": facts}),
    )
    await api.sql("UPDATE chat_logs SET state = 'extracted', extraction_id = %(id)s", id=first)
    await api.client.delete(f"/v1/users/ana/sessions/s/messages/{first}")
    [row] = await api.sql("SELECT answer FROM extractions")
    assert row["answer"] == {"facts": [facts[1]]}


async def test_a_strange_reason_is_refused(api: Api) -> None:
    fact = await api.fact("Lives in Rome", slot="home_city", value="Rome")
    await said(api, "I like tea", session_id="s")
    for path in (f"/v1/facts/{fact}", "/v1/users/ana/sessions/s/messages"):
        for query in ("reason=%00", "reason=", f"reason={'x' * 2001}", "why=x"):
            answer = await api.client.delete(f"{path}?{query}")
            assert (answer.status_code, code(answer)) == (422, "invalid_request"), query
    assert await values(api) == ["Rome"]
