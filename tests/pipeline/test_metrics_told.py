"""Every metric of the catalogue is told by somebody: the whole of Mémoire in one process says all."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from services.gateway.app import build_app
from services.maintenance.jobs import known_kinds
from services.maintenance.watch.work import Watch
from shared.broker import connect_redis
from shared.errors import ConfigurationError, PausedError
from shared.metrics.catalogue import CATALOGUE
from shared.metrics.kinds import Metric
from shared.metrics.serving import beat, kept, served
from shared.settings import Settings
from shared.spending import store as spending
from shared.spending.books import Asked, NoRecords
from shared.spending.budgets import Budgets
from shared.spending.prices import Prices
from shared.spending.store import Limits
from shared.spending.till import Till
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server, one_fact_each
from tests.fakes.embedder import HashEmbedder
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_gate, quick_model

KEY = {"X-API-Key": "the-admin-key"}


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    made = CollectorRegistry()
    with kept(made):
        yield made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the metrics that somebody has told something."""
    names: set[str] = set()
    child = Metric._child

    def spying(metric: Metric, labels: Any) -> Any:
        names.add(metric.name)
        return child(metric, labels)

    monkeypatch.setattr(Metric, "_child", spying)
    return names


class StumblingEmbedder(HashEmbedder):
    """Is misconfigured once."""

    stumbled = False

    async def embed(self, texts: Any, payers: Any = ()) -> Any:
        if not self.stumbled:
            self.stumbled = True
            raise ConfigurationError("no such model")
        return await super().embed(texts, payers)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def some_and_one_bad(document: dict[str, Any]) -> Any:
    """A fact for each message, and one that rests on nothing."""
    answer = one_fact_each(document)
    bad = {"content": "Likes zebras", "source_message_ids": []}
    usage = {"prompt_tokens": 900, "completion_tokens": 100}
    return Reply(content=json.dumps({"facts": [*answer["facts"], bad]}), usage=usage)


async def test_every_metric_of_the_catalogue_is_told(
    db: TestedDatabase, redis: Redis, redis_url: str, registry: CollectorRegistry, told: set[str]
) -> None:
    """A conversation, a lost bell, nonsense, a pause, a spent budget, jobs, recalls: all is told."""
    async with db.everyone.autocommit() as tx:
        await spending.set_budget(tx, "default", Limits(10**6))
    async with chat_server(some_and_one_bad) as server:
        asked = Asked("extraction", "fake", "fake")
        till = Till(asked, budgets=Budgets(db, Limits()), prices=Prices.of(1, 2))
        extractor = ByModel(quick_model(server.url, till=till))
        settings = {"optimize_cron": "* * * * *", "watch_seconds": 0.1, **UNHURRIED}
        pipeline = Pipeline(
            db, redis, redis_url, extractor=extractor, embedder=StumblingEmbedder(), **settings
        )
        async with pipeline.running():
            await redis.xadd("memoire:messages", {"nonsense": "1"})
            await redis.xadd(
                "memoire:messages", {"user_id": "bo", "role": "user", "content": "I live in Oslo"}
            )
            await pipeline.store(
                pipeline.message("I live in Lisbon", session_id="lost")
            )  # its bell is lost
            await pipeline.say("I have a dog called Rex", "Hello")
            await _until(
                lambda: value(registry, "memoire_bells_rung_again_total", stream="memoire:messages")
            )
            await pipeline.settled()
            await _a_round_is_due(pipeline)
            await _until(lambda: value(registry, "memoire_jobs_scheduled_total", kind="optimize"))
            await pipeline.settled()
            await _gateway(db, redis)
            await _until(lambda: value(registry, "memoire_open_rows", stage="extractor") == 0)
            await _until(lambda: value(registry, "memoire_dead_rows", stage="extractor") == 1)
        await _held(db, server.url)
    await _process()
    missing = {metric.name for metric in CATALOGUE} - told
    assert not missing
    assert value(registry, "memoire_server_up", server="postgres") == 1
    assert value(registry, "memoire_server_up", server="redis") == 1
    assert value(registry, "memoire_budget_left_ratio", tenant="default", resource="tokens") < 1
    assert (
        value(registry, "memoire_stage_pauses_total", stage="embedder", reason="configuration") == 1
    )
    assert value(registry, "memoire_ingested_messages_total", way="redis", outcome="accepted") == 1
    assert value(registry, "memoire_ingested_messages_total", way="redis", outcome="refused") == 1
    assert value(registry, "memoire_dropped_facts_total", reason="no_source") >= 1
    assert value(registry, "memoire_fact_events_total", event="fact.settled") >= 3
    shown = {
        arm: value(registry, "memoire_recall_shown_facts_total", arm=arm)
        for arm in ("vector", "lexical", "both", "neighbours")
    }
    assert shown["vector"] + shown["lexical"] + shown["both"] >= 2, shown
    assert value(registry, "memoire_end_to_end_seconds_count", outcome="fact") >= 3
    spent = value(
        registry, "memoire_model_tokens_total",
        purpose="extraction", provider="fake", model="fake", direction="input",
    )  # fmt: skip
    assert spent == 900 * len(server.documents)
    _no_ids(registry)


