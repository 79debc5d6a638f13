"""The same lives through the real stages: a model's words in, the right beliefs in the rows."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.broker import Announcer
from shared.facts.statements import NewFact, Statement, observed
from shared.facts.store import insert_facts
from shared.ids import derived_id
from shared.ledger import folding
from shared.slots import SlotSpec, built_in
from shared.tenant_slots import store as tenant_slots
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline
from tests.slot_stories import Said, Story, Teller

STORIES = 150


def fact(user: str, number: int, said: Said) -> NewFact:
    return NewFact(
        **observed(said.statement),
        tenant="default",
        user=user,
        id=derived_id(user, number),
        generation=1,
        said_at=said.at,
        recorded_at=said.at,
        message_key=f"m{number}",
        ordinal=0,
        source_message_ids=(derived_id("message", user, number),),
    )


async def deliver(pipeline: Pipeline, facts: list[NewFact], rng: random.Random | None) -> None:
    """Store facts in portions, ring for some of them twice; shuffled, where there is a die."""
    arriving = list(facts)
    if rng:
        arriving += rng.sample(facts, len(facts) // 4)
        rng.shuffle(arriving)
    await pipeline.rows(
        "INSERT INTO users (tenant_id, user_id) SELECT DISTINCT 'default', unnest(%(users)s::text[])"
        " RETURNING 1 AS d",
        users=[fact.user for fact in facts],
    )
    for start in range(0, len(arriving), 60):
        portion = {fact.id: fact for fact in arriving[start : start + 60]}
        async with pipeline.db.everyone.transaction() as tx:
            bells = await insert_facts(tx, list(portion.values()))
        await Announcer(pipeline.redis).announce(bells * (2 if rng else 1))


async def believed(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    rows = await pipeline.rows("SELECT * FROM memory_facts WHERE standing = 'belief'")
    users: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        users.setdefault(row["user_id"], []).append(row)
    return users


def values_at(rows: list[dict[str, Any]], story: Story, at: datetime) -> set[int]:
    """Which of the story's values the rows' cache holds true at a moment."""
    spelled = {built_in().value_key(story.slot, s[0]): n for n, s in enumerate(story.values)}
    return {
        spelled[row["value_key"]]
        for row in rows
        for start, end in folding.standing_of(row).valid  # type: ignore[union-attr]
        if (start is None or start <= at) and (end is None or at < end)
    }


@pytest.mark.parametrize("shuffled", [False, True])
async def test_lives_told_to_the_pipeline_are_believed(
    db: TestedDatabase, redis: Redis, redis_url: str, shuffled: bool
) -> None:
    """In order and shuffled with repeats: every belief right at every moment, no sibling lost."""
    stories = {f"u{number}": Teller(900_000 + number).story() for number in range(STORIES)}
    facts = [
        fact(user, number, said)
        for user, story in stories.items()
        for number, said in enumerate(story.said)
    ]
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running("embedder", "deduper", "superseder"):
        await deliver(pipeline, facts, random.Random(4) if shuffled else None)
        await pipeline.settled(60)
        cached = await believed(pipeline)
    wrong = [
        (user, at)
        for user, story in stories.items()
        for at in story.moments()
        if values_at(cached[user], story, at) != story.true_at(at)
    ]
    assert wrong == []


async def test_beliefs_follow_a_change_of_slots_while_the_pipeline_runs(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """An override and its removal reach every user concerned, through the sweeper and maintenance."""
    stories = [(user, said) for user in ("ana", "ben", "eva") for said in _hobbies()]
    facts = [fact(user, number, said) for number, (user, said) in enumerate(stories)]
    pipeline = Pipeline(db, redis, redis_url)
    one = SlotSpec("hobby", "user_preference", "one", "activity", source="tenant")
    async with pipeline.running():
        await deliver(pipeline, facts, random.Random(1))
        await pipeline.settled()
        assert await pipeline.current("ben", "hobby") == ["chess", "golf"]
        async with db.everyone.transaction() as tx:
            await tenant_slots.put(tx, "default", one)
        await _followed(pipeline)
        assert [await pipeline.current(user, "hobby") for user in ("ana", "ben", "eva")] == [
            ["golf"]
        ] * 3
        async with db.everyone.transaction() as tx:
            assert await tenant_slots.remove(tx, "default", "hobby")
        await _followed(pipeline)
        assert await pipeline.current("ana", "hobby") == ["chess", "golf"]


async def test_a_change_is_followed_although_the_sweeper_dies_before_it_rings(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The jobs it made are rows: the next sweep rings for them, and goes on with the other users."""
    users = ("ana", "ben", "eva")
    facts = [fact(u, n, said) for u in users for n, said in enumerate(_hobbies())]
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running("embedder", "deduper", "superseder"):
        await deliver(pipeline, facts, None)
        await pipeline.settled()
    async with db.everyone.transaction() as tx:
        one = SlotSpec("hobby", "user_preference", "one", "activity", source="tenant")
        await tenant_slots.put(tx, "default", one)
    async with db.everyone.autocommit() as tx:
        assert len(await tenant_slots.spread_refolds(tx, 2)) == 2  # and nobody hears of them
    async with pipeline.running():
        await _followed(pipeline)
    assert [await pipeline.current(user, "hobby") for user in users] == [["golf"]] * 3


def _hobbies() -> list[Said]:
    return [
        Said(
            datetime(year, 1, 1, tzinfo=UTC),
            Statement(content=f"Plays {value}", slot="hobby", value=value),
        )
        for year, value in ((2020, "chess"), (2021, "golf"))
    ]


async def _followed(pipeline: Pipeline) -> None:
    """Wait until no change is left to follow, and what it asked for is done."""
    async with asyncio.timeout(60):
        while (await pipeline.rows("SELECT count(*) AS n FROM slot_refolds"))[0]["n"]:
            await asyncio.sleep(0.02)
    await pipeline.settled()
