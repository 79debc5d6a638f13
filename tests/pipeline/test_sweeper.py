"""The sweep: rings what was lost, only that, fairly, and whoever else runs."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from services.extractor import store
from shared.dead_letters import store as dead_letters
from shared.dead_letters.store import Selection
from shared.events import SessionBell
from shared.topology import EXTRACTED, MESSAGES
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline


@pytest.fixture
def pipeline(db: TestedDatabase, redis: Redis, redis_url: str) -> Pipeline:
    return Pipeline(db, redis, redis_url, lost_after_seconds=0.2)


async def test_a_lost_bell_is_rung_again(db: TestedDatabase, redis: Redis, redis_url: str) -> None:
    """A message whose bell never reached Redis is announced after a moment."""
    pipeline = Pipeline(db, redis, redis_url, lost_after_seconds=60.0)
    await pipeline.store(pipeline.message("I live in Lisbon"))
    assert await pipeline.sweeper().sweep() == 0, "not yet: its bell may be on its way"
    await pipeline.rows(
        """UPDATE chat_logs SET announced_at = announced_at - interval '61 seconds'
           RETURNING 1 AS done"""
    )
    assert await pipeline.sweeper().sweep() == 1
    assert await pipeline.redis.xlen(MESSAGES) == 1


async def test_a_waiting_bell_is_not_rung_again(pipeline: Pipeline) -> None:
    """While the oldest bell in the stream is not younger than the row, nothing is lost."""
    await pipeline.say("I live in Lisbon")
    await asyncio.sleep(0.25)
    assert await pipeline.sweeper().sweep() == 0
    assert await pipeline.redis.xlen(MESSAGES) == 1


async def test_a_row_older_than_the_oldest_bell_is_lost(pipeline: Pipeline) -> None:
    """Bells are compared by `at`: the older row's bell is gone, the younger's is there."""
    await pipeline.store(pipeline.message("I live in Lisbon", session_id="lost"))
    await pipeline.say("I work at Google", session_id="waiting")
    await asyncio.sleep(0.25)
    assert await pipeline.sweeper().sweep() == 1
    entries = await pipeline.redis.xrange(MESSAGES)
    assert sorted(fields[b"session"] for _, fields in entries) == [b"lost", b"waiting"]


async def test_ringing_again_slows_down(pipeline: Pipeline) -> None:
    """With nobody to hear it, a row is announced ever more rarely."""
    clock = asyncio.get_running_loop().time
    began, rung = clock(), 0
    await pipeline.store(pipeline.message("I live in Lisbon"))
    for _ in range(20):
        await asyncio.sleep(0.05)
        rung += await pipeline.sweeper().sweep()
        await pipeline.redis.delete(MESSAGES)
    most = math.log2(1 + (clock() - began) / 0.2)
    assert 1 <= rung <= most, "after 0.2 s, 0.4 s more, 0.8 s more …"


async def test_two_sweepers_do_the_work_of_one(pipeline: Pipeline) -> None:
    """Whoever gets the lock does the sweep."""
    for number in range(20):
        await pipeline.store(pipeline.message("I live in Lisbon", session_id=f"s{number}"))
    await asyncio.sleep(0.25)
    rung = await asyncio.gather(*[pipeline.sweeper().sweep() for _ in range(4)])
    assert sum(rung) == 20


async def test_a_living_reservation_is_not_lost(pipeline: Pipeline) -> None:
    """Messages of a session that is being extracted wait for it, however long it takes."""
    await pipeline.store(pipeline.message("I live in Lisbon"))
    await pipeline.rows(
        """INSERT INTO extractions (tenant_id, user_id, id, session_id, lease_until, worker)
           VALUES ('default', 'ana', gen_random_uuid(), 'default', now() + interval '1 minute', 'w')
           RETURNING 1 AS done"""
    )
    await asyncio.sleep(0.25)
    assert await pipeline.sweeper().sweep() == 0
    await pipeline.rows("UPDATE extractions SET lease_until = now() RETURNING 1 AS done")
    assert await pipeline.sweeper().sweep() == 1


async def test_what_arrived_during_a_call_is_rung_for_by_who_made_it(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its own bell was answered "somebody is at it"; no sweep is needed, however old it is."""
    pipeline = Pipeline(db, redis, redis_url, lost_after_seconds=0.2)
    sessions = pipeline.stage("extractor")._sessions

    async def arriving(held: Any) -> None:
        """While the call is under way another message comes, and gets old."""
        await pipeline.store(pipeline.message("I work at Google"))
        assert await sessions.extract(bell) == []
        await asyncio.sleep(0.3)

    think = sessions._think
    sessions._think = _before(think, arriving)
    await pipeline.store(pipeline.message("I live in Lisbon"))
    bell = SessionBell("default", "ana", "default", datetime.now(UTC))
    [(_, facts), (stream, again)] = await sessions.extract(bell)
    assert await pipeline.sweeper().sweep() == 0
    assert (facts.user, stream, again.session) == ("ana", MESSAGES, "default")
    sessions._think = think
    await sessions.extract(again)
    assert (await pipeline.rows("SELECT state FROM chat_logs GROUP BY 1")) == [
        {"state": "extracted"}
    ]


