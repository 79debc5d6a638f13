"""Budgets and counts with real stages: what is too dear waits, and every call is counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from shared.embeddings import OpenAIEmbedder
from shared.errors import PausedError
from shared.spending import store
from shared.spending.books import Asked, Books
from shared.spending.budgets import Budgets
from shared.spending.prices import Prices
from shared.spending.store import Limits
from shared.spending.till import Till
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server, one_fact_each
from tests.fakes.embedding_server import EmbeddingServer, running
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_gate, quick_model

SOON = {"max_attempts": 4, "retry_base_seconds": 0.02, "retry_cap_seconds": 0.05, **UNHURRIED}
"""Attempts that are used up in a tenth of a second."""


async def dead(pipeline: Pipeline) -> list[Any]:
    return await pipeline.rows("SELECT * FROM failures WHERE dead_at IS NOT NULL")


def paying(db: TestedDatabase, limits: Limits, purpose: str = "extraction") -> tuple[Till, Books]:
    books = Books(db, pause_seconds=0.05)
    budgets = Budgets(db, limits, look_again_seconds=0.3)
    asked = Asked(purpose, "fake", "fake")
    till = Till(asked, records=books, budgets=budgets, prices=Prices.of(1, 2))
    return till, books


async def test_a_tenant_over_its_budget_waits_and_others_go_on(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Nothing is asked beyond the limit, nothing dies; with the next day everything settles."""
    used = {"prompt_tokens": 900, "completion_tokens": 100}

    def script(document: dict[str, Any]) -> Any:
        answer = one_fact_each(document)
        return Reply(content=json.dumps(answer), usage=used)

    async with chat_server(script) as server:
        async with db.everyone.autocommit() as tx:
            await store.set_budget(tx, "default", Limits(20_000))
        till, books = paying(db, Limits())
        extractor = ByModel(quick_model(server.url, till=till, max_output_tokens=500))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            for number in range(40):
                await pipeline.say("I live in Lisbon", session_id=f"s{number}")
            await _quiet(server)
            asked = len(server.documents)
            assert 1 <= asked < 20, "what may cost more than is left is not asked"
            assert all(request["max_tokens"] == 500 for request in server.requests)
            async with db.everyone.autocommit() as tx:
                assert (await store.budget_of(tx, "default"))["tokens_today"] == asked * 1_000
                assert await store.over_budget(tx) == ["default"]
            other = pipeline.message("I live in Oslo", user_id="bo")
            await pipeline.store(_of_tenant(other, "rich"))
            async with asyncio.timeout(60):
                while not await pipeline.rows(
                    "SELECT 1 AS one FROM memory_facts WHERE tenant_id = 'rich'"
                ):
                    await asyncio.sleep(0.05)
            assert await pipeline.rows("SELECT * FROM failures") == []
            async with db.everyone.autocommit() as tx:  # the next day
                await tx.execute("UPDATE budget_days SET day = day - 1")
                await store.set_budget(tx, "default", Limits(10**7))
            await pipeline.settled()
        await books.close()
    asked_for = Counter(m["id"] for document in server.documents for m in document["messages"])
    assert set(asked_for.values()) == {1}
    usage = await pipeline.rows("SELECT tenant_id, calls, failed, money FROM spending ORDER BY 1")
    assert [(row["tenant_id"], row["calls"]) for row in usage] == [("default", 40), ("rich", 1)]
    assert float(usage[0]["money"]) == pytest.approx(40 * (900 + 2 * 100) / 1e6)


