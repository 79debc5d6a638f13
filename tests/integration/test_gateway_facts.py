"""Facts as callers see them: stated, listed, read one by one, on a timeline."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.gateway.schemas import Fact
from tests.integration.test_gateway_app import Api, code, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


async def _facts(api: Api, **query: Any) -> list[dict[str, Any]]:
    return (await api.get("/v1/users/ana/facts", **query)).json()["facts"]


async def test_a_fact_has_every_public_field(api: Api) -> None:
    row = await api.fact(
        "Moved to Lisbon in May",
        slot="city",
        value="Lisbon",
        occurred_at="2020-05",
        said_at=at(2021),
        metadata={"channel": "web"},
        confidence=0.9,
    )
    fact = (await api.get(f"/v1/facts/{row}")).json()
    assert set(fact) == set(Fact.model_fields)
    expected = {
        "slot": "home_city",
        "value": "Lisbon",
        "category": "biographical",
        "subject": "user",
        "occurred_at": "2020-05",
        "ended_at": None,
        "time_precision": "month",
        "state": "settled",
        "status": "current",
        "canonical_id": str(row),
        "evidence_count": 1,
        "essential": False,
        "metadata": {"channel": "web"},
        "user_id": "ana",
        "claim": "holds",
        "valid_to": None,
        "valid_from": "2020-05-01T00:00:00Z",
        "said_at": "2021-01-01T00:00:00Z",
    }
    assert {name: fact[name] for name in expected} == expected
    assert fact["confidence"] == pytest.approx(0.9)
    assert [fact] == await _facts(api)


@pytest.mark.parametrize("field", ["occurred_at", "ended_at"])
@pytest.mark.parametrize(
    "text", ["9999", "0001-01-01", "0999-12", "2200", "9999-12-31T23:59:59Z", "2026-W54"]
)
async def test_times_of_which_nobody_can_tell_are_refused(api: Api, field: str, text: str) -> None:
    answer = await api.post("/v1/users/ana/facts", {"content": "Lives in Rome", field: text})
    assert (answer.status_code, code(answer)) == (422, "invalid_request")
    [detail] = answer.json()["error"]["details"]
    assert detail["field"] == field


async def test_a_stretch_cannot_end_before_it_begins(api: Api) -> None:
    body = {"content": "Worked at Acme", "occurred_at": "2019", "ended_at": "2015"}
    answer = await api.post("/v1/users/ana/facts", body)
    assert (answer.status_code, code(answer)) == (422, "invalid_request")
    assert answer.json()["error"]["details"][0]["field"] == "ended_at"
    within = await api.post("/v1/users/ana/facts", {**body, "ended_at": "2019-02"})
    assert within.status_code == 202


@pytest.mark.parametrize(
    ("written", "shown", "precision"),
    [("2026-W18", "2026-04", "week"), ("2023~", "2023", "years"), ("2026-04~", "2026-04", "month")],
)
async def test_vague_times_are_shown_no_more_precisely_than_they_are_known(
    api: Api, written: str, shown: str, precision: str
) -> None:
    row = await api.fact("Lives in Rome", slot="home_city", value="Rome", occurred_at=written)
    fact = (await api.get(f"/v1/facts/{row}")).json()
    assert (fact["occurred_at"], fact["time_precision"]) == (shown, precision)


async def test_the_current_view_shows_what_holds_or_is_planned(api: Api) -> None:
    old = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2018))
    new = await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon", said_at=at(2020))
    same = await api.fact("Home is Lisbon", slot="home_city", value="Lisbon", said_at=at(2021))
    plan = await api.fact(
        "Will work for Acme",
        slot="employer",
        value="Acme",
        temporal_state="future",
        said_at=at(2024),
    )
    open_ = await api.fact("Likes tea", until="extracted", said_at=at(2025))
    assert [f["id"] for f in await _facts(api)] == [str(plan), str(new)]
    everything = {UUID(f["id"]): f for f in await _facts(api, view="all")}
    assert {row: f["status"] for row, f in everything.items()} == {
        old: "past",
        new: "current",
        same: "merged",
        plan: "planned",
        open_: None,
    }
    assert everything[old]["superseded_by"] == str(new)
    assert everything[old]["valid_to"] == "2020-01-01T00:00:00Z"
    assert everything[same]["canonical_id"] == str(new)
    assert everything[new]["evidence_count"] == 2


async def test_facts_are_filtered_and_paged(api: Api) -> None:
    for year in range(2010, 2017):
        await api.fact(f"Learnt thing {year}", category="learning", said_at=at(year))
    await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon", said_at=at(2020))
    seen, cursor = [], None
    while True:
        query = {"limit": 3, "category": "learning"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/users/ana/facts", **query)).json()
        seen += [fact["content"] for fact in page["facts"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [f"Learnt thing {year}" for year in range(2016, 2009, -1)]
    for name in ("home_city", "City", "home city"):
        assert len(await _facts(api, slot=name)) == 1, name
    assert await _facts(api, slot="employer") == []


async def test_users_are_listed_by_page(api: Api) -> None:
    for user in ("carl", "ana", "bob"):
        await api.ingest(content="hi", user_id=user)
    page = (await api.get("/v1/users", limit=2)).json()
    rest = (await api.get("/v1/users", limit=2, cursor=page["next_cursor"])).json()
    assert [user["user_id"] for user in page["users"] + rest["users"]] == ["ana", "bob", "carl"]
    assert rest["next_cursor"] is None


async def test_only_the_generation_that_counts_is_shown(api: Api) -> None:
    await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    await api.sql("UPDATE users SET generation = 2")
    assert await _facts(api, view="all") == []
    assert (await api.get("/v1/users/ana/timeline")).json() == {"slots": []}
    recalled = await api.post("/v1/recall", {"user_id": "ana", "query": "Lisbon", "view": "all"})
    assert recalled.json()["relevant_facts"] == []


async def test_the_timeline_is_the_fold(api: Api) -> None:
    rome = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2018))
    lisbon = await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon", said_at=at(2020))
    again = await api.fact("Lives in Lisbon", slot="home_city", value="lisbon", said_at=at(2022))
    await api.fact("Sara lives in Oslo", subject="Sara", slot="home_city", value="Oslo")
    await api.fact("Works for Acme", slot="employer", value="Acme")
    answer = (await api.get("/v1/users/ana/timeline", slot="city", subject="user")).json()
    assert answer == {
        "slots": [
            {
                "subject": "user",
                "slot": "home_city",
                "cardinality": "one",
                "intervals": [
                    {
                        "value": "Rome",
                        "fact_id": str(rome),
                        "evidence": [str(rome)],
                        "valid_from": "2018-01-01T00:00:00Z",
                        "valid_to": "2020-01-01T00:00:00Z",
                    },
                    {
                        "value": "Lisbon",
                        "fact_id": str(lisbon),
                        "evidence": [str(lisbon), str(again)],
                        "valid_from": "2020-01-01T00:00:00Z",
                        "valid_to": None,
                    },
                ],
            }
        ]
    }
    whole = (await api.get("/v1/users/ana/timeline")).json()["slots"]
    assert [(s["subject"], s["slot"]) for s in whole] == [
        ("Sara", "home_city"),
        ("user", "employer"),
        ("user", "home_city"),
    ]


async def test_a_fact_says_where_it_came_from_and_what_became_of_it(api: Api) -> None:
    sent = (await api.ingest(content="I live in Lisbon", message_id="m7")).json()
    source = (UUID(sent["chat_log_id"]),)
    row = await api.fact(
        "Lives in Lisbon", slot="home_city", value="Lisbon", sources=source, said_at=at(2020)
    )
    same = await api.fact("Home: Lisbon", slot="home_city", value="Lisbon", said_at=at(2021))
    later = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2022))
    came = (await api.get(f"/v1/facts/{row}/source")).json()
    assert set(came) == {"fact_id", "messages", "removed", "quote", "extraction"}
    assert [m["message_id"] for m in came["messages"]] == ["m7"]
    history = (await api.get(f"/v1/facts/{row}/history")).json()
    told = {"fact_id", "generation", "counts", "events", "evidence", "verdicts", "acts"}
    assert set(history) == told
    assert history["events"][0]["event"] == "fact.settled"
    assert history["events"][-1]["data"] == {"by": str(later)}
    assert history["evidence"] == [str(row), str(same)]


# ---- stated facts


async def test_a_fact_can_be_stated_and_a_retry_is_a_duplicate(api: Api) -> None:
    body = {
        "content": "Lives in Lisbon",
        "slot": "city",
        "value": "Lisbon",
        "message_id": "f1",
        "occurred_at": "2020-05",
        "timestamp": "2021-01-01T00:00:00Z",
        "confidence": 0.7,
        "metadata": {"by": "form"},
    }
    first = await api.post("/v1/users/ana/facts", body)
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    assert set(first.json()) == {"status", "fact_id", "trace_id"}
    again = (await api.post("/v1/users/ana/facts", body)).json()
    assert again == {**first.json(), "status": "duplicate"}
    untimed = {k: v for k, v in body.items() if k != "timestamp"}
    assert (await api.post("/v1/users/ana/facts", untimed)).json()["status"] == "duplicate"
    for change in (
        {"content": "Lives in Rome"},
        {"value": "Rome"},
        {"confidence": 0.6},
        {"metadata": None},
        {"occurred_at": "2020-05-01"},
        {"claim": "denies"},
        {"timestamp": "2022-01-01T00:00:00Z"},
    ):
        other = await api.post("/v1/users/ana/facts", {**body, **change})
        assert (other.status_code, code(other)) == (409, "conflict"), change
    [fact] = (await api.get("/v1/users/ana/facts", view="all")).json()["facts"]
    assert (fact["slot"], fact["state"], fact["status"]) == ("home_city", "extracted", None)
    assert fact["said_at"] == "2021-01-01T00:00:00Z"


STRANGE = [
    {"content": "\x00"},
    {"content": "x" * 2001},
    {"content": 1},
    {"slot": "a\x00"},
    {"value": "\ud800"},
    {"confidence": 2},
    {"confidence": "NaN"},
    {"confidence": True},
    {"confidence": "1e999"},
    {"occurred_at": "soon"},
    {"occurred_at": "2020-13"},
    {"occurred_at": "0000"},
    {"occurred_at": "9999-12-31T23:59:59-14:00"},
    {"ended_at": 7},
    {"timestamp": "2020-01-01"},
    {"claim": "maybe"},
    {"temporal_state": "never"},
    {"cardinality": "two"},
    {"metadata": {"a": "x" * 5000}},
    {"generation": 3},
    {"as_of": "2020"},
    {"message_id": "a/b"},
    {"subject": ""},
    {"category": "\x00"},
    {"content": "My password is hunter2x9"},
    {"value": "4111 1111 1111 1111"},
]


async def test_a_strange_statement_is_refused(api: Api) -> None:
    for change in STRANGE:
        body = json.dumps({"content": "Likes tea", **change}).encode()
        answer = await api.client.post("/v1/users/ana/facts", content=body)
        assert (answer.status_code, code(answer)) == (422, "invalid_request"), change
