"""Corrections and forgetting on the real stages: in any order, any number of times, mid-flight."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis

from services.extractor.extractors import ByRules
from services.gateway.app import build_app
from services.maintenance.jobs import known_kinds
from shared.broker import Announcer
from shared.events import RowsBell
from shared.facts.store import insert_facts
from shared.failures.store import RowRef
from shared.ledger import folding
from shared.ledger.acts import acts_from
from shared.settings import Settings
from shared.topology import EXTRACTED
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder
from tests.pipeline.harness import Pipeline, at
from tests.pipeline.test_beliefs_hold import deliver, observation

HEADERS = {"X-API-Key": "the-admin-key"}


class Operator:
    """What an operator does over HTTP while the stages work."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def patch(self, fact: Any, **body: Any) -> str:
        answer = await self.client.patch(f"/v1/facts/{fact}", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["fact_id"]

    async def delete(self, fact: Any) -> None:
        answer = await self.client.delete(f"/v1/facts/{fact}")
        assert answer.status_code == 200, answer.text

    async def undo(self, fact: Any) -> int:
        return (await self.client.post(f"/v1/facts/{fact}/undo")).status_code

    async def erase(self, *, session: str = "default", message: Any = None) -> dict[str, int]:
        path = f"/v1/users/ana/sessions/{session}/messages"
        answer = await self.client.delete(path if message is None else f"{path}/{message}")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def operator(db: TestedDatabase, redis: Redis) -> Any:
    settings = Settings(admin_key="the-admin-key")
    app = build_app(settings, db=db, redis=redis, embedder=HashEmbedder(), job_kinds=known_kinds())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://g", headers=HEADERS) as client,
    ):
        yield Operator(client)


async def facts_of(pipeline: Pipeline, user: str = "ana") -> dict[str, UUID]:
    rows = await pipeline.rows(
        "SELECT id, content FROM memory_facts WHERE user_id = %(user)s", user=user
    )
    return {row["content"]: row["id"] for row in rows}


async def folded(pipeline: Pipeline) -> int:
    """Compare the whole cache with the pure law; returns how many facts that were."""
    rows = await pipeline.rows("SELECT * FROM memory_facts WHERE state = 'settled'")
    verdicts = await pipeline.rows(
        "SELECT * FROM verdicts WHERE verdict IN ('duplicate', 'supersedes')"
    )
    acts = await pipeline.rows("SELECT * FROM belief_acts")
    decided = folding.decided_by(verdicts)
    for user in {row["user_id"] for row in rows}:
        mine = [row for row in rows if row["user_id"] == user]
        done = acts_from([act for act in acts if act["user_id"] == user])
        standings = dict(folding.fold_free_text([r for r in mine if not r["slot"]], decided, done))
        slots = folding.by_attribute([row for row in mine if row["slot"]])
        for attribute, observed in slots.items():
            standings |= folding.fold_attribute(attribute, observed, done).standings
        for row in mine:
            assert folding.standing_of(row) == standings[row["id"]], row["content"]
    return len(rows)


