"""One trace from the request, or the entry on the stream, to the settled fact, whatever is lost."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from services.gateway.app import build_app
from services.maintenance.jobs import known_kinds
from shared.settings import Settings
from shared.tracing import spans
from shared.tracing.otlp import sent
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server, one_fact_each
from tests.fakes.embedder import HashEmbedder
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_model

STAGES = {"extractor", "embedder", "deduper", "superseder"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = f"00-{'a' * 32}-{'b' * 16}-01"
KEY = {"X-API-Key": "the-admin-key"}


@pytest.fixture
def made() -> Iterator[InMemorySpanExporter]:
    """Every span that ends while the test runs."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.turn_on(provider.get_tracer("test"))
    yield exporter
    spans.turn_off()


@pytest.fixture
async def client(db: TestedDatabase, redis: Redis) -> Any:
    settings = Settings(admin_key="the-admin-key")
    app = build_app(settings, db=db, redis=redis, embedder=HashEmbedder(), job_kinds=known_kinds())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://g", headers=KEY
        ) as client,
    ):
        yield client


def of_trace(made: InMemorySpanExporter, trace: str) -> dict[str, list[ReadableSpan]]:
    """Spans of one trace by name."""
    found: dict[str, list[ReadableSpan]] = {}
    for span in made.get_finished_spans():
        assert span.context is not None
        if f"{span.context.trace_id:032x}" == trace:
            found.setdefault(span.name, []).append(span)
    return found


async def told(
    made: InMemorySpanExporter, trace: str, names: set[str]
) -> dict[str, list[ReadableSpan]]:
    """Wait until the trace has spans of all these names; a span ends a little after its commit."""
    async with asyncio.timeout(60):
        while not names <= (found := of_trace(made, trace)).keys():
            await asyncio.sleep(0.02)
    return found


async def test_a_requests_trace_leads_to_the_settled_fact(
    db: TestedDatabase,
    redis: Redis,
    redis_url: str,
    client: httpx.AsyncClient,
    made: InMemorySpanExporter,
) -> None:
    """Below the caller's span: the request, and below that every stage and the model's call."""
    async with chat_server(_answer) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **UNHURRIED)
        async with pipeline.running():
            said = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}
            answer = await client.post("/v1/ingest", json=said, headers={"traceparent": GIVEN})
            assert answer.status_code == 202
            await pipeline.settled()
            found = await told(made, TRACE, {*STAGES, "POST /v1/ingest", "ask extraction"})
    [request] = found["POST /v1/ingest"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert request.context is not None
    for stage in STAGES:
        assert {one.parent.span_id for one in found[stage] if one.parent} == {
            request.context.span_id
        }
    [call], [extraction] = found["ask extraction"], found["extractor"]
    assert call.parent is not None
    assert extraction.context is not None
    assert call.parent.span_id == extraction.context.span_id
    for span in made.get_finished_spans():
        assert "Lisbon" not in span.to_json()


def _answer(document: dict[str, Any]) -> Any:
    return Reply(content=json.dumps(one_fact_each(document)))


async def test_an_entry_with_a_traceparent_is_told_under_it(
    db: TestedDatabase, redis: Redis, redis_url: str, made: InMemorySpanExporter
) -> None:
    pipeline = Pipeline(db, redis, redis_url)
    fields = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}
    async with pipeline.running():
        await redis.xadd("memoire:messages", {**fields, "traceparent": GIVEN})
        await redis.xadd("memoire:messages", {**fields, "user_id": "bo", "traceparent": "nonsense"})
        await told(made, TRACE, STAGES)
        await pipeline.settled()
    assert len(await pipeline.rows("SELECT 1 AS one FROM memory_facts")) == 2
    rows = await pipeline.rows("SELECT traceparent FROM chat_logs ORDER BY user_id")
    assert [row["traceparent"] for row in rows] == [GIVEN, None]


async def test_messages_of_several_traces_in_one_session_each_have_their_own(
    db: TestedDatabase, redis: Redis, redis_url: str, made: InMemorySpanExporter
) -> None:
    """They are extracted by one call, and each trace is whole."""
    pipeline = Pipeline(db, redis, redis_url)
    fields = {"user_id": "ana", "role": "user"}
    await redis.xadd(
        "memoire:messages", {**fields, "content": "I live in Rome", "traceparent": GIVEN}
    )
    await redis.xadd(
        "memoire:messages", {**fields, "content": "I have a cat", "traceparent": OTHER}
    )
    async with pipeline.running():
        await told(made, TRACE, STAGES)
        await told(made, "a" * 32, STAGES)


