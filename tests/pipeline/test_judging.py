"""A model as judge over real HTTP: few calls, nothing asked twice, nobody kept waiting."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from redis.asyncio import Redis

from services.deduper.judging.model import ByModel
from services.gateway import store as gateway
from shared.broker import Announcer
from shared.crash import AtPoint
from shared.facts.statements import NewFact, Statement, observed
from shared.facts.store import insert_facts
from shared.failures.store import RowRef
from shared.ids import derived_id
from shared.spending import store as spending
from shared.spending.books import Asked
from shared.spending.budgets import Budgets
from shared.spending.store import Limits
from shared.spending.till import Till
from tests.databases import TestedDatabase
from tests.fakes.chat_server import Reply, chat_server
from tests.fakes.judge import judging, pairs_asked, same_topic_supersedes
from tests.pipeline.harness import Pipeline, quick_model

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
STAGES = ("embedder", "deduper", "superseder")
by_topic = judging(same_topic_supersedes)


def fact(content: str, day: int, user: str = "ana", **said: Any) -> NewFact:
    """A free-text fact said on that day."""
    at = BEGAN + timedelta(days=day)
    return NewFact(
        **observed(Statement(content=content, **said)),
        tenant="default",
        user=user,
        id=derived_id("judged", user, day, content),
        generation=1,
        said_at=at,
        recorded_at=at,
        message_key=f"m{day}",
        ordinal=0,
        source_message_ids=(derived_id("message", user, day),),
    )


async def deliver(pipeline: Pipeline, *facts: NewFact) -> None:
    keys = sorted({(one.tenant, one.user) for one in facts})
    async with pipeline.db.everyone.transaction() as tx:
        await tx.execute(
            "INSERT INTO users (tenant_id, user_id)"
            " SELECT * FROM unnest(%(tenants)s::text[], %(users)s::text[]) ON CONFLICT DO NOTHING",
            {"tenants": [tenant for tenant, _ in keys], "users": [user for _, user in keys]},
        )
        announcements = await insert_facts(tx, facts)
    await Announcer(pipeline.redis).announce(announcements)


@asynccontextmanager
async def asking(db: TestedDatabase, redis: Redis, redis_url: str, script: Any):
    """A pipeline that has its doubtful pairs judged by a scripted server; nothing runs yet."""
    async with chat_server(script) as server:
        model = quick_model(server.url, "oracle", timeout_seconds=5)
        yield Pipeline(db, redis, redis_url, judge=ByModel(model)), server
        await model.close()


@asynccontextmanager
async def judged(
    db: TestedDatabase, redis: Redis, redis_url: str, script: Any, more: tuple[str, ...] = ()
):
    """The same, running."""
    async with (
        asking(db, redis, redis_url, script) as (pipeline, server),
        pipeline.running(*STAGES, *more),
    ):
        yield pipeline, server


async def verdicts(pipeline: Pipeline) -> list[dict[str, Any]]:
    return await pipeline.rows("SELECT * FROM verdicts ORDER BY first_id, second_id")


async def standing(pipeline: Pipeline, user: str) -> dict[str, tuple[Any, ...]]:
    """Every fact by its content: standing, successor's content, stretches, evidence."""
    rows = await pipeline.rows(
        """SELECT f.content, f.said_at, f.standing, f.believed::text AS believed, f.evidence_count,
                  by.content AS successor, of.content AS canonical
             FROM memory_facts f
             LEFT JOIN memory_facts by ON by.id = f.superseded_by
             LEFT JOIN memory_facts of ON of.id = f.canonical_id
            WHERE f.user_id = %(user)s""",
        user=user,
    )
    return {
        f"{row['content']} {row['said_at']:%j}": (
            row["standing"],
            row["successor"],
            row["believed"],
            row["evidence_count"],
            row["canonical"],
        )
        for row in rows
    }


