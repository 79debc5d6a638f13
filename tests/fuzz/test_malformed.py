"""Malformed input is refused with its reason, and costs no neighbour anything."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from redis.asyncio import Redis

from shared.db import Database
from shared.errors import PoisonError
from shared.failures.store import RetryPolicy, Subject, record
from tests.fuzz.bad_entries import BadEntries
from tests.fuzz.bad_requests import BadRequests
from tests.fuzz.malformed import Run
from tests.integration.test_gateway_app import ADMIN, serve
from tests.listening import listening
from tests.pipeline.harness import UNHURRIED, Pipeline


class _InProcess:
    """A gateway behind a real socket, in this process, and the database behind it."""

    def __init__(self, port: int, database_url: str) -> None:
        self.url, self.key, self._database = f"http://127.0.0.1:{port}", ADMIN, database_url

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


async def test_a_few_hundred_malformed_requests_and_entries(
    database_url: str, db: Database, redis: Redis, redis_url: str
) -> None:
    """The same as `python -m tests.fuzz.malformed`, small, with everything in this process."""
    pipeline = Pipeline(db, redis, redis_url, **UNHURRIED)
    unlimited = {"rate_limit_per_minute": 0, "tenant_rate_limit_per_minute": 0}
    async with (
        serve(database_url, redis, **unlimited) as api,
        listening(api.app) as port,
        pipeline.running("extractor", "embedder", "deduper", "superseder"),
    ):
        report = await Run(_InProcess(port, database_url), redis, count=400, seed=7).go()
    assert report.faults == []
    assert (report.requests, report.entries, report.dead_letters) == (200, 200, 200)
    assert report.settled_once == report.neighbours == 20


def test_a_seed_makes_the_same_input_again() -> None:
    for make in (lambda seed: BadRequests("key", seed), BadEntries):
        first, again, other = ([made.next() for _ in range(50)] for made in map(make, (1, 1, 2)))
        assert first == again != other


async def test_a_dead_letter_keeps_json_that_spells_nul(db: Database) -> None:
    r"""A payload's text may hold the six characters `\u0000`: they are kept as they came."""
    spelled = json.dumps({"a\x00b": 1})
    subject = Subject(
        "default", "ana", "memoire:messages:1-1:x", {"metadata": spelled, "b": "\x00"}
    )
    async with db.of("default").transaction() as tx:
        await record(tx, "extractor", [subject], PoisonError("no"), RetryPolicy())
        kept = await tx.value("SELECT payload FROM failures")
    assert kept == {"metadata": spelled, "b": "�"}