async def test_a_lost_bell_and_a_redrive_go_on_under_the_rows_trace(
    db: TestedDatabase,
    redis: Redis,
    redis_url: str,
    made: InMemorySpanExporter,
    client: httpx.AsyncClient,
) -> None:
    """The context is in the row: the sweep links to it, and what follows is told under it."""
    pipeline = Pipeline(db, redis, redis_url)
    said = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}
    await client.post("/v1/ingest", json=said, headers={"traceparent": GIVEN})
    async with pipeline.running("extractor", sweeper=False):
        await pipeline.drained(["memoire:messages"])
        async with asyncio.timeout(60):
            while not await pipeline.rows("SELECT 1 AS one FROM memory_facts"):
                await asyncio.sleep(0.02)
    await redis.flushall()
    async with db.everyone.autocommit() as tx:  # given up at the embedder, then redriven
        await tx.execute("UPDATE memory_facts SET retry_at = 'infinity'")
        await tx.execute(
            """INSERT INTO failures (id, stage, subject_id, tenant_id, user_id, attempts, error_class,
                                     error, dead_at)
               SELECT gen_random_uuid(), 'embedder', id::text, tenant_id, user_id, 10, 'retry', 'x', now()
                 FROM memory_facts"""
        )
    answer = await client.post("/v1/dead-letters/redrive", json={"all": True})
    assert answer.json()["redriven"] == 1
    async with pipeline.running():
        found = await told(made, TRACE, {*STAGES, "POST /v1/ingest"})
        await pipeline.settled()
    assert found["superseder"]
    linked = {
        f"{link.context.trace_id:032x}"
        for span in made.get_finished_spans()
        if span.name == "ring again"
        for link in span.links
    }
    assert TRACE in linked


async def test_a_stated_fact_and_a_job_are_told_under_their_requests(
    db: TestedDatabase,
    redis: Redis,
    redis_url: str,
    client: httpx.AsyncClient,
    made: InMemorySpanExporter,
) -> None:
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running():
        stated = await client.post(
            "/v1/users/ana/facts", json={"content": "Lives in Rome"}, headers={"traceparent": GIVEN}
        )
        assert stated.status_code == 202
        await told(made, TRACE, STAGES - {"extractor"})
        job = await client.post("/v1/users/ana/consolidate", headers={"traceparent": OTHER})
        assert job.status_code == 202
        await told(made, "a" * 32, {"maintenance"})


async def test_a_trace_is_kept_with_the_row_also_where_none_are_made(
    db: TestedDatabase, redis: Redis, redis_url: str, client: httpx.AsyncClient
) -> None:
    """So that stages that make them go on under it."""
    said = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}
    await client.post("/v1/ingest", json=said, headers={"traceparent": GIVEN})
    await client.post("/v1/ingest", json=said, headers={"traceparent": "nonsense"})
    rows = await Pipeline(db, redis, redis_url).rows(
        "SELECT traceparent FROM chat_logs ORDER BY id"
    )
    assert [row["traceparent"] for row in rows] == [GIVEN, None]


def test_spans_are_sent_to_the_collector_that_the_setting_names() -> None:
    """Real OTLP over real HTTP, with the process' name; nothing where there is no endpoint."""
    received: list[Any] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            received.extend((self.path, each) for each in request.resource_spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sent(f"http://127.0.0.1:{server.server_port}", "embedder", "1"):
        assert spans.is_on()
        with spans.spans("embedder", [GIVEN], {"rows": 1}):
            assert (spans.current_traceparent() or "")[3:35] == TRACE
    server.shutdown()
    server.server_close()
    assert not spans.is_on()
    [(path, told_of)] = received
    assert path == "/v1/traces"
    names = {one.key: one.value.string_value for one in told_of.resource.attributes}
    assert names["service.name"] == "memoire-embedder"
    assert told_of.scope_spans[0].spans[0].name == "embedder"
    with sent(None, "embedder", "1"):
        assert not spans.is_on()


def test_of_an_error_a_span_keeps_the_kind_and_never_the_text(made: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="zebra"), spans.span("think"):
        raise ValueError("the answer was zebra")
    [span] = made.get_finished_spans()
    assert "zebra" not in span.to_json()
    assert span.attributes == {"error.type": "ValueError"}