async def test_a_tenant_over_its_budget_has_its_facts_embedded_the_next_day(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """In one batch with others: these go on, its own facts wait without a failure."""
    server = EmbeddingServer(dimensions=16)
    async with running(server):
        async with db.everyone.autocommit() as tx:
            await store.set_budget(tx, "default", Limits(1))
        till, books = paying(db, Limits(), "embedding")
        gate = quick_gate(server.url)
        embedder = OpenAIEmbedder(server.url, "k", "m", None, 5.0, gate=gate, till=till)
        pipeline = Pipeline(db, redis, redis_url, embedder=embedder, **SOON)
        said = [pipeline.message(f"I have a dog called Rex{n}", user_id=f"u{n}") for n in range(20)]
        async with pipeline.running():
            halves = [_of_tenant(m, "rich") if n % 2 else m for n, m in enumerate(said)]
            await pipeline.store(*halves)
            async with asyncio.timeout(60):
                while await _open_facts(pipeline) != {"default": 10}:
                    await asyncio.sleep(0.05)
            async with db.everyone.autocommit() as tx:
                await store.set_budget(tx, "default", Limits(10**6))
            await pipeline.settled()
        await books.close()
    assert await pipeline.rows("SELECT * FROM failures") == []


async def test_without_postgres_to_ask_nothing_is_spent(
    db: TestedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that cannot be read is a call that waits; no item is to blame."""

    async def away(*_: Any) -> None:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(store, "reserve", away)
    till, _ = paying(db, Limits(10**6))
    async with chat_server(one_fact_each) as server:
        model = quick_model(server.url, till=till)
        with pytest.raises(PausedError):
            await model.ask("", {"task": "extract", "messages": []}, {"type": "object"})
        assert server.documents == []
        assert model.wait_seconds("default") == 0, "the provider is not to blame either"
        await model.close()


async def test_failed_and_poisoned_calls_are_counted(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A refusal that was paid for, a 503 that was not, and the answer that came."""
    replies = [
        Reply(status=503),
        Reply(message={"role": "assistant", "content": None, "refusal": "no"}),
    ]

    def script(document: dict[str, Any]) -> Any:
        return replies.pop(0) if replies else one_fact_each(document)

    async with chat_server(script) as server:
        till, books = paying(db, Limits())
        extractor = ByModel(quick_model(server.url, till=till))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
            await pipeline.say("I live in Oslo", session_id="another")
            await pipeline.settled()
        await books.close()
    assert all("max_tokens" not in request for request in server.requests)
    [line] = await pipeline.rows("SELECT * FROM spending")
    counted = ("purpose", "calls", "failed", "input_tokens", "output_tokens")
    assert [line[name] for name in counted] == ["extraction", 3, 2, 20, 10]
    assert await pipeline.rows("SELECT * FROM budget_days") == []
    [letter] = await dead(pipeline)
    assert letter["error_class"] == "poison"


async def test_a_model_that_takes_the_limit_under_its_newer_name_is_asked_by_it(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A refusal of `max_tokens` costs one request, once."""

    def script(document: dict[str, Any]) -> Any:
        if "max_tokens" in document["_request"]:
            message = "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead."
            error = {"message": message, "code": "unsupported_parameter"}
            return Reply(status=400, error=error)
        return one_fact_each(document)

    async with chat_server(script) as server:
        till, books = paying(db, Limits(10**7))
        extractor = ByModel(quick_model(server.url, till=till))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **SOON)
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
            await pipeline.say("I live in Oslo", session_id="another")
            await pipeline.settled()
        await books.close()
    caps = ["max_tokens" in request for request in server.requests]
    assert caps == [True, False, False]
    assert await pipeline.rows("SELECT * FROM failures") == []


async def _open_facts(pipeline: Pipeline) -> dict[str, int]:
    rows = await pipeline.rows(
        """SELECT tenant_id, count(*)::int AS n FROM memory_facts WHERE state <> 'settled'
            GROUP BY tenant_id"""
    )
    settled = await pipeline.rows("SELECT count(*)::int AS n FROM memory_facts")
    return {row["tenant_id"]: row["n"] for row in rows} if settled[0]["n"] == 20 else {}


async def _quiet(server: Any) -> None:
    """Wait until nothing has been asked for a while."""
    async with asyncio.timeout(60):
        asked = -1
        while asked != len(server.documents):
            asked = len(server.documents)
            await asyncio.sleep(1.5)


def _of_tenant(message: Any, tenant: str) -> Any:
    return replace(message, tenant=tenant)
