"""The clock asks for jobs: once per slot, for users with news, however many schedulers run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from services.maintenance import schedule
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, OpenJob
from services.maintenance.scheduler import Scheduler
from shared.broker import Announcer
from shared.failures.store import RetryPolicy, RowRef
from shared.jobs.store import request_job
from shared.settings import Settings
from shared.topology import JOBS
from tests.databases import TestedDatabase


async def _nothing(job: OpenJob) -> None:
    async def work(_batch: Any) -> None:
        return None

    await job.commit(work)


async def _grows(job: OpenJob) -> None:
    async def work(batch: Batch) -> None:
        await batch.grow()
        if batch.cursor is None:
            batch.go_on(1)

    while not job.finished:
        await job.commit(work)


async def _after(
    meanwhile: Callable[[], Awaitable[Any]], run: Callable[[OpenJob], Awaitable[None]], job: OpenJob
) -> None:
    await meanwhile()
    await run(job)


class Clockwork:
    """Schedulers of one kind over a database whose schedule can be set back."""

    def __init__(
        self, db: TestedDatabase, redis: Redis, job: Job | None = None, **settings: Any
    ) -> None:
        self.db, self.redis = db, redis
        self.settings = Settings(
            **{"consolidate_cron": "0 4 * * 0", "schedule_spread_seconds": 0, **settings}
        )
        self.jobs = {"consolidate": job or Job(_nothing)}

    def scheduler(self, **more: Any) -> Scheduler:
        return Scheduler(self.db.everyone, Announcer(self.redis), self.settings, self.jobs, **more)

    async def sql(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        async with self.db.everyone.autocommit() as tx:
            return await tx.rows(statement, params)

    async def users(self, *names: str, tenant: str = "default") -> None:
        """Users with something new."""
        await self.sql(
            "INSERT INTO tenants (tenant_id) VALUES (%(t)s) ON CONFLICT DO NOTHING", t=tenant
        )
        await self.sql(
            """INSERT INTO users (tenant_id, user_id, belief_version)
               SELECT %(t)s, unnest(%(names)s::text[]), 1""",
            t=tenant,
            names=list(names),
        )

    async def miss(self, slots: int = 1) -> None:
        """As if the last round had been that many slots ago."""
        [row] = await self.sql("SELECT now() AS now")
        slot: datetime = row["now"]
        for _ in range(slots + 1):
            last = schedule.last_slot(self.settings.cron_of("consolidate"), slot)
            assert last is not None
            slot = last - timedelta(seconds=1)
        await self.sql(
            """INSERT INTO schedules (kind, slot, finished_at) VALUES ('consolidate', %(slot)s, now())
               ON CONFLICT (kind) DO UPDATE SET slot = excluded.slot, finished_at = now()""",
            slot=slot,
        )

    async def round(self) -> int:
        """Turns until the round is over, with work in between where it waits; how many it asked."""
        asked = 0
        for _ in range(100):
            asked += (now := await self.scheduler().turn())
            if (await self.sql("SELECT finished_at IS NOT NULL AS over FROM schedules"))[0]["over"]:
                return asked
            if not now:
                await self.work()
        raise AssertionError("the round does not end")

    async def again(self) -> int:
        """The next round, as far as the fence of the slot does not keep it."""
        await self.sql("DELETE FROM jobs")
        await self.miss()
        return await self.round()

    async def work(self) -> None:
        """Do what waits."""
        stage = MaintenanceStage(durable=self.db.everyone, policy=RetryPolicy(), jobs=self.jobs)
        for row in await self.open_jobs():
            await stage.process([RowRef(row["tenant_id"], row["user_id"], row["id"])])

    async def open_jobs(self) -> list[dict[str, Any]]:
        return await self.sql(
            "SELECT tenant_id, user_id, id FROM jobs WHERE state = 'requested' ORDER BY user_id"
        )


@pytest.fixture
def clock(db: TestedDatabase, redis: Redis) -> Clockwork:
    return Clockwork(db, redis)


async def test_a_new_schedule_waits_for_its_next_slot(clock: Clockwork) -> None:
    await clock.users("ana")
    assert await clock.round() == 0


async def test_a_slot_asks_for_those_who_have_news(clock: Clockwork) -> None:
    """Each has a row and a bell; who has nothing new since the last run is left alone."""
    await clock.users("ana", "bob")
    await clock.sql("UPDATE users SET belief_version = 0 WHERE user_id = 'bob'")
    await clock.miss()
    assert await clock.round() == 1
    [job] = await clock.open_jobs()
    assert job["user_id"] == "ana"
    assert await clock.redis.xlen(JOBS["consolidate"]) == 1
    await clock.work()
    await clock.miss()
    await clock.sql("DELETE FROM jobs")  # not the fence of the slot: she has nothing new
    assert await clock.round() == 0
    await clock.sql("UPDATE users SET belief_version = belief_version + 1")
    await clock.miss()
    assert await clock.round() == 2


async def test_missed_slots_are_made_up_for_once(clock: Clockwork) -> None:
    await clock.users("ana")
    await clock.miss(slots=40)
    assert await clock.round() == 1
    assert await clock.round() == 0


async def test_a_slot_is_one_job_a_user_whatever_the_round_forgot(clock: Clockwork) -> None:
    """Were a round walked twice, the slot's own key says no."""
    await clock.users("ana")
    await clock.miss()
    assert await clock.round() == 1
    await clock.sql("UPDATE jobs SET state = 'done'")
    await clock.sql("UPDATE schedules SET turn = -1, finished_at = NULL")
    assert await clock.round() == 0