async def test_what_a_model_retires_is_linked_and_kept_in_history(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The old fact stops being believed where the new one begins, and says by what."""
    async with judged(db, redis, redis_url, by_topic) as (pipeline, server):
        await deliver(pipeline, fact("tea: drinks green tea", 1))
        await pipeline.settled()
        await deliver(pipeline, fact("tea: has given up tea", 9))
        await pipeline.settled()
    assert await pipeline.current() == ["tea: has given up tea"]
    [old] = await pipeline.rows("SELECT * FROM memory_facts WHERE content LIKE '%%green%%'")
    assert old["superseded_by"] == derived_id("judged", "ana", 9, "tea: has given up tea")
    [stretch] = old["believed"]
    assert (stretch.lower, stretch.upper) == (BEGAN + timedelta(1), BEGAN + timedelta(9))
    [verdict] = await verdicts(pipeline)
    assert (verdict["verdict"], verdict["judge"]) == ("supersedes", "oracle")
    assert verdict["reason"] == "by rule"
    [call] = await pipeline.rows("SELECT * FROM judgements")
    assert call["id"] == verdict["judgement_id"]
    assert (call["model"], call["prompt"], call["pairs"]) == ("oracle", "judge.v1", 1)
    assert (call["input_tokens"], call["output_tokens"]) == (10, 5)
    async with db.everyone.autocommit() as tx:
        _, _, told = await gateway.history_of(tx, old)
    assert told == [
        {
            "fact_id": old["superseded_by"],
            "verdict": "supersedes",
            "judge": "oracle",
            "reason": "by rule",
            "at": verdict["recorded_at"],
        }
    ]
    [document] = server.documents
    assert document == {
        "task": "judge",
        "pairs": [
            {
                "id": "p1",
                "new": {"content": "tea: has given up tea", "at": "2024-01-10T00:00:00Z"},
                "old": {"content": "tea: drinks green tea", "at": "2024-01-02T00:00:00Z"},
            }
        ],
    }
    events = await pipeline.rows("SELECT event FROM events WHERE event = 'fact.superseded'")
    assert len(events) == 1


async def test_the_fact_said_later_is_new_whatever_arrives_first(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """An old chat imported afterwards is judged as old, and is retired at once."""
    async with judged(db, redis, redis_url, by_topic) as (pipeline, server):
        await deliver(pipeline, fact("tea: has given up tea", 9))
        await pipeline.settled()
        await deliver(pipeline, fact("tea: drinks green tea", 1))
        await pipeline.settled()
    assert pairs_asked(server.documents) == [("tea: has given up tea", "tea: drinks green tea")]
    assert await pipeline.current() == ["tea: has given up tea"]


@pytest.mark.parametrize(
    ("word", "believed"), [("refines", 2), ("independent", 2), ("duplicate", 1), ("supersedes", 1)]
)
async def test_each_word_does_what_it_says(
    db: TestedDatabase, redis: Redis, redis_url: str, word: str, believed: int
) -> None:
    """Refined and independent facts are both kept; a duplicate is evidence; the rest retires."""
    async with judged(db, redis, redis_url, judging(lambda *_: word)) as (pipeline, _):
        await deliver(
            pipeline, fact("Walks the hills alone", 1), fact("Strolls the hills alone", 2)
        )
        await pipeline.settled()
    assert len(await pipeline.current()) == believed
    [verdict] = await verdicts(pipeline)
    assert (verdict["verdict"], verdict["judge"]) == (word, "oracle")


async def test_a_model_never_merges_what_a_guard_keeps_apart(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its "duplicate" of two dogs and three is kept as what it is, with both reasons."""
    async with judged(db, redis, redis_url, judging(lambda *_: "duplicate")) as (pipeline, _):
        await deliver(pipeline, fact("Has two dogs", 1), fact("Has three dogs", 2))
        await pipeline.settled()
    assert len(await pipeline.current()) == 2
    [verdict] = await verdicts(pipeline)
    assert verdict["verdict"] == "independent"
    assert verdict["reason"] == (
        "kept apart, numbers differ: 3 / 2; the model said duplicate: by rule"
    )


async def test_exact_duplicates_cost_no_call(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """What guards decide is not asked; a second delivery of a session adds nothing."""
    async with judged(db, redis, redis_url, by_topic) as (pipeline, server):
        for day in range(5):
            await deliver(pipeline, fact("Likes long walks.", day))
        await pipeline.settled()
    assert server.documents == []
    assert await pipeline.current() == ["Likes long walks."]


async def test_at_most_thirty_candidates_of_a_fact_are_asked_about_in_few_calls(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Sixty others of the same topic: the new fact costs one call of thirty pairs."""
    async with (
        judged(db, redis, redis_url, judging(lambda *_: "independent")) as (
            pipeline,
            server,
        ),
        pipeline.running(*STAGES),
    ):
        await deliver(pipeline, *(fact(f"Visited town {n} by train", n) for n in range(60)))
        await pipeline.settled()
        before = len(server.documents)
        asked = Counter(map(frozenset, pairs_asked(server.documents)))
        assert max(asked.values()) == 1
        assert max(len(document["pairs"]) for document in server.documents) <= 50
        await deliver(pipeline, fact("Visited no town by train", 99))
        await pipeline.settled()
    assert len(server.documents) == before + 1
    assert len(server.documents[-1]["pairs"]) == 30


async def test_batches_of_one_user_wait_for_each_other_and_ask_about_thirty_each(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Bells one by one, all at once: nothing is thought over again, no fact has more candidates."""
    async with judged(db, redis, redis_url, judging(lambda *_: "independent")) as (
        pipeline,
        server,
    ):
        for number in range(40):
            await deliver(pipeline, fact(f"Visited town {number} by train", number))
        await pipeline.settled()
        asked = Counter(map(frozenset, pairs_asked(server.documents)))
    assert set(asked.values()) == {1}
    assert len(asked) <= 30 * 40


async def test_users_and_subjects_never_share_a_question(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Pairs are of one user and one subject."""
    async with judged(db, redis, redis_url, by_topic) as (pipeline, server):
        await deliver(
            pipeline,
            fact("tea: green", 1, "ana"),
            fact("tea: black", 2, "bob"),
            fact("tea: white", 3, "ana", subject="Sara"),
        )
        await pipeline.settled()
    assert server.documents == []


async def test_a_slow_judge_delays_nobody_else_and_is_asked_once(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Others settle meanwhile; longer than claim and lease, with two workers, the call is one."""
    release = asyncio.Event()

    async def script(document: dict[str, Any]) -> Any:
        await release.wait()
        return by_topic(document)

    async with judged(db, redis, redis_url, script, more=("deduper",)) as (pipeline, server):
        await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
        async with asyncio.timeout(60):
            while not server.documents:
                await asyncio.sleep(0.01)
        began = asyncio.get_running_loop().time()
        others = [fact("Likes walks", day, f"u{day}") for day in range(40)]
        await deliver(pipeline, *others)
        async with asyncio.timeout(60):
            while len(
                await pipeline.rows("SELECT 1 AS one FROM memory_facts WHERE state = 'settled'")
            ) < len(others):
                await asyncio.sleep(0.02)
        claim = pipeline.settings.claim_idle_ms / 1000
        await asyncio.sleep(max(0.0, began + 3 * claim - asyncio.get_running_loop().time()))
        release.set()
        await pipeline.settled()
    assert len(server.documents) == 1
    assert await pipeline.current() == ["tea: black"]
    assert await pipeline.rows("SELECT * FROM failures") == []


async def test_two_workers_never_ask_about_the_same_pair(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Bells rung again and again, three dedupers: every pair is asked about once."""

    async def script(document: dict[str, Any]) -> Any:
        await asyncio.sleep(0.05)
        return by_topic(document)

    async with judged(
        db,
        redis,
        redis_url,
        script,
        more=(
            "deduper",
            "deduper",
        ),
    ) as (pipeline, server):
        for day in range(12):
            said = fact(f"{'tea' if day % 2 else 'car'}: number {day}", day)
            await deliver(pipeline, said)
            await pipeline.redis.flushall()  # all bells are lost: the sweep rings again
            await deliver(pipeline, said)
        await pipeline.settled()
    asked = Counter(map(frozenset, pairs_asked(server.documents)))
    assert len(asked) == 66
    assert set(asked.values()) == {1}
    assert sorted(await pipeline.current()) == ["car: number 10", "tea: number 11"]


async def test_a_pair_that_poisons_its_call_is_found_and_kept(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The others are judged; the poisonous pair is kept, never asked again, and says why."""

    def script(document: dict[str, Any]) -> Any:
        poison = any("poison" in pair["new"]["content"] for pair in document["pairs"])
        return Reply(status=400) if poison else by_topic(document)

    async with judged(db, redis, redis_url, script) as (pipeline, server):
        said = [fact(f"tea: number {day}", day) for day in range(6)]
        async with pipeline.running(*STAGES):
            await deliver(pipeline, *said, fact("tea: poison", 9))
            await pipeline.settled()
            asked = len(server.documents)
            await deliver(pipeline, fact("cars: a red one", 10))
            await pipeline.settled()
            await asyncio.sleep(0.5)
    assert len(server.documents) == asked + 1
    assert await pipeline.rows("SELECT * FROM failures") == []
    current = await pipeline.current()
    assert "tea: poison" in current
    assert "tea: number 5" in current
    assert len(current) == 3
    open_ones = [row for row in await verdicts(pipeline) if row["verdict"] == "doubtful"]
    assert len(open_ones) == 6
    assert all("cannot judge" in row["reason"] for row in open_ones)


@pytest.mark.parametrize(
    "answer",
    [
        {"verdicts": []},
        {"verdicts": None},
        {},
        {
            "verdicts": [
                "x",
                {"id": "p7", "verdict": "duplicate"},
                {"id": "p1", "verdict": "perhaps"},
            ]
        },
        {"verdicts": [{"id": 1, "verdict": ["supersedes"], "reason": 3}]},
    ],
)
async def test_bad_verdicts_are_dropped_and_counted_and_both_facts_are_kept(
    db: TestedDatabase, redis: Redis, redis_url: str, answer: dict[str, Any]
) -> None:
    """Whatever a model answers, the pair stays doubtful and is not paid for again."""
    async with judged(db, redis, redis_url, lambda _: answer) as (pipeline, server):
        await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
        await pipeline.settled()
        await asyncio.sleep(0.5)
    assert len(server.documents) == 1
    assert len(await pipeline.current()) == 2
    [verdict] = await verdicts(pipeline)
    assert (verdict["verdict"], verdict["judge"]) == ("doubtful", "oracle")
    [call] = await pipeline.rows("SELECT dropped FROM judgements")
    assert call["dropped"]["no verdict"] == 1


async def test_a_provider_that_stumbles_costs_time_not_verdicts(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """After one 503 the fact waits and is judged the second time."""
    faults = [Reply(status=503)]

    def script(document: dict[str, Any]) -> Any:
        return faults.pop() if faults else by_topic(document)

    async with judged(db, redis, redis_url, script) as (pipeline, _):
        await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
        await deliver(pipeline, fact("Likes walks", 3, "bob"))
        await pipeline.settled()
    assert await pipeline.current() == ["tea: black"]
    failed = await pipeline.rows("SELECT user_id, attempts, dead_at FROM failures")
    assert {row["user_id"] for row in failed} <= {"ana"}
    assert all(row["dead_at"] is None for row in failed)


@pytest.mark.parametrize("fault", [Reply(status=503), Reply(status=401)])
async def test_a_judge_that_is_away_keeps_no_fact_from_settling_and_is_asked_when_back(
    db: TestedDatabase, redis: Redis, redis_url: str, fault: Reply
) -> None:
    """Facts settle with their pairs undecided; when the model answers again, these are judged."""
    away = True

    def script(document: dict[str, Any]) -> Any:
        return fault if away else by_topic(document)

    async with judged(db, redis, redis_url, script) as (pipeline, _):
        await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
        await pipeline.settled()
        assert len(await pipeline.current()) == 2
        [left] = await verdicts(pipeline)
        assert (left["verdict"], left["judge"]) == ("doubtful", "guards")
        away = False
        async with asyncio.timeout(60):
            while b"fact.superseded" not in await told(pipeline):
                await asyncio.sleep(0.05)
    assert await pipeline.current() == ["tea: black"]
    assert await pipeline.rows("SELECT * FROM failures WHERE dead_at IS NOT NULL") == []
    [verdict] = await verdicts(pipeline)
    assert (verdict["verdict"], verdict["judge"]) == ("supersedes", "oracle")


async def told(pipeline: Pipeline) -> list[bytes]:
    """The names of the events on the public stream."""
    entries = await pipeline.redis.xrange("memoire:facts:settled")
    return [fields[b"event"] for _, fields in entries]


async def test_a_tenant_whose_budget_is_spent_settles_unjudged_and_keeps_nobody_else_from_it(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its pairs stay open until there is room again; the model is not left alone for others."""
    async with db.everyone.autocommit() as tx:
        await spending.set_budget(tx, "default", Limits(1))
    asked = Asked("judging", "fake", "oracle")
    till = Till(asked, budgets=Budgets(db, Limits(), look_again_seconds=0.3))
    async with chat_server(by_topic) as server:
        model = quick_model(server.url, "oracle", till=till)
        pipeline = Pipeline(db, redis, redis_url, judge=ByModel(model))
        async with pipeline.running(*STAGES):
            await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
            await pipeline.settled()
            assert server.documents == []
            rich = [
                replace(fact(f"tea: {kind}", day), tenant="rich", id=derived_id("rich", kind))
                for kind, day in (("green", 1), ("black", 2))
            ]
            await deliver(pipeline, *rich)
            await pipeline.settled()
            assert len(server.documents) == 1
            assert [one["verdict"] for one in await verdicts(pipeline)].count("doubtful") == 1
            async with db.everyone.autocommit() as tx:
                await spending.set_budget(tx, "default", Limits(10**6))
            async with asyncio.timeout(60):
                while len(await pipeline.current()) > 2:
                    await asyncio.sleep(0.05)
        await model.close()
    assert len(server.documents) == 2
    assert await pipeline.rows("SELECT * FROM failures") == []


async def test_a_crash_after_the_answer_asks_nobody_twice(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The paid answer is kept before it is used: the next worker finds it."""
    points: list[str] = []

    def crash() -> AtPoint:
        def at_point(name: str) -> None:
            points.append(name)
            if name == "commit":
                raise asyncio.CancelledError

        return at_point

    async with asking(db, redis, redis_url, by_topic) as (pipeline, server):
        await deliver(pipeline, fact("tea: green", 1), fact("tea: black", 2))
        async with pipeline.running("embedder", sweeper=False):
            async with asyncio.timeout(60):
                while (
                    len(
                        await pipeline.rows(
                            "SELECT 1 AS one FROM memory_facts WHERE state = 'embedded'"
                        )
                    )
                    < 2
                ):
                    await asyncio.sleep(0.02)
        stage = pipeline.stage("deduper", crash())
        refs = await pipeline.rows("SELECT user_id, id FROM memory_facts")
        with pytest.raises(asyncio.CancelledError):
            await stage.process([RowRef("default", row["user_id"], row["id"]) for row in refs])
        assert "commit" in points
        assert len(server.documents) == 1
        async with pipeline.running(*STAGES):
            await pipeline.settled()
    assert len(server.documents) == 1
    assert await pipeline.current() == ["tea: black"]


def topics(user: str) -> list[NewFact]:
    said = [
        ("tea: green", 1),
        ("tea: black", 2),
        ("tea: green", 3),
        ("car: red", 2),
        ("car: blue", 4),
    ]
    return [fact(content, day, user) for content, day in said]


async def test_every_order_of_arrival_ends_in_the_same_beliefs(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A dozen orders, with repeated deliveries, of five facts: one end state."""
    orders = random.Random(7).sample(list(permutations(range(5))), 12)
    async with judged(
        db,
        redis,
        redis_url,
        by_topic,
        more=(
            "deduper",
            "superseder",
        ),
    ) as (pipeline, _):
        for number, order in enumerate(orders):
            facts = topics(f"u{number}")
            for index in order:
                await deliver(pipeline, facts[index])
                await deliver(pipeline, facts[index], facts[order[0]])
        await pipeline.settled()
        ends = [await standing(pipeline, f"u{number}") for number in range(len(orders))]
    assert ends[0]["tea: green 002"][0] == "belief"
    assert ends[0]["tea: black 003"][1] == "tea: green"
    assert all(end == ends[0] for end in ends)