async def test_an_extractor_that_waits_for_an_operator_is_told(
    db: TestedDatabase, redis: Redis, redis_url: str, registry: CollectorRegistry
) -> None:
    """The alert on a wrong key, or an unknown model, rests on this."""
    keys = iter([401, 404])
    with_key: dict[str, Any] = {"stage": "extractor", "reason": "configuration"}

    def script(document: dict[str, Any]) -> Any:
        return Reply(status=status) if (status := next(keys, None)) else one_fact_each(document)

    async with chat_server(script) as server:
        extractor = ByModel(quick_model(server.url))
        pipeline = Pipeline(db, redis, redis_url, extractor=extractor, **UNHURRIED)
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
    assert value(registry, "memoire_stage_pauses_total", **with_key) == 2
    assert await pipeline.rows("SELECT FROM failures") == [], "no attempt is burnt"


async def _a_round_is_due(pipeline: Pipeline) -> None:
    """As if the schedule had last been kept yesterday."""
    await _until_async(
        lambda: pipeline.rows("SELECT 1 AS one FROM schedules WHERE kind = 'optimize'")
    )
    async with pipeline.db.everyone.autocommit() as tx:
        await tx.execute("UPDATE schedules SET slot = slot - interval '1 day'")


async def _gateway(db: TestedDatabase, redis: Redis) -> None:
    """Requests of most kinds, and recalls with and without a vector."""
    embedder = StumblingEmbedder()
    settings = Settings(admin_key="the-admin-key", recall_memory_mb=16)
    app = build_app(settings, db=db, redis=redis, embedder=embedder, job_kinds=known_kinds())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://g", headers=KEY
        ) as client,
    ):
        embedder.stumbled = False
        for query in ("Where do I live?", "Lisbon", "dog"):
            answer = await client.post("/v1/recall", json={"user_id": "ana", "query": query})
            assert answer.status_code == 200, answer.text
        said = {"user_id": "eve", "role": "user", "content": "I live in Rome"}
        assert (await client.post("/v1/ingest", json=said)).status_code == 202
        assert (await client.get("/v1/users/ana/facts")).status_code == 200
        assert (await client.get("/no/such/path")).status_code == 404
        assert (await client.post("/v1/users/ana/optimize")).status_code == 202


async def _held(db: TestedDatabase, url: str) -> None:
    """A model that is left alone is asked nothing."""
    gate = quick_gate(url)
    with suppress(ConfigurationError):
        async with gate.passing():
            raise ConfigurationError("no such model")
    with pytest.raises(PausedError):
        async with gate.passing():
            raise AssertionError("it was asked")


async def _process() -> None:
    """What every process tells beside its work; served, which the registry above is not."""
    with served("embedder", "127.0.0.1", _free_port()) as serving:
        assert serving
        beating = asyncio.create_task(beat())
        await asyncio.sleep(0)
        beating.cancel()


