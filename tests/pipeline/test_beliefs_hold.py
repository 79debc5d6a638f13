"""On the real stages and database, beliefs depend on what was observed, not on its delivery."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.broker import Announcer
from shared.facts.statements import NewFact, Statement, observed
from shared.facts.store import insert_facts
from shared.ids import derived_id
from shared.ledger import folding
from shared.ledger import store as ledger
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
CITIES = ("San Francisco", "Dallas", "Boston")
PETS = ("Rex", "Milo")
SENTENCES = ("Likes long walks", "Likes long walks.", "Plays chess on Sundays")


def observation(rng: random.Random, number: int) -> NewFact:
    """Make one observation of a small world, always the same for a number."""
    slot = rng.choice(["home_city", "home_city", "pet", None])
    value = {"home_city": rng.choice(CITIES), "pet": rng.choice(PETS), None: None}[slot]
    said_at = BEGAN + timedelta(days=rng.randrange(1500))
    statement = Statement(
        content=f"About {slot}: {value}" if slot else rng.choice(SENTENCES),
        slot=slot,
        value=value,
        claim=rng.choices(["holds", "ends", "denies"], [6, 1, 1])[0] if slot else "holds",
        temporal_state=rng.choices(["current", "past", "future"], [6, 1, 1])[0]
        if slot
        else "current",
        occurred_at=rng.choice([None, None, "2019", "2021-06"]),
    )
    return NewFact(
        **observed(statement),
        tenant="default",
        user=f"u{number % 3}",
        id=derived_id("test", number),
        generation=1,
        said_at=said_at,
        recorded_at=said_at,
        message_key=f"m{number}",
        ordinal=0,
        source_message_ids=(derived_id("message", number),),
    )


async def deliver(pipeline: Pipeline, facts: list[NewFact], rng: random.Random) -> None:
    """Insert facts in some order and portions, some of them twice, ringing as often."""
    arriving = [*facts, *rng.sample(facts, len(facts) // 3)]
    rng.shuffle(arriving)
    users = {fact.user for fact in facts}
    await pipeline.rows(
        "INSERT INTO users (tenant_id, user_id) SELECT 'default', unnest(%(users)s::text[]) RETURNING 1 AS d",
        users=list(users),
    )
    while arriving:
        portion = [arriving.pop() for _ in range(min(len(arriving), rng.randrange(1, 8)))]
        unique = list({fact.id: fact for fact in portion}.values())
        async with pipeline.db.everyone.transaction() as tx:
            announcements = await insert_facts(tx, unique)
        await Announcer(pipeline.redis).announce(announcements * rng.randrange(1, 3))


async def beliefs(pipeline: Pipeline) -> dict[Any, Any]:
    rows = await pipeline.rows("SELECT * FROM memory_facts")
    return {row["id"]: folding.standing_of(row) for row in rows}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_order_and_any_number_of_deliveries_gives_the_same_beliefs(
    db: TestedDatabase, redis: Redis, redis_url: str, seed: int
) -> None:
    """Two of every stage, shuffled and repeated deliveries: the cache is the pure fold."""
    world = random.Random(seed)
    facts = [observation(world, number) for number in range(90)]
    pipeline = Pipeline(db, redis, redis_url)
    stages = ("embedder", "deduper", "superseder")
    async with pipeline.running(*stages, *stages):
        await deliver(pipeline, facts, random.Random(seed * 17))
        await pipeline.settled()
        cached = await beliefs(pipeline)
    rows = await pipeline.rows("SELECT * FROM memory_facts WHERE slot IS NOT NULL")
    folded = 0
    for user in ("u0", "u1", "u2"):
        mine = [row for row in rows if row["user_id"] == user]
        for attribute, observations in folding.by_attribute(mine).items():
            timeline = folding.fold_attribute(attribute, observations, ledger.Acts())
            for fact, standing in timeline.standings.items():
                assert cached[fact] == standing
                folded += 1
    assert folded == len(rows)


async def test_free_text_merges_the_same_way_in_any_order(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Equal sentences are one belief whose evidence is all of them, whatever came first."""
    world = random.Random(5)
    facts = [fact for fact in (observation(world, n) for n in range(120)) if fact.slot is None]
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running("embedder", "deduper", "superseder"):
        await deliver(pipeline, facts, random.Random(3))
        await pipeline.settled()
    rows = await pipeline.rows(
        """SELECT user_id, content, evidence_count FROM memory_facts WHERE standing = 'belief'"""
    )
    said = {(fact.user, fact.statement.content.rstrip(".")) for fact in facts}
    assert {(row["user_id"], row["content"].rstrip(".")) for row in rows} == said
    assert len(rows) == len(said)
    assert sum(row["evidence_count"] for row in rows) == len(facts)