async def test_a_correction_and_a_deletion_go_through_the_real_stages(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running():
        await pipeline.say("I live in Rome", timestamp="2020-01-01T00:00:00Z")
        await pipeline.say("I have a dog named Rex", timestamp="2020-01-01T00:00:00Z")
        await pipeline.settled()
        [city, pet] = [
            (await pipeline.rows("SELECT id FROM memory_facts WHERE slot = %(s)s", s=slot))[0]["id"]
            for slot in ("home_city", "pet")
        ]
        await operator.patch(city, value="Porto")
        await operator.delete(pet)
        await pipeline.settled()
        assert await pipeline.current(slot="home_city") == ["Porto"]
        assert await pipeline.current(slot="pet") == []
        await pipeline.say("I live in Rome")
        await pipeline.say("I have a dog named Rex")
        await pipeline.settled()
        assert await pipeline.current(slot="home_city") == ["Rome"]
        assert await pipeline.current(slot="pet") == ["Rex"]
    await folded(pipeline)


async def test_a_second_ingest_of_the_same_messages_brings_nothing_back(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    """By HTTP and straight from Redis; what was erased stays erased."""
    pipeline = Pipeline(db, redis, redis_url)
    messages = [
        {"content": "I live in Rome", "message_id": "m1", "timestamp": "2020-01-01T00:00:00Z"},
        {"content": "I work at Google", "message_id": "m2", "timestamp": "2020-01-01T00:00:00Z"},
    ]

    async def ingest() -> None:
        for message in messages:
            body = {"user_id": "ana", "role": "user", **message}
            assert (await operator.client.post("/v1/ingest", json=body)).status_code == 202
            await redis.xadd("memoire:messages", body)
        await pipeline.settled()
        await pipeline.drained(["memoire:messages"])

    async with pipeline.running():
        await ingest()
        rows = await pipeline.rows("SELECT id, slot, source_message_ids FROM memory_facts")
        facts = {row["slot"]: row for row in rows}
        await operator.delete(facts["home_city"]["id"])
        [message] = facts["employer"]["source_message_ids"]
        await operator.erase(message=message)
        await ingest()
        assert await pipeline.current() == []
        old = {"user_id": "ana", "role": "user", "content": "I live in Rome"}
        imported = {**old, "message_id": "other", "timestamp": "2019-01-01T00:00:00Z"}
        await operator.client.post("/v1/ingest", json=imported)
        await pipeline.settled()
        assert await pipeline.current() == [], "an old chat, imported under another id"
    words = await pipeline.rows(
        """SELECT count(*) AS n FROM chat_logs WHERE content LIKE '%%Google%%'
           UNION ALL SELECT count(*) FROM memory_facts WHERE content LIKE '%%Google%%'
                  OR value LIKE '%%Google%%' OR quote LIKE '%%Google%%'"""
    )
    assert [row["n"] for row in words] == [0, 0]
    assert await pipeline.rows("SELECT 1 FROM failures") == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_acts_amid_shuffled_and_repeated_deliveries_end_in_the_fold(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator, seed: int
) -> None:
    """Whatever is corrected, deleted and undone while facts settle: the cache is the pure law."""
    rng = random.Random(seed)
    facts = [observation(rng, number) for number in range(60)]
    pipeline = Pipeline(db, redis, redis_url)
    stages = ("embedder", "deduper", "superseder")
    async with pipeline.running(*stages, *stages):
        delivering = asyncio.create_task(deliver(pipeline, facts, random.Random(seed * 17)))
        done = 0
        while done < 40:
            rows = await pipeline.rows("SELECT id, slot, claim, value, standing FROM memory_facts")
            if not rows:
                await asyncio.sleep(0.01)
                continue
            done += await _act(operator, rng, rng.choice(rows))
        await delivering
        async with pipeline.db.everyone.transaction() as tx:
            assert await insert_facts(tx, facts) == [], "a redelivery adds nothing"
        bells = [
            RowsBell("default", f.user, (f.id,), at("2026-01-01T00:00:00+00:00")) for f in facts
        ]
        await Announcer(redis).announce([(EXTRACTED, bell) for bell in bells])
        await pipeline.settled()
    kinds = await pipeline.rows("SELECT kind, count(*) AS n FROM belief_acts GROUP BY kind")
    assert {row["kind"] for row in kinds} >= {"correction", "tombstone", "undo"}, "and labels"
    assert await folded(pipeline) >= 60


async def _act(operator: Operator, rng: random.Random, fact: dict[str, Any]) -> int:
    """One act on a fact; what its state forbids is no act."""
    what = rng.choice(["correct", "correct", "delete", "undo"])
    if what == "delete":
        await operator.delete(fact["id"])
    elif what == "undo":
        return await operator.undo(fact["id"]) == 200
    else:
        new = rng.choice(["Boston", "Rex", "Oslo"])
        body = (
            {"value": new, "content": f"It is {new}"} if fact["slot"] else {"content": f"Is {new}"}
        )
        path = f"/v1/facts/{fact['id']}"
        return (await operator.client.patch(path, json=body)).status_code == 202
    return 1


# ---- messages on their way


class Held(ByRules):
    """Rules that wait for a signal, so that a test can act while a session is extracted."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.seen: list[list[str]] = []

    async def extract(self, messages: Sequence[Any], *rest: Any, payer: str) -> Any:
        self.seen.append([message.content for message in messages])
        self.began.set()
        await self.go_on.wait()
        return await super().extract(messages, *rest, payer=payer)


async def test_a_message_erased_during_its_extraction_leaves_nothing(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    """What the call answers is not committed; the other messages are read again without it."""
    extractor = Held()
    pipeline = Pipeline(db, redis, redis_url, extractor=extractor)
    async with pipeline.running():
        [secret, _] = await pipeline.say("I live in Rome", "I have a dog named Rex")
        await extractor.began.wait()
        counts = await operator.erase(message=secret.id)
        assert counts == {"messages": 1, "facts": 0}
        extractor.go_on.set()
        await pipeline.settled()
    rows = await pipeline.rows("SELECT slot, value FROM memory_facts")
    assert [(row["slot"], row["value"]) for row in rows] == [("pet", "Rex")]
    assert extractor.seen[-1] == ["I have a dog named Rex"]


async def test_messages_that_nobody_has_read_are_erased_in_time(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    pipeline = Pipeline(db, redis, redis_url)
    await pipeline.say("I live in Rome", "I have a dog named Rex")
    assert await operator.erase() == {"messages": 2, "facts": 0}
    assert await pipeline.open_rows() == 0
    async with pipeline.running():
        await pipeline.say("I work at Google")
        await pipeline.settled()
        await pipeline.drained(["memoire:messages"])
    rows = await pipeline.rows("SELECT slot FROM memory_facts")
    assert [row["slot"] for row in rows] == ["employer"]


WAITS_FOR = {"embedder": "extracted", "deduper": "embedded", "superseder": "compared"}


@pytest.mark.parametrize("moment", ["before", "while thinking"])
@pytest.mark.parametrize("stage", WAITS_FOR)
async def test_facts_on_their_way_become_a_no_op_at_every_stage(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator, stage: str, moment: str
) -> None:
    """Erased before the stage looks, or while it thinks with the words in its hands."""
    pipeline = Pipeline(db, redis, redis_url)
    [message] = await pipeline.say("I can't stand coriander, and I live in Rome")
    before = ("extractor", "embedder", "deduper", "superseder")
    async with pipeline.running(*before[: before.index(stage)]):
        async with asyncio.timeout(60):
            while not await _all_are(pipeline, WAITS_FOR[stage]):
                await asyncio.sleep(0.02)
    erasing = Erasing(operator, message.id)
    work: Any = pipeline.stage(stage)
    erasing.during(work, stage if moment == "while thinking" else "")
    refs = await pipeline.rows("SELECT id FROM memory_facts")
    announced = await work.process([RowRef("default", "ana", row["id"]) for row in refs])
    assert announced == []
    assert erasing.counts == [{"messages": 1, "facts": len(refs)}]
    async with pipeline.running():
        await pipeline.settled()
    left = await pipeline.rows("SELECT content, standing, state FROM memory_facts")
    assert {(r["content"], r["standing"], r["state"]) for r in left} == {
        ("", "forgotten", "settled")
    }
    assert await pipeline.rows("SELECT 1 FROM fact_vectors") == []


class Erasing:
    """Erases a message once, at a chosen moment of a stage's work."""

    def __init__(self, operator: Operator, message: UUID) -> None:
        self.operator = operator
        self.message = message
        self.counts: list[dict[str, int]] = []

    def during(self, work: Any, stage: str) -> None:
        """Within the model call or the judging of a stage; else before anything is read."""
        if stage == "embedder":
            self._around(work._embedders.configured, "embed")
        elif stage == "deduper":
            self._around(work, "_propose")
        else:
            self._around(work, "process")

    def _around(self, of: Any, name: str) -> Any:
        inner = getattr(of, name)

        async def erase_first(*args: Any) -> Any:
            if not self.counts:
                self.counts.append({})
                self.counts[0] = await self.operator.erase(message=self.message)
            return await inner(*args)

        setattr(of, name, erase_first)
        return of


async def _all_are(pipeline: Pipeline, state: str) -> bool:
    rows = await pipeline.rows("SELECT state FROM memory_facts")
    return bool(rows) and {row["state"] for row in rows} == {state}


async def test_a_message_dead_before_it_was_erased_is_not_redriven(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    """Its failures go with its words."""
    pipeline = Pipeline(db, redis, redis_url)
    [message] = await pipeline.say("I live in Rome")
    await pipeline.rows(
        """WITH dead AS (
               INSERT INTO failures (id, stage, subject_id, tenant_id, user_id, attempts,
                                     error_class, error, dead_at)
               VALUES (%(id)s, 'extractor', %(id)s::text, 'default', 'ana', 5, 'poison',
                       'I live in Rome is too much', now()))
           UPDATE chat_logs SET retry_at = 'infinity' WHERE id = %(id)s RETURNING id""",
        id=message.id,
    )
    await operator.erase()
    redriven = await operator.client.post("/v1/dead-letters/redrive", json={"all": True})
    assert redriven.json() == {"redriven": 0}
    async with pipeline.running():
        await pipeline.settled()
    assert await pipeline.rows("SELECT 1 FROM memory_facts") == []


async def test_the_profile_follows_what_the_stages_settle(
    db: TestedDatabase, redis: Redis, redis_url: str, operator: Operator
) -> None:
    """Requested over HTTP, written by maintenance, stale once the superseder retires a source."""
    pipeline = Pipeline(db, redis, redis_url)

    async def profile() -> dict[str, Any]:
        return (await operator.client.get("/v1/users/ana/conscious")).json()["profile"]

    async with pipeline.running():
        await pipeline.say("I live in Rome", timestamp="2020-01-01T00:00:00Z")
        await pipeline.settled()
        job = (await operator.client.post("/v1/users/ana/consolidate")).json()["trace_id"]
        trace = f"/v1/traces/{job}?wait=settled"
        assert (await operator.client.get(trace)).json()["status"] == "settled"
        assert (await profile())["content"] == "Home city: Rome"
        await pipeline.say("I live in Porto", timestamp="2021-01-01T00:00:00Z")
        await pipeline.settled()
        assert (await profile())["stale"] is True
        await operator.client.post("/v1/users/ana/consolidate")
        await pipeline.settled()
        found = await profile()
    assert (found["content"], found["stale"]) == ("Home city: Porto", False)
