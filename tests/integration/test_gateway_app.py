"""The gateway as a whole: failures in one shape, hostile input, health, documentation.

`serve` gives the other gateway tests an app on real servers, and facts in any state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from services.embedder import store as embedder_store
from services.gateway import key_store
from services.gateway.app import build_app
from services.gateway.auth import new_key
from services.gateway.state import Gateway
from services.maintenance.jobs import known_kinds
from services.superseder.store import settle
from shared.broker import connect_redis
from shared.facts.statements import NewFact, Statement, observed
from shared.facts.store import insert_facts
from shared.failures.store import RowRef
from shared.ids import time_ordered_id
from shared.settings import Settings
from shared.spaces.embedders import Embedders
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder

ADMIN = "the-admin-key"


@dataclass
class Api:
    """A client of one app, and what tests do behind its back."""

    client: httpx.AsyncClient
    app: FastAPI
    db: TestedDatabase
    embedder: Any

    @property
    def gateway(self) -> Gateway:
        return self.app.state.gateway

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **more)

    async def ingest(self, **message: Any) -> httpx.Response:
        return await self.post("/v1/ingest", {"user_id": "ana", "role": "user", **message})

    async def key(self, scope: str = "write", tenant: str = "default", **more: Any) -> str:
        made = new_key()
        async with self.db.everyone.transaction() as tx:
            await key_store.create_key(
                tx,
                tenant,
                made.id,
                name=more.get("name", "test"),
                scope=scope,
                secret_sha256=made.secret_sha256,
                expires_at=more.get("expires_at"),
            )
        return made.text

    async def fact(
        self,
        content: str,
        *,
        user: str = "ana",
        tenant: str = "default",
        until: str = "settled",
        said_at: datetime | None = None,
        sources: tuple[UUID, ...] = (),
        metadata: dict[str, Any] | None = None,
        **stated: Any,
    ) -> UUID:
        """Insert a fact and move it through the stages, as far as `until`."""
        row = time_ordered_id()
        fact = NewFact(
            tenant=tenant,
            user=user,
            id=row,
            generation=1,
            said_at=said_at,
            recorded_at=None,
            message_key=f"u:{row.hex}",
            ordinal=0,
            source_message_ids=sources,
            metadata=metadata,
            **observed(Statement(content=content, **stated)),
        )
        async with self.db.everyone.transaction() as tx:
            await tx.execute(
                "INSERT INTO users (tenant_id, user_id) VALUES (%(t)s, %(u)s) ON CONFLICT DO NOTHING",
                {"t": tenant, "u": user},
            )
            await insert_facts(tx, [fact])
        if until == "extracted":
            return row
        texts = [embedder_store.Text(RowRef(tenant, user, row), content)]
        spaces = await Embedders(self.db, HashEmbedder()).read()
        vectors = {HashEmbedder.model: await HashEmbedder().embed([content])}
        await embedder_store.save_vectors(self.db, spaces, texts, vectors)
        if until == "settled":
            await self.sql(
                "UPDATE memory_facts SET state = 'compared', compared_at = now() WHERE id = %(id)s",
                id=row,
            )
            await settle(self.db, [[RowRef(tenant, user, row)]])
        return row

    async def sql(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        async with self.db.everyone.transaction() as tx:
            return await tx.rows(statement, params)


@asynccontextmanager
async def serve(
    database_url: str, redis: Redis | None, *, embedder: Any = None, **settings: Any
) -> AsyncIterator[Api]:
    """An app in this process, called as its admin; lifespan and pools included."""
    db = TestedDatabase(database_url, max_connections=8)
    await db.open()
    app = build_app(
        Settings(**{"admin_key": ADMIN, **settings}),
        db=db,
        redis=redis,
        embedder=embedder or HashEmbedder(),
        job_kinds=known_kinds(),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"X-API-Key": ADMIN}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=headers
        ) as client,
    ):
        yield Api(client, app, db, embedder)
    await db.close()


@asynccontextmanager
async def short_redis(url: str, timeout_seconds: float = 0.2) -> AsyncIterator[Redis]:
    client = connect_redis(url, timeout_seconds=timeout_seconds)
    yield client
    await client.aclose()


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """Ask until the answer is true."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):
            await asyncio.sleep(0.01)
        return found