async def test_any_number_of_schedulers_ask_once(db: TestedDatabase, redis: Redis) -> None:
    """Eight at once, in steps that leave users for the next one: each user has one job."""
    clock = Clockwork(db, redis, schedule_window=50)
    names = [f"user-{number}" for number in range(120)]
    await clock.users(*names)
    await clock.users("ana", "bob", tenant="other")
    await clock.miss()
    asked, made = 0, 0
    while made < len(names) + 2:
        turns = [clock.scheduler().turn() for _ in range(8)]
        asked += sum(await asyncio.gather(*turns))
        await clock.sql("UPDATE jobs SET state = 'done', finished_at = now()")
        [row] = await clock.sql("SELECT count(*) AS made FROM jobs")
        made = row["made"]
    assert await clock.round() == 0
    assert asked == made == len(names) + 2
    assert await clock.redis.xlen(JOBS["consolidate"]) == made


async def test_no_more_than_a_window_waits(db: TestedDatabase, redis: Redis) -> None:
    """The rest of a round comes as jobs are done."""
    clock = Clockwork(db, redis, schedule_window=10)
    await clock.users(*[f"user-{number}" for number in range(35)])
    await clock.miss()
    assert [await clock.scheduler().turn() for _ in range(3)] == [10, 0, 0]
    await clock.work()
    assert await clock.scheduler().turn() == 10
    assert await clock.round() == 15


async def test_a_round_is_spread_over_its_time(db: TestedDatabase, redis: Redis) -> None:
    """Of a round that is a quarter over, about a quarter of the users have had their turn."""
    clock = Clockwork(db, redis, schedule_window=1_000, schedule_spread_seconds=400_000)
    await clock.users(*[f"user-{number}" for number in range(400)])
    await clock.sql(
        "INSERT INTO schedules (kind, slot) VALUES ('consolidate', now() - interval '100000 s')"
    )
    asked = await clock.scheduler().turn()
    assert 60 < asked < 140
    assert await clock.scheduler().turn() < 20


async def test_who_waits_already_is_not_asked_for_again(clock: Clockwork) -> None:
    await clock.users("ana")
    async with clock.db.everyone.transaction() as tx:
        await request_job(tx, "default", "ana", "consolidate")
    await clock.miss()
    assert await clock.round() == 0