def _no_ids(registry: CollectorRegistry) -> None:
    """No label holds a user, a session, an id or a text."""
    for family in registry.collect():
        for sample in family.samples:
            for name, said in sample.labels.items():
                assert len(said) < 60, (sample.name, name, said)
                assert said not in {"ana", "bo", "eve", "/no/such/path"}, (sample.name, name)


async def _until(holds: Any, timeout_seconds: float = 60.0) -> None:
    async with asyncio.timeout(timeout_seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def _until_async(holds: Any, timeout_seconds: float = 60.0) -> None:
    async with asyncio.timeout(timeout_seconds):
        while not await holds():
            await asyncio.sleep(0.02)


# ---- serving


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_metrics_are_served_on_a_port_of_their_own() -> None:
    port = _free_port()
    with served("embedder", "127.0.0.1", port) as serving:
        assert serving
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            page = answer.read().decode()
    assert "memoire_build_info{version=" in page
    assert "memoire_watch_timestamp_seconds" not in page, "the sweeper tells that"
    assert "process_cpu_seconds_total" in page
    assert not any(metric.is_open for metric in CATALOGUE)


def test_what_may_yet_happen_is_told_as_nothing() -> None:
    """Of this stage, so that a rate sees the first time; nobody can list the models there may be."""
    with (
        served("extractor", "127.0.0.1", port := _free_port()),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer,
    ):
        page = answer.read().decode()
    labels = 'error_class="poison",outcome="dead",stage="extractor"'
    assert f"memoire_failed_attempts_total{{{labels}}} 0.0" in page
    assert 'stage="embedder"' not in page
    assert "memoire_model_calls_total{" not in page
    assert "memoire_open_rows" not in page, "a gauge is told when somebody has looked"


def test_a_port_that_is_taken_costs_the_metrics_only() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with served("embedder", "127.0.0.1", taken.getsockname()[1]) as serving:
            assert not serving
            assert not any(metric.is_open for metric in CATALOGUE)


def test_port_0_switches_metrics_off() -> None:
    with served("embedder", "127.0.0.1", 0) as serving:
        assert not serving


# ---- the watch


async def test_of_a_server_that_is_away_nothing_old_is_told(
    db: TestedDatabase, redis: Redis, registry: CollectorRegistry
) -> None:
    await Watch(db.everyone, redis, Settings()).look()
    assert registry.get_sample_value("memoire_stream_entries", {"stream": "memoire:messages"}) == 0
    nowhere = connect_redis(f"redis://127.0.0.1:{_free_port()}", timeout_seconds=0.5)
    await Watch(db.everyone, nowhere, Settings()).look()
    await nowhere.aclose()
    assert registry.get_sample_value("memoire_server_up", {"server": "redis"}) == 0
    assert registry.get_sample_value("memoire_server_up", {"server": "postgres"}) == 1
    assert (
        registry.get_sample_value("memoire_stream_entries", {"stream": "memoire:messages"}) is None
    )


async def test_the_watch_tells_what_waits(
    db: TestedDatabase, redis: Redis, redis_url: str, registry: CollectorRegistry
) -> None:
    """Without any stage running: open rows and their age, what a window holds back, who has most."""
    pipeline = Pipeline(db, redis, redis_url, window=2)
    await pipeline.say("one", "two", "three")
    await Watch(db.everyone, redis, pipeline.settings).look()
    assert value(registry, "memoire_open_rows", stage="extractor") == 3
    assert value(registry, "memoire_oldest_open_row_seconds", stage="extractor") > 0
    assert value(registry, "memoire_held_back_messages") == 1
    assert value(registry, "memoire_held_back_tenants") == 1
    assert value(registry, "memoire_tenant_open_messages", rank="1") == 3
    assert value(registry, "memoire_stream_entries", stream="memoire:messages") == 1
    assert value(registry, "memoire_postgres_connections") >= 1


async def test_the_watch_tells_how_long_entries_are_pending(
    db: TestedDatabase, redis: Redis, registry: CollectorRegistry
) -> None:
    await redis.xgroup_create("memoire:messages", "extractor", id="0", mkstream=True)
    await redis.xadd("memoire:messages", {"a": "b"})
    await redis.xreadgroup("extractor", "gone", {"memoire:messages": ">"})
    await asyncio.sleep(0.05)
    await Watch(db.everyone, redis, Settings()).look()
    assert value(registry, "memoire_stream_pending_entries", stream="memoire:messages") == 1
    assert (
        value(registry, "memoire_oldest_pending_entry_seconds", stream="memoire:messages") >= 0.05
    )
    assert value(registry, "memoire_consumers", stage="extractor") == 1


async def test_budgets_are_told_of_tenants_that_an_operator_gave_one(
    db: TestedDatabase, redis: Redis, registry: CollectorRegistry
) -> None:
    """Others are among the least only; at most fifty are named, those with least left."""
    async with db.everyone.autocommit() as tx:
        await tx.execute(
            """INSERT INTO budgets (tenant_id, tokens_per_day)
               SELECT 'own-' || n, 1000 FROM generate_series(1, 60) AS n"""
        )
        await tx.execute(
            """INSERT INTO budget_days (tenant_id, day, tokens)
               SELECT 'own-' || n, (now() AT TIME ZONE 'UTC')::date, n FROM generate_series(1, 60) AS n
               UNION ALL SELECT 'anybody', (now() AT TIME ZONE 'UTC')::date, 90"""
        )
    await Watch(db.everyone, redis, Settings(tenant_tokens_per_day=100)).look()
    [family] = [f for f in registry.collect() if f.name == "memoire_budget_left_ratio"]
    assert {sample.labels["tenant"] for sample in family.samples} == {
        f"own-{n}" for n in range(11, 61)
    }
    left = {"tenant": "own-60", "resource": "tokens"}
    assert registry.get_sample_value("memoire_budget_left_ratio", left) == pytest.approx(0.94)
    assert value(registry, "memoire_budget_least_left_ratio", resource="tokens") == pytest.approx(
        0.1
    )
    assert value(registry, "memoire_budget_least_left_ratio", resource="money") == 1


# ---- the gateway


async def test_requests_are_counted_by_the_routes_template(
    db: TestedDatabase, redis: Redis, registry: CollectorRegistry
) -> None:
    settings = Settings(admin_key="the-admin-key", max_body_bytes=1_000)
    app = build_app(settings, db=db, redis=redis, embedder=HashEmbedder())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://g", headers=KEY
        ) as client,
    ):
        await client.get("/v1/users/ana/facts")
        await client.get("/v1/users/bo/facts")
        await client.post("/v1/recall", json={"user_id": "ana"})
        await client.post("/v1/ingest", content=b"x" * 2_000)
        await client.get("/ana/was/here")
        await client.request("ZEBRA", "/v1/health")
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "memoire_http_requests_total"
    }
    assert counted == {
        ("GET", "/v1/users/{user_id}/facts", "200"): 2,
        ("POST", "/v1/recall", "422"): 1,
        ("POST", "unmatched", "413"): 1,
        ("GET", "unmatched", "404"): 1,
        ("other", "/v1/health", "405"): 1,
    }
    assert value(registry, "memoire_http_requests_in_progress") == 0


async def test_what_a_till_refuses_and_pays_is_told(registry: CollectorRegistry) -> None:
    till = Till(Asked("judging", "host", "m"), records=NoRecords(), prices=Prices.of(2, 4))
    from shared.spending.prices import Tokens

    async with till.paying({"a": 1, "b": 1}) as bill:
        bill.tokens = Tokens(1_000, 500)
    names = {"purpose": "judging", "provider": "host", "model": "m"}
    assert value(registry, "memoire_model_calls_total", **names, outcome="ok") == 1
    assert value(registry, "memoire_model_tokens_total", **names, direction="output") == 500
    assert value(registry, "memoire_model_money_total", **names) == pytest.approx(0.004)
    with pytest.raises(ConfigurationError):
        async with till.paying({"a": 1}):
            raise ConfigurationError("no such model")
    assert value(registry, "memoire_model_calls_total", **names, outcome="configuration") == 1