def code(response: httpx.Response) -> str:
    """The code of a failure, after checking that its envelope is whole."""
    error = response.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert all({"field", "reason"} <= set(detail) for detail in error["details"])
    return error["code"]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


MESSAGE = {"user_id": "ana", "role": "user", "content": "I moved to Lisbon"}


# ---- failures


async def test_an_unknown_route_and_a_wrong_method_answer_in_the_envelope(api: Api) -> None:
    unknown = await api.get("/v1/nothing")
    assert (unknown.status_code, code(unknown)) == (404, "not_found")
    wrong = await api.get("/v1/ingest")
    assert (wrong.status_code, code(wrong)) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/users/ana/export"])
async def test_routes_of_later_versions_are_absent(api: Api, path: str) -> None:
    assert (await api.post(path, {})).status_code in {404, 405}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"user_id": "ana",}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"user_id": ' + b"9" * 10_000 + b"}",
        b'{"a": "\x01"}',
    ],
    ids=["open", "comma", "not-utf8", "deep", "long-number", "raw-control"],
)
async def test_malformed_json_is_invalid_json(api: Api, body: bytes) -> None:
    for path in ("/v1/ingest", "/v1/ingest/batch", "/v1/recall", "/v1/users/ana/facts"):
        answer = await api.client.post(path, content=body)
        assert (answer.status_code, code(answer)) == (400, "invalid_json"), path


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "3", "true", "NaN", "{}", ""])
async def test_a_body_that_is_no_message_is_refused(api: Api, body: str) -> None:
    for path in ("/v1/ingest", "/v1/ingest/batch", "/v1/recall", "/v1/keys"):
        answer = await api.client.post(path, content=body)
        assert (answer.status_code, code(answer)) == (422, "invalid_request"), path


@pytest.mark.parametrize("label", [None, "text/plain", "application/x-www-form-urlencoded", "x"])
async def test_json_is_taken_whatever_its_label_says(api: Api, label: str | None) -> None:
    headers = {} if label is None else {"content-type": label}
    content = b'{"user_id": "ana", "role": "user", "content": "hi"}'
    answer = await api.client.post("/v1/ingest", content=content, headers=headers)
    assert answer.status_code == 202


HOSTILE = {
    "nul": {"content": "a\x00b"},
    "surrogate": {"content": "\ud800"},
    "empty": {"content": ""},
    "blank": {"content": " \n"},
    "null": {"content": None},
    "number": {"content": 7},
    "list": {"content": ["a"]},
    "role": {"role": "robot"},
    "role-list": {"role": []},
    "user-nul": {"user_id": "a\x00"},
    "user-control": {"user_id": "a\nb"},
    "user-slash": {"user_id": "a/b"},
    "user-long": {"user_id": "a" * 129},
    "user-empty": {"user_id": ""},
    "user-number": {"user_id": 1},
    "user-surrogate": {"user_id": "\udfff"},
    "session-tab": {"session_id": "\t"},
    "agent": {"agent_id": "\x7f"},
    "timestamp-naive": {"timestamp": "2026-01-01T00:00:00"},
    "timestamp-word": {"timestamp": "yesterday"},
    "timestamp-early": {"timestamp": "0001-01-01T00:00:00+14:00"},
    "timestamp-late": {"timestamp": "9999-12-31T23:59:59-14:00"},
    "timestamp-number": {"timestamp": 1e308},
    "metadata-list": {"metadata": []},
    "metadata-nul": {"metadata": {"a": "\x00"}},
    "metadata-nul-key": {"metadata": {"\x00": 1}},
    "metadata-surrogate": {"metadata": {"\ud800": {"b": ["\udfff"]}}},
    "metadata-nan": {"metadata": {"a": float("nan")}},
    "metadata-infinity": {"metadata": {"a": [float("inf")]}},
    "metadata-large": {"metadata": {"a": "x" * 5000}},
    "unknown": {"nonsense": 1},
    "unknown-surrogate": {"\ud800": 1},
    "unknown-long": {"x" * 10_000: 1},
    "content-large": {"content": "é" * 20_000},
}


