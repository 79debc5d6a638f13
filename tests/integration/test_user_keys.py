"""Keys of one user: for them nobody else is there, on any route that there is.

The routes come from the app: a new one is asked too, and one whose parameters are new fails here
until it is said what they stand for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute

from tests.integration.test_gateway_app import Api, code, serve

SECRET = "coriander"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
NOBODY = "0197b3c2-7d4e-7000-8000-000000000000"


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def _bobs(api: Api) -> dict[str, str]:
    """Bob's memory, by the names of the routes' parameters."""
    said = await api.ingest(user_id="bob", content=f"I hate {SECRET}", session_id="chat")
    fact = await api.fact(f"Hates {SECRET}", user="bob", slot="allergy", value=SECRET)
    await api.fact(f"Parks at {SECRET}", user="bob", slot="own_spot", value=SECRET)
    key = (await api.post("/v1/keys", {"name": "bob", "user_id": "bob"})).json()
    forgot = (await api.post("/v1/users/bob/forget", {"source": "tool"})).json()
    [letter] = await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,"
        " payload, dead_at) VALUES (gen_random_uuid(), 'extractor', '1', 'default', 5, 'poison',"
        f' \'bad\', \'{{"user_id": "bob", "content": "{SECRET}"}}\', now()) RETURNING id'
    )
    erased = await api.client.delete("/v1/users/bob/sessions/old")
    return {
        "user_id": "bob",
        "session_id": "chat",
        "chat_log_id": said.json()["chat_log_id"],
        "trace": said.json()["trace_id"],
        "fact_id": str(fact),
        "act_id": forgot["act_id"],
        "key_id": key["id"],
        "letter_id": str(letter["id"]),
        "erasure_id": erased.json()["erasure_id"],
        "name": "own_spot",
    }


def nobodys() -> dict[str, str]:
    others = {"user_id": "nobody", "session_id": "none", "trace": UUID(NOBODY).hex, "name": "none"}
    rows = ("act_id", "chat_log_id", "fact_id", "key_id", "letter_id", "erasure_id")
    return dict.fromkeys(rows, NOBODY) | others


def operations(api: Api) -> Iterator[tuple[str, APIRoute, dict[str, Any]]]:
    """Every method of every route, with what the OpenAPI document says of it."""
    document = api.app.openapi()
    for route in _routes(api.app.routes):
        for method in sorted(route.methods & METHODS):
            described = document["paths"].get(route.path_format, {}).get(method.lower(), {})
            yield method, route, _body(document, described)


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif nested := getattr(route, "original_router", None) or getattr(route, "routes", None):
            yield from _routes(getattr(nested, "routes", nested))


def _body(document: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    examples = content.get("examples") or schema.get("examples")
    examples = examples or document["components"]["schemas"].get(name, {}).get("examples")
    if isinstance(examples, dict):
        examples = [each["value"] for each in examples.values()]
    return examples[0] if examples else {}


def about(body: Any, user: str) -> Any:
    """The example, naming this user wherever it names one."""
    if isinstance(body, dict):
        return {k: user if k == "user_id" else about(v, user) for k, v in body.items()}
    return [about(item, user) for item in body] if isinstance(body, list) else body


async def _ask(
    api: Api, key: str, method: str, route: APIRoute, body: Any, ids: Mapping[str, str]
) -> tuple[int, str]:
    path = route.path_format.format(**ids)
    names = {param.alias for param in route.dependant.query_params}
    fields = {
        name
        for param in route.dependant.query_params
        for name in getattr(param.field_info.annotation, "model_fields", {})
    }
    query = {"follow": "false", "after": "0", "user_id": ids["user_id"], "timeout": "0"}
    asked = {name: value for name, value in query.items() if name in names | fields}
    answer = await api.client.request(
        method, path, params=asked, json=about(body, ids["user_id"]), headers={"X-API-Key": key}
    )
    text = answer.text
    for known in ids.values():
        text = text.replace(known, "…")
    return answer.status_code, text


async def _everything_of_bob(api: Api) -> str:
    tables = ("users", "sessions", "chat_logs", "memory_facts", "belief_acts", "events", "jobs")
    found = {
        table: await api.sql(
            f"SELECT to_jsonb(t) AS row FROM {table} t WHERE user_id <> 'ana' ORDER BY to_jsonb(t)"
        )
        for table in tables
    }
    found["keys"] = await api.sql("SELECT id, revoked_at FROM api_keys ORDER BY id")
    return json.dumps(found, default=str)


async def test_on_every_route_another_user_is_not_there(api: Api) -> None:
    """Bob's ids and ids that nobody has get the same answer, and nothing of Bob's is touched."""
    await api.ingest(content="I live in Lisbon")
    bobs, others = await _bobs(api), nobodys()
    keys = {
        scope: (
            await api.post("/v1/keys", {"name": "phone", "scope": scope, "user_id": "ana"})
        ).json()["key"]
        for scope in ("read", "write")
    }
    before = await _everything_of_bob(api)
    asked = 0
    for method, route, body in operations(api):
        if route.path in {"/openapi.json", "/docs"} or "health" in route.path:
            continue
        for scope, key in keys.items():
            his = await _ask(api, key, method, route, body, bobs)
            nobody = await _ask(api, key, method, route, body, others)
            where = (method, route.path, scope, his)
            assert his == nobody, (where, nobody)
            assert his[0] < 500, where
            assert SECRET not in his[1], where
            if "user_id" in route.path or "user_id" in json.dumps(body):
                assert his[0] in {403, 404}, where
            asked += 1
    assert asked >= 50
    assert await _everything_of_bob(api) == before


async def test_what_is_no_example_is_kept_apart_too(api: Api) -> None:
    """Batches that hide one message among many, duplicate names, other spellings of the body."""
    await _bobs(api)
    made = (await api.post("/v1/keys", {"name": "phone", "user_id": "ana"})).json()
    assert made["user_id"] == "ana"
    headers = {"X-API-Key": made["key"]}
    mine = {"user_id": "ana", "role": "user", "content": "x"}
    batch = {"messages": [mine, {**mine, "user_id": "bob"}]}
    answer = await api.post("/v1/ingest/batch", batch, headers=headers)
    assert (answer.status_code, code(answer)) == (404, "not_found")
    twice = '{"user_id": "bob", "role": "user", "content": "x", "user_id": %s}'
    for last, status in (('"ana"', 202), ('"bob"', 404), ("7", 422), ("null", 422)):
        answer = await api.client.post("/v1/ingest", content=twice % last, headers=headers)
        assert answer.status_code == status, last
    for bad in ("", "[", '"bob"', "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")):
        answer = await api.client.post("/v1/ingest", content=bad, headers=headers)
        assert answer.status_code in {400, 422}, bad[:10]
    labels = {**mine, "metadata": {"user_id": "bob"}}  # a label of her own
    assert (await api.post("/v1/ingest", labels, headers=headers)).status_code == 202
    [users] = await api.sql("SELECT count(*) AS n FROM chat_logs WHERE user_id = 'bob'")
    assert users["n"] == 1


async def test_a_key_of_one_user_does_all_that_user_may(api: Api) -> None:
    await _bobs(api)
    made = (await api.post("/v1/keys", {"name": "phone", "user_id": "ana"})).json()
    headers = {"X-API-Key": made["key"]}
    said = await api.post(
        "/v1/ingest", {"user_id": "ana", "role": "user", "content": "hi"}, headers=headers
    )
    fact = await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    trace = said.json()["trace_id"]
    for path in (f"/v1/traces/{trace}", f"/v1/facts/{fact}", f"/v1/facts/{fact}/history"):
        assert (await api.client.get(path, headers=headers)).status_code == 200, path
    users = (await api.client.get("/v1/users", headers=headers)).json()["users"]
    assert [user["user_id"] for user in users] == ["ana"]
    events = await api.client.get("/v1/events?after=0&follow=false", headers=headers)
    assert str(fact) in events.text
    assert SECRET not in events.text
    assert SECRET in (await api.get("/v1/events", after="0", follow="false")).text
    recalled = await api.post("/v1/recall", {"user_id": "ana", "query": "Lisbon"}, headers=headers)
    assert recalled.json()["relevant_facts"][0]["id"] == str(fact)
    patched = await api.client.patch(f"/v1/facts/{fact}", json={"value": "Porto"}, headers=headers)
    assert patched.status_code == 202
    slots = (await api.client.get("/v1/slots", headers=headers)).json()["slots"]
    assert {slot["source"] for slot in slots} == {"catalogue"}


async def test_an_idempotency_key_tells_nothing_of_others(api: Api) -> None:
    """The same Idempotency-Key of the application, and of each user's phone, are three."""
    phones = [
        (await api.post("/v1/keys", {"name": "phone", "user_id": user})).json()["key"]
        for user in ("ana", "bob")
    ]
    for user, key in (("ana", None), ("ana", phones[0]), ("bob", phones[1])):
        body = {"user_id": user, "role": "user", "content": f"hi {key}"}
        headers = {"Idempotency-Key": "one"} | ({"X-API-Key": key} if key else {})
        answers = [await api.post("/v1/ingest", body, headers=headers) for _ in range(2)]
        assert [a.json()["status"] for a in answers] == ["accepted", "duplicate"]


async def test_a_key_of_one_user_is_no_admin_and_stays_bound_when_rotated(api: Api) -> None:
    refused = await api.post("/v1/keys", {"name": "n", "user_id": "ana", "scope": "admin"})
    assert (refused.status_code, code(refused)) == (422, "invalid_request")
    old = (await api.post("/v1/keys", {"name": "n", "user_id": "ana"})).json()
    new = (await api.post(f"/v1/keys/{old['id']}/rotate?overlap_seconds=60")).json()
    assert new["user_id"] == "ana"
    for key in (old["key"], new["key"]):  # both live: rotation overlaps
        headers = {"X-API-Key": key}
        found = await api.client.get("/v1/users/ana/facts", headers=headers)
        assert found.status_code == 200
        assert (await api.client.get("/v1/users/bob/facts", headers=headers)).status_code == 404
    [listed, _] = (await api.get("/v1/keys")).json()["keys"]
    assert (listed["user_id"], "key" in listed) == ("ana", False)
