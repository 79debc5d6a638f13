"""Logs of a run in which much goes wrong say whose work it was, and not a word of what was said."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from services.gateway.app import build_app
from shared.observability import processors, user_hash
from shared.settings import Settings
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server
from tests.fakes.embedder import HashEmbedder
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_model

CANARY = "zebra4711"
SECRET = "the-admin-key-okapi"
USER = "ana-quokka"
QUICKLY_DEAD = {"max_attempts": 3, "retry_base_seconds": 0.02, "retry_cap_seconds": 0.05}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that is logged, as a process in production writes it."""
    page = io.StringIO()
    structlog.configure(
        processors=processors(as_json=True),
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
        logger_factory=structlog.PrintLoggerFactory(file=page),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    yield page
    structlog.reset_defaults()


class QuotingEmbedder(HashEmbedder):
    """Fails as servers do that quote their input back."""

    async def embed(self, texts: Any, payers: Any = ()) -> Any:
        raise RuntimeError(f"cannot embed {texts[0]!r}\nnor anything like {texts[0]}")


def troubled(document: dict[str, Any]) -> Any:
    """Answers that quote the message: nonsense, refusals, errors in JSON and in plain words."""
    said = document["messages"][-1]["content"]
    if "nonsense" in said:
        return Reply(body=f"I think that {said} and 'so on'".encode())
    if "refusal" in said:
        return Reply(message={"content": None, "refusal": f"I will not talk about {said}"})
    if "plain" in said:
        return Reply(status=400, body=f"cannot parse {said}".encode())
    if "error" in said:
        return Reply(status=422, error={"message": f"bad input: {said}", "code": "x"})
    message = document["messages"][-1]["id"]
    return {"facts": [{"content": said, "source_message_ids": [message]}]}


async def test_logs_of_a_troubled_run_hold_no_text_and_no_secret(
    db: TestedDatabase, redis: Redis, redis_url: str, written: io.StringIO
) -> None:
    async with chat_server(troubled) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(
            db, redis, redis_url, extractor=extractor, embedder=QuotingEmbedder(),
            **UNHURRIED, **QUICKLY_DEAD,
        )  # fmt: skip
        async with pipeline.running():
            for kind in ("nonsense", "refusal", "plain", "error", "fact"):
                await pipeline.say(f"My {CANARY} is {kind}", session_id=kind, user_id=USER)
            await redis.xadd(
                "memoire:messages", {"user_id": "x", "content": CANARY, "role": CANARY}
            )
            await redis.xadd(
                "memoire:messages", {"user_id": "x/y", "role": "user", "content": CANARY}
            )
            await redis.xadd(
                "memoire:facts:extracted", {"ids": CANARY, "tenant": "t", "user": USER}
            )
            await _troubled_requests(db, redis)
            async with asyncio.timeout(120):
                while len(await _dead(pipeline)) < 8:
                    await asyncio.sleep(0.05)
    logged = written.getvalue()
    kept = json.dumps(await _dead(pipeline), default=str)
    assert CANARY in kept, "what failed is kept with all it says, for its tenant"
    for secret in (CANARY, SECRET, USER, "quokka"):
        assert secret not in logged, [line for line in logged.splitlines() if secret in line][:3]
    lines = [json.loads(line) for line in logged.splitlines()]
    failed = [line for line in lines if line["event"] == "extraction failed"]
    assert failed
    for line in failed:
        assert line["stage"] == "extractor"
        assert line["tenant"] == "default"
        assert line["user"] == user_hash("default", USER)
        assert line["attempt"] >= 1
        assert len(line["trace"]) == 32


async def _dead(pipeline: Pipeline) -> list[Any]:
    return await pipeline.rows(
        "SELECT stage, error, payload FROM failures WHERE dead_at IS NOT NULL"
    )


async def _troubled_requests(db: TestedDatabase, redis: Redis) -> None:
    app = build_app(Settings(admin_key=SECRET), db=db, redis=redis, embedder=QuotingEmbedder())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://g") as client,
    ):
        key = {"X-API-Key": SECRET}
        body = {"user_id": USER, "query": CANARY}
        await client.post("/v1/recall", json=body, headers=key)
        await client.post("/v1/recall", json={**body, "query": 7, CANARY: CANARY}, headers=key)
        await client.post("/v1/recall", json=body, headers={"X-API-Key": f"mem_{SECRET}"})
        await client.post("/v1/ingest", content=CANARY, headers=key)


def test_lines_are_json_in_production_and_readable_at_a_terminal() -> None:
    event = {"event": "bells rung again", "bells": 3, "stage": "sweeper"}
    assert json.loads(_rendered(event, as_json=True))["bells"] == 3
    readable = _rendered(event, as_json=False)
    assert "bells rung again" in readable
    assert not readable.startswith("{")


def _rendered(event: dict[str, Any], *, as_json: bool) -> str:
    said: Any = dict(event)
    for processor in processors(as_json=as_json):
        said = processor(None, "info", said)
    return str(said)