async def test_a_hostile_message_is_refused_with_its_field(api: Api) -> None:
    for name, change in HOSTILE.items():
        single = await _send(api, "/v1/ingest", {**MESSAGE, **change})
        assert (single.status_code, code(single)) == (422, "invalid_request"), name
        details = single.json()["error"]["details"]
        assert details and "index" not in details[0], name
        messages = [MESSAGE, {**MESSAGE, **change}]
        batch = await _send(api, "/v1/ingest/batch", {"messages": messages})
        assert (batch.status_code, code(batch)) == (422, "invalid_request"), name
        assert batch.json()["error"]["details"][0]["index"] == 1, name
    assert await api.sql("SELECT 1 FROM chat_logs") == []


async def _send(api: Api, path: str, body: Any) -> httpx.Response:
    """As JSON that Python's own encoder writes: surrogates escaped, NaN as it is."""
    import json

    return await api.client.post(path, content=json.dumps(body).encode())


async def test_metadata_nested_too_deeply_is_refused(api: Api) -> None:
    nested: Any = 1
    for _ in range(100):
        nested = {"a": nested}
    answer = await api.ingest(content="hi", metadata=nested)
    assert answer.json()["error"]["details"][0]["field"] == "metadata"


@pytest.mark.parametrize(
    "content", ["line\nbreak\ttab", "\x1b[31mred", "🧠" * 100, "a\u202eb", "x" * 32_768]
)
async def test_whatever_a_user_can_type_is_taken(api: Api, content: str) -> None:
    assert (await api.ingest(content=content)).status_code == 202
    [message] = (await api.get("/v1/users/ana/sessions/default/messages")).json()["messages"]
    assert message["content"] == content


RECALL_HOSTILE = {
    "query-nul": {"query": "a\x00"},
    "query-surrogate": {"query": "\ud800"},
    "query-blank": {"query": "  "},
    "query-huge": {"query": "x" * 4_001},
    "limit-zero": {"limit": 0},
    "limit-101": {"limit": 101},
    "limit-huge": {"limit": 10**400},
    "limit-text": {"limit": "many"},
    "limit-fraction": {"limit": 1.5},
    "view": {"view": "past"},
    "categories-text": {"categories": "biographical"},
    "categories-nul": {"categories": ["\x00"]},
    "slots-surrogate": {"slots": ["\ud800"]},
    "metadata": {"metadata": {"a": "\x00"}},
    "age-negative": {"max_age_days": -1},
    "age-huge": {"max_age_days": 1e300},
    "age-nan": {"max_age_days": float("nan")},
    "since": {"since": "last week"},
    "until": {"until": "9999-12-31T00:00:00Z"},
    "score": {"min_score": 2},
    "score-nan": {"min_score": float("nan")},
    "tokens": {"max_tokens": 0},
    "as_of": {"as_of": "2026-01-01T00:00:00"},
    "known_at": {"known_at": "1e9"},
}


async def test_a_hostile_recall_is_refused(api: Api) -> None:
    for name, change in RECALL_HOSTILE.items():
        answer = await _send(api, "/v1/recall", {"user_id": "ana", "query": "home", **change})
        assert (answer.status_code, code(answer)) == (422, "invalid_request"), name


async def test_any_query_is_only_words(api: Api) -> None:
    await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    for query in [
        "'",
        "\\",
        "a & | ! <-> :*",
        "'' OR 1=1 --",
        "%s %(x)s",
        "http://a.b/c?d='x'&e=\\ o'clock",
        "\x01\x02",
        "🧠",
        "the of",
    ]:
        answer = await api.post("/v1/recall", {"user_id": "ana", "query": query})
        assert answer.status_code == 200, query


HOSTILE_ADDRESSES = [
    "/v1/users/a%00b/facts",
    "/v1/users/a%0Ab/timeline",
    f"/v1/users/{'x' * 129}/facts",
    "/v1/users/%20ana/facts",
    "/v1/users/ana/sessions/%07/messages",
    "/v1/users/ana/facts?limit=0",
    "/v1/users/ana/facts?limit=101",
    "/v1/users/ana/facts?limit=x",
    "/v1/users/ana/facts?slot=%00",
    "/v1/users/ana/facts?category=%00",
    "/v1/users/ana/facts?view=past",
    "/v1/users/ana/facts?as_of=2026-01-01T00:00:00",
    "/v1/users/ana/timeline?known_at=2026-01-01",
    "/v1/users/ana/timeline?subject=%00",
    "/v1/dead-letters?stage=%00",
    f"/v1/traces/{'0' * 32}?wait=now",
    f"/v1/traces/{'0' * 32}?wait=settled&timeout=61",
    f"/v1/traces/{'0' * 32}?timeout=nan",
    "/v1/traces/" + "0" * 32 + "?timeout=-1",
]


