"""A user exported and imported is the same user: the same beliefs, under the same ids, found as before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.integration.test_gateway_app import Api, code, serve
from tests.pipeline.harness import Pipeline

QUESTIONS = ("Where does she live?", "What does she like?", "jazz", "sister", "work")
SAID = (
    ("I live in Rome", "2020-01-01T00:00:00Z"),
    ("I moved to Oslo", "2023-05-01T00:00:00Z"),
    ("I love jazz", "2023-05-02T00:00:00Z"),
    ("I really love jazz", "2023-06-02T00:00:00Z"),
    ("I work at Acme", "2024-01-01T00:00:00Z"),
    ("I love swimming in the sea\u2028and tea", "2024-02-01T00:00:00Z"),
    ("My sister lives in Madrid", "2024-03-01T00:00:00Z"),
)
TIMES = {"settled_at", "embedded_at", "compared_at"}


@pytest.fixture
async def api(database_url: str, redis: Redis) -> AsyncIterator[Api]:
    async with serve(database_url, redis) as served:
        yield served


@pytest.fixture
async def pipeline(api: Api, redis: Redis, redis_url: str) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(api.db, redis, redis_url)
    async with pipeline.running():
        yield pipeline


async def lived(api: Api, pipeline: Pipeline) -> None:
    """A user with messages, a stated fact, a correction, a deletion, an erased message, a profile."""
    for number, (content, at) in enumerate(SAID):
        await api.ingest(content=content, timestamp=at, message_id=f"m{number}", session_id="s")
    await api.post("/v1/users/ana/facts", {"content": "Plays chess", "message_id": "f1"})
    gone = (await api.ingest(content="I hate coriander", session_id="t")).json()["chat_log_id"]
    await pipeline.settled()
    assert (await api.client.delete(f"/v1/users/ana/sessions/t/messages/{gone}")).status_code == 200
    facts = {fact["content"]: fact for fact in await every(api)}
    work = next(fact for fact in facts.values() if fact["slot"] == "employer")
    await api.client.patch(f"/v1/facts/{work['id']}", json={"value": "Initech"})
    chess = facts["Plays chess"]
    await api.client.delete(f"/v1/facts/{chess['id']}")
    await pipeline.settled()
    await api.post("/v1/users/ana/consolidate")
    await pipeline.settled()


async def every(api: Api) -> list[dict[str, Any]]:
    answer = await api.get("/v1/users/ana/facts", view="all", limit=100)
    return answer.json()["facts"]


async def state_of(api: Api) -> dict[str, Any]:
    """All that can be asked about the user, without the moments at which stages worked."""
    facts = [{k: v for k, v in fact.items() if k not in TIMES} for fact in await every(api)]
    recalled = {}
    for question in QUESTIONS:
        answer = await api.post("/v1/recall", {"user_id": "ana", "query": question, "limit": 20})
        recalled[question] = [fact["id"] for fact in answer.json()["relevant_facts"]]
    long_ago = await api.get("/v1/users/ana/facts", known_at="2022-01-01T00:00:00Z")
    return {
        "facts": facts,
        "recalled": recalled,
        "timeline": (await api.get("/v1/users/ana/timeline")).json(),
        "conscious": (await api.get("/v1/users/ana/conscious")).json(),
        "messages": (await api.get("/v1/users/ana/sessions/s/messages")).json(),
        "long ago": long_ago.json(),
        "source": (await api.get(f"/v1/facts/{facts[0]['id']}/source")).json(),
        "acts": (await api.get(f"/v1/facts/{facts[0]['id']}/history")).json()["acts"],
    }


async def exported(api: Api) -> list[dict[str, Any]]:
    answer = await api.get("/v1/users/ana/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


async def imported(api: Api, pipeline: Pipeline, lines: list[dict[str, Any]]) -> dict[str, int]:
    """Send lines as the command does: a few at a time, the profile when all facts have settled."""
    counts: dict[str, int] = {}
    rest = [line for line in lines if line["type"] != "profile"]
    chunks = [rest[start : start + 7] for start in range(0, len(rest), 7)]
    profile = [line for line in lines if line["type"] == "profile"]
    for chunk in [*chunks, *([profile] if profile else [])]:
        await pipeline.settled()
        answer = await api.post("/v1/users/ana/import", {"lines": chunk})
        assert answer.status_code == 202, answer.text
        for kind, number in answer.json()["imported"].items():
            counts[kind] = counts.get(kind, 0) + number
    return counts


async def test_what_was_exported_and_erased_comes_back_the_same(
    api: Api, pipeline: Pipeline
) -> None:
    await lived(api, pipeline)
    before = await state_of(api)
    lines = await exported(api)
    assert [lines[0]["type"], lines[-1]["type"]] == ["user", "end"]
    kinds = [line["type"] for line in lines[1:-1]]
    assert lines[-1]["counts"] == {kind: kinds.count(kind) for kind in kinds}
    assert {"message", "session", "act", "fact", "profile", "event"} <= set(kinds)
    assert "coriander" not in json.dumps(lines)
    assert (await api.client.delete("/v1/users/ana")).status_code == 200
    assert (await api.get("/v1/users/ana/export")).status_code == 404
    counts = await imported(api, pipeline, lines)
    assert counts["fact"] == kinds.count("fact")
    assert await state_of(api) == before
    again = await imported(api, pipeline, lines)
    assert again == {}
    assert await state_of(api) == before
    retry = await api.ingest(
        content=SAID[0][0], timestamp=SAID[0][1], message_id="m0", session_id="s"
    )
    assert retry.json()["status"] == "duplicate"
    second = [line for line in await exported(api) if line["type"] in {"message", "act", "verdict"}]
    assert second == [line for line in lines if line["type"] in {"message", "act", "verdict"}]


async def test_what_was_not_extracted_yet_is_extracted_after_an_import(
    api: Api, redis: Redis, redis_url: str
) -> None:
    """The facts have the ids they would have had."""
    pipeline = Pipeline(api.db, redis, redis_url)
    await api.ingest(content="I live in Rome", message_id="m1")
    lines = await exported(api)
    await api.client.delete("/v1/users/ana")
    async with pipeline.running():
        await imported(api, pipeline, lines)
        await pipeline.settled()
        first = await every(api)
        assert [fact["content"] for fact in first] == ["Lives in Rome"]


@pytest.mark.parametrize(
    "lines",
    [
        [{"type": "user", "version": 1, "user_id": "ben", "generation": 1}],
        [{"type": "user", "version": 2, "user_id": "ana", "generation": 1}],
        [{"type": "robot"}],
        [{}],
        [{"type": "message", "id": "x"}],
        [{"type": "fact", "id": 7}],
        [{"type": "session"}],
        [{"type": "session", "session_id": "a\x00b"}],
        [{"type": "session", "session_id": "s"}],
        [],
    ],
)
async def test_what_is_no_export_is_refused_whole(api: Api, lines: list[dict[str, Any]]) -> None:
    answer = await api.post("/v1/users/ana/import", {"lines": lines})
    assert (answer.status_code, code(answer)) == (422, "invalid_request")
    assert await api.sql("SELECT 1 FROM users") == []


async def test_another_generation_is_not_mixed_in(api: Api) -> None:
    line = {"type": "user", "version": 1, "user_id": "ana", "generation": 3}
    assert (await api.post("/v1/users/ana/import", {"lines": [line]})).status_code == 202
    answer = await api.post("/v1/users/ana/import", {"lines": [{**line, "generation": 1}]})
    assert (answer.status_code, code(answer)) == (409, "conflict")


async def test_an_import_needs_an_admin(api: Api) -> None:
    key = await api.key("write")
    line = {"type": "user", "version": 1, "user_id": "ana", "generation": 1}
    answer = await api.post("/v1/users/ana/import", {"lines": [line]}, headers={"X-API-Key": key})
    assert answer.status_code == 403


async def test_a_page_after_the_other_is_all_of_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of two show the same lines as pages of hundreds."""
    for number in range(9):
        await api.ingest(content=f"I like tea {number}", session_id=f"s{number}")
        await api.fact(f"Likes tea {number}")
    whole = await exported(api)
    monkeypatch.setattr("services.gateway.routes.portable._PAGE", 2)
    assert (await exported(api))[1:] == whole[1:]
    assert whole[-1]["counts"]["message"] == 9
    assert whole[-1]["counts"]["event"] == 9