async def test_who_comes_too_late_rings_for_what_waits_all_the_same(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Its message was erased meanwhile, and the reservation with it; another one had come."""
    pipeline = Pipeline(db, redis, redis_url)
    sessions = pipeline.stage("extractor")._sessions
    bell = SessionBell("default", "ana", "default", datetime.now(UTC))

    async def erased(held: Any) -> None:
        await pipeline.store(pipeline.message("I work at Google"))
        assert await sessions.extract(bell) == []
        await pipeline.rows("UPDATE extractions SET state = 'failed' RETURNING 1 AS done")

    sessions._think = _before(sessions._think, erased)
    await pipeline.store(pipeline.message("I live in Lisbon"))
    [(stream, again)] = await sessions.extract(bell)
    assert (stream, again.session) == (MESSAGES, "default")


async def test_sessions_that_commit_together_tell_each_of_its_own(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Should one of them be cancelled, the others' facts are told of."""
    pipeline = Pipeline(db, redis, redis_url)
    sessions = pipeline.stage("extractor")._sessions
    users = ["ana", "ben", "cem"]
    for user in users:
        await pipeline.store(pipeline.message("I live in Lisbon", user_id=user))
    bells = [SessionBell("default", user, "default", datetime.now(UTC)) for user in users]
    told = await asyncio.gather(*(sessions.extract(bell) for bell in bells))
    assert [[bell.user for _, bell in each] for each in told] == [["ana"], ["ben"], ["cem"]]


async def test_who_rings_while_a_session_is_being_closed_waits_for_it(
    db: TestedDatabase, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the look for what waits, and before the commit, a message comes with its bell."""
    pipeline = Pipeline(db, redis, redis_url)
    sessions, others = (pipeline.stage("extractor")._sessions for _ in range(2))
    ring_again = store._ring_again
    second: list[asyncio.Task[Any]] = []

    async def closing(*asked: Any) -> Any:
        announcements = await ring_again(*asked)
        if not second:
            await pipeline.store(pipeline.message("I work at Google"))
            second.append(asyncio.create_task(others.extract(bell)))
            await asyncio.sleep(0.3)
        return announcements

    monkeypatch.setattr(store, "_ring_again", closing)
    await pipeline.store(pipeline.message("I live in Lisbon"))
    bell = SessionBell("default", "ana", "default", datetime.now(UTC))
    assert [stream for stream, _ in await sessions.extract(bell)] == [EXTRACTED]
    assert [stream for stream, _ in await second[0]] == [EXTRACTED]


def _before(work: Any, first: Any) -> Any:
    async def both(held: Any, *rest: Any) -> Any:
        await first(held)
        return await work(held, *rest)

    return both


async def test_messages_from_outside_do_not_hide_the_oldest_bell(pipeline: Pipeline) -> None:
    """Entries without `at` stand before bells; the bell behind them counts."""
    for _ in range(3):
        await pipeline.redis.xadd(MESSAGES, {"user_id": "a", "role": "user", "content": "hi"})
    await pipeline.say("I live in Lisbon")
    await asyncio.sleep(0.25)
    assert await pipeline.sweeper().sweep() == 0


async def test_one_tenant_is_announced_within_its_window(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The rest waits in PostgreSQL, and another tenant's message is announced at once."""
    pipeline = Pipeline(db, redis, redis_url, window=5)
    flood = [pipeline.message("hello", session_id=f"s{number}") for number in range(20)]
    stored = await pipeline.store(*flood)
    assert len(stored.announcements) == 5
    assert await pipeline.sweeper().refill_windows() == 0, "no room yet"
    await pipeline.rows(
        """UPDATE chat_logs SET state = 'extracted', extracted_at = now() WHERE announced_at IS NOT NULL
           RETURNING 1 AS done"""
    )
    assert await pipeline.sweeper().refill_windows() == 5


async def test_everything_behind_a_window_is_extracted(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A small window delays, it never loses."""
    pipeline = Pipeline(db, redis, redis_url, window=3)
    async with pipeline.running():
        for number in range(30):
            await pipeline.say("I live in Lisbon", session_id=f"s{number}")
        await pipeline.settled()


async def test_without_faults_nothing_is_announced_twice(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A hundred messages pass the stages, and no row was ever rung for again.

    A busy machine may pause between a commit and its bell, but not for as long as this.
    """
    pipeline = Pipeline(db, redis, redis_url, lost_after_seconds=30.0)
    async with pipeline.running():
        for number in range(100):
            await pipeline.say("I live in Lisbon", session_id=f"s{number % 10}")
        await pipeline.settled()
        rows = await pipeline.rows(
            """SELECT sum(rings) AS rings FROM (SELECT rings FROM chat_logs
               UNION ALL SELECT rings FROM memory_facts) AS all_rows"""
        )
    assert rows[0]["rings"] == 0


async def test_a_due_retry_is_announced(pipeline: Pipeline) -> None:
    """A row whose retry is due is rung for, although younger bells wait in the stream."""
    async with pipeline.running("extractor", sweeper=False):
        await pipeline.say("I live in Lisbon")
        async with asyncio.timeout(60):
            while not await pipeline.redis.xlen(EXTRACTED):
                await asyncio.sleep(0.01)
    statement = "UPDATE memory_facts SET retry_at = %(due)s RETURNING 1 AS done"
    await pipeline.rows(statement, due=datetime.now(UTC) + timedelta(hours=1))
    assert await pipeline.sweeper().sweep() == 0
    await pipeline.rows(statement, due=datetime.now(UTC))
    await asyncio.sleep(0.25)  # no row is rung for twice in a moment
    assert await pipeline.sweeper().sweep() == 1


async def test_a_redriven_row_is_announced_at_once_however_often_it_was_before(
    pipeline: Pipeline,
) -> None:
    """It starts afresh: ten bells that nobody heard would have it wait for minutes."""
    [message] = await pipeline.say("I live in Lisbon")
    await pipeline.rows(
        """UPDATE chat_logs SET retry_at = 'infinity', rings = 10 RETURNING 1 AS done"""
    )
    await pipeline.rows(
        """INSERT INTO failures (id, stage, subject_id, tenant_id, user_id, attempts, error_class,
                                 error, dead_at)
           VALUES (gen_random_uuid(), 'extractor', %(id)s, 'default', 'ana', 10, 'retry', 'away', now())
           RETURNING 1 AS done""",
        id=str(message.id),
    )
    await asyncio.sleep(0.25)
    assert await pipeline.sweeper().sweep() == 0
    async with pipeline.db.everyone.transaction() as tx:
        assert await dead_letters.redrive(tx, Selection(tenant="default")) == 1
    assert await pipeline.sweeper().sweep() == 1


async def test_dead_messages_do_not_fill_their_tenants_window(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """What is parked stands before nobody: the next message is announced at once."""
    pipeline = Pipeline(db, redis, redis_url, window=5)
    await pipeline.store(*[pipeline.message("hello") for _ in range(5)])
    await pipeline.rows("UPDATE chat_logs SET retry_at = 'infinity' RETURNING 1 AS done")
    stored = await pipeline.store(pipeline.message("I live in Lisbon"))
    assert len(stored.announcements) == 1


async def test_messages_of_a_closed_reservation_are_freed(pipeline: Pipeline) -> None:
    """Whatever still points at a reservation that is over is taken again."""
    await pipeline.say("I live in Lisbon")
    await pipeline.redis.delete(MESSAGES)
    await pipeline.rows(
        """UPDATE chat_logs SET state = 'extracting', extraction_id = gen_random_uuid()
           RETURNING 1 AS done"""
    )
    async with pipeline.running():
        await pipeline.settled()
    assert await pipeline.current(slot="home_city") == ["Lisbon"]