async def test_a_hostile_address_is_refused(api: Api) -> None:
    for path in HOSTILE_ADDRESSES:
        answer = await api.client.get(path)
        assert (answer.status_code, code(answer)) == (422, "invalid_request"), path


LISTS = [
    "/v1/users",
    "/v1/users/ana/facts",
    "/v1/users/ana/sessions/default/messages",
    "/v1/keys",
    "/v1/dead-letters",
]


async def test_a_cursor_that_is_not_ours_is_refused(api: Api) -> None:
    for path in LISTS:
        for cursor in ("x", "%00", "bm90IGpzb24", "WzFd", "W10", "é", "====", "IlsiIg"):
            answer = await api.client.get(f"{path}?cursor={cursor}")
            assert (answer.status_code, code(answer)) == (422, "invalid_request"), path


ABSENT = [
    "/v1/traces/nonsense",
    f"/v1/traces/{'0' * 32}",
    "/v1/facts/nonsense",
    "/v1/facts/%00",
    "/v1/facts/00000000-0000-0000-0000-000000000000",
    "/v1/facts/00000000-0000-0000-0000-000000000000/source",
    "/v1/facts/x/history",
]


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    for path in ABSENT:
        answer = await api.client.get(path)
        assert (answer.status_code, code(answer)) == (404, "not_found"), path


async def test_a_body_too_large_is_refused_with_and_without_a_length(database_url: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1_000

    async with serve(database_url, None, max_body_bytes=10_000) as api:
        whole = await api.client.post("/v1/ingest", content=b" " * 20_000)
        chunked = await api.client.post("/v1/ingest", content=chunks())
        for answer in (whole, chunked):
            assert (answer.status_code, code(answer)) == (413, "payload_too_large")


async def test_without_postgresql_requests_answer_503_and_the_process_lives() -> None:
    async with serve("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", None) as api:
        ready, live, health = [
            await api.get(f"/v1/health{part}") for part in ("/ready", "/live", "")
        ]
        assert (ready.status_code, ready.json()["checks"]["postgres"]) == (503, "unavailable")
        assert (live.status_code, live.json()) == (200, {"status": "ok"})
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        answer = await api.ingest(content="hi")
        assert (answer.status_code, code(answer)) == (503, "unavailable")


async def test_a_postgresql_that_comes_back_is_used_again(api: Api, database_url: str) -> None:
    assert (await api.ingest(content="one")).status_code == 202
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert (await api.ingest(content="two")).status_code == 202


# ---- health and documentation


async def test_health_says_what_is_in_use(api: Api) -> None:
    for path in ("/v1/health/live", "/health/live"):
        assert (await api.get(path)).json() == {"status": "ok"}
    ready = await api.client.get("/health/ready", headers={"X-API-Key": ""})
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"postgres": "ok", "redis": "unavailable"}
    health = (await api.get("/v1/health")).json()
    assert health["status"] == "degraded"  # without Redis
    assert health["extractor"] == {"mode": "rules", "model": "rules"}
    assert health["embeddings"] == {
        "mode": "local",
        "model": HashEmbedder.model,
        "active_model": HashEmbedder.model,
        "migrating_to": None,
        "warning": None,
    }
    assert health["dead"] == {}


async def test_the_documentation_is_complete_and_can_be_closed(api: Api, database_url: str) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["info"]["title"] == "Mémoire"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["tags"] and operation["summary"], path
            if not path.startswith("/v1/health"):
                assert {"401", "422", "503"} <= set(operation["responses"]), (method, path)
            if "requestBody" in operation:
                assert _has_example(document, operation["requestBody"]), path
    assert (await api.get("/docs")).status_code == 200
    async with serve(database_url, None, docs_enabled=False) as closed:
        assert (await closed.get("/docs")).status_code == 404
        assert (await closed.get("/openapi.json")).status_code == 404


def _has_example(document: dict[str, Any], body: dict[str, Any]) -> bool:
    schema = body["content"]["application/json"]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return "examples" in {**schema, **document["components"]["schemas"].get(name, {})}


async def test_answers_carry_security_headers_and_no_cors(api: Api) -> None:
    answer = await api.client.get("/v1/users", headers={"Origin": "https://evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