@pytest.mark.parametrize(
    "news",
    [
        "UPDATE job_runs SET due_at = now() - interval '1 s' WHERE user_id = 'ana'",
        "UPDATE job_runs SET news = news + 1 WHERE user_id = 'ana'",
        "UPDATE job_runs SET rules = 'others' WHERE user_id = 'ana'",
    ],
    ids=["a moment has come", "something only this kind counts", "other rules"],
)
async def test_without_anything_learnt_only_who_has_work_is_asked_for(
    clock: Clockwork, news: str
) -> None:
    """And once: the next run has seen it."""
    await clock.users("ana", "bob")
    await clock.miss()
    assert await clock.round() == 2
    await clock.work()
    assert await clock.again() == 0
    await clock.sql("UPDATE job_runs SET due_at = now() + interval '1 day'")
    assert await clock.again() == 0
    await clock.sql(news)
    assert await clock.again() == 1
    assert [job["user_id"] for job in await clock.open_jobs()] == ["ana"]
    await clock.work()
    assert await clock.again() == 0


async def test_news_that_comes_while_a_job_is_at_work_counts_for_the_next(
    db: TestedDatabase, redis: Redis
) -> None:
    """What is learnt, and what only the kind counts; what the job itself brings about does not."""
    clock = Clockwork(db, redis, Job(_grows))
    await clock.users("ana")
    await clock.miss()
    assert await clock.round() == 1
    await clock.work()
    for news in ("users SET belief_version = belief_version + 1", "job_runs SET news = news + 1"):
        assert await clock.again() == 0
        await clock.sql("UPDATE job_runs SET rules = 'others'")
        assert await clock.again() == 1
        meanwhile = partial(clock.sql, f"UPDATE {news}")
        clock.jobs = {"consolidate": Job(partial(_after, meanwhile, _grows))}
        await clock.work()
        clock.jobs = {"consolidate": Job(_grows)}
        assert await clock.again() == 1
        await clock.work()


async def test_a_schedule_that_is_off_asks_for_nothing(db: TestedDatabase, redis: Redis) -> None:
    clock = Clockwork(db, redis, consolidate_cron="")
    await clock.users("ana")
    assert await clock.scheduler().turn() == 0
    assert await clock.sql("SELECT 1 FROM schedules") == []


@pytest.mark.parametrize("point", ["scheduled", "schedule_kept"])
async def test_a_scheduler_that_dies_asks_neither_twice_nor_never(
    clock: Clockwork, point: str
) -> None:
    """Before its commit nothing has happened; behind it the rows wait for the sweep to ring."""

    class Died(BaseException):
        pass

    def die(reached: str) -> None:
        if reached == point:
            raise Died

    await clock.users("ana", "bob")
    await clock.miss()
    with pytest.raises(Died):
        await clock.scheduler(at_point=die).turn()
    assert len(await clock.open_jobs()) == (0 if point == "scheduled" else 2)
    assert await clock.round() == (2 if point == "scheduled" else 0)
    assert len(await clock.open_jobs()) == 2


async def test_news_that_is_not_settled_yet_counts_for_the_next_slot(clock: Clockwork) -> None:
    """A fact that was compared and not settled when the job began was not seen by it."""
    await clock.users("ana")
    await clock.sql(
        """INSERT INTO memory_facts (tenant_id, user_id, id, generation, content, category, subject,
               claim, temporal_state, said_at, recorded_at, message_key, ordinal, confidence,
               source_message_ids, state)
           VALUES ('default', 'ana', gen_random_uuid(), 1, 'Likes tea', 'biographical', 'user', 'holds',
                   'current', now(), now(), 'm1', 0, 1, '{}', 'compared')"""
    )
    await clock.miss()
    assert await clock.round() == 1
    await clock.work()
    await clock.sql("UPDATE memory_facts SET state = 'settled'")
    await clock.sql("DELETE FROM jobs")
    await clock.miss()
    assert await clock.round() == 1
    await clock.work()
    await clock.sql("DELETE FROM jobs")
    await clock.miss()
    assert await clock.round() == 0


async def test_old_jobs_go(clock: Clockwork) -> None:
    """What is done keeps its row for some days; what waits keeps it."""
    await clock.users("ana")
    await clock.miss()
    await clock.round()
    await clock.work()
    assert await clock.scheduler().forget() == 0
    await clock.sql("UPDATE jobs SET finished_at = now() - interval '8 days'")
    assert await clock.scheduler().forget() == 1
