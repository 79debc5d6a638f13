"""A kind of job that hangs holds up nothing else: not the sweep, not the schedule, not another kind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.maintenance.consumer import MaintenanceStage
from services.maintenance.jobs import load_jobs
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, JobPace, OpenJob
from shared.broker import Announcer
from shared.failures.store import RetryPolicy
from shared.jobs.store import request_job
from shared.process import StageProcess
from shared.topology import JOB_KINDS, JobKind
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline


@pytest.fixture
def pipeline(db: TestedDatabase, redis: Redis, redis_url: str) -> Pipeline:
    return Pipeline(db, redis, redis_url)


async def request(pipeline: Pipeline, kind: JobKind, user: str) -> UUID:
    async with pipeline.db.everyone.transaction() as tx:
        job, bells = await request_job(tx, "default", user, kind)
    await Announcer(pipeline.redis).announce(bells)
    return job


async def done(pipeline: Pipeline, job: UUID) -> None:
    async with asyncio.timeout(60):
        while not await pipeline.rows(
            "SELECT 1 FROM jobs WHERE id = %(job)s AND state = 'done'", job=job
        ):
            await asyncio.sleep(0.02)


async def test_a_consolidation_that_hangs_holds_up_no_other_kind(pipeline: Pipeline) -> None:
    """While as many of them hang as may be at work, the rest of the pipeline goes on."""
    begun, never = asyncio.Semaphore(0), asyncio.Event()

    async def hangs(job: OpenJob) -> None:
        begun.release()
        await never.wait()
        await job.commit(_nothing)

    async def works(job: OpenJob) -> None:
        await job.commit(_nothing)

    jobs = {"consolidate": Job(hangs), "decay": Job(works)}
    stopping = asyncio.Event()
    stages = [
        MaintenanceStage(
            durable=pipeline.db.everyone,
            policy=RetryPolicy(),
            kinds=[kind],
            jobs=jobs,
            concurrency=2,
        )
        for kind in JOB_KINDS
    ]
    processes = [StageProcess(stage, pipeline.settings, pipeline.redis_url) for stage in stages]
    running = [asyncio.create_task(process.run(stopping)) for process in processes]
    async with pipeline.running("extractor", "embedder", "deduper", "superseder"):
        for user in ("ana", "bob", "cas"):
            await request(pipeline, "consolidate", user)
        async with asyncio.timeout(60):
            await begun.acquire()
            await begun.acquire()
        for user in ("ana", "dan"):
            await done(pipeline, await request(pipeline, "decay", user))
        stored = await pipeline.store(pipeline.message("I live in Lisbon"))
        assert stored.announcements, "its bell is not rung: only the sweep can"
        async with asyncio.timeout(60):
            while await pipeline.current(slot="home_city") != ["Lisbon"]:
                await asyncio.sleep(0.02)
        assert not await pipeline.rows(
            "SELECT 1 FROM jobs WHERE kind = 'consolidate' AND state = 'done'"
        )
        never.set()
        stopping.set()
        await asyncio.gather(*running)


async def test_one_users_long_job_leaves_room_for_anothers(pipeline: Pipeline) -> None:
    """Of a kind's places one is taken by whoever takes long; the others' jobs pass by."""
    never = asyncio.Event()

    async def hangs_for_ana(job: OpenJob) -> None:
        if job.user[1] == "ana":
            await never.wait()
        await job.commit(_nothing)

    stage = MaintenanceStage(
        durable=pipeline.db.everyone,
        policy=RetryPolicy(),
        kinds=["consolidate"],
        jobs={"consolidate": Job(hangs_for_ana)},
        concurrency=2,
    )
    stopping = asyncio.Event()
    running = asyncio.create_task(
        StageProcess(stage, pipeline.settings, pipeline.redis_url).run(stopping)
    )
    await request(pipeline, "consolidate", "ana")
    for number in range(10):
        await done(pipeline, await request(pipeline, "consolidate", f"user-{number}"))
    never.set()
    stopping.set()
    await running


async def test_a_job_that_hung_is_done_when_it_no_longer_does(pipeline: Pipeline) -> None:
    """It is given up after its silence, tried again when due, and its place is free meanwhile."""
    tries = 0

    async def hangs_once(job: OpenJob) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.Event().wait()
        await job.commit(_nothing)

    stage = MaintenanceStage(
        durable=pipeline.db.everyone,
        policy=RetryPolicy.of(pipeline.settings),
        kinds=["consolidate"],
        jobs={"consolidate": Job(hangs_once)},
        pace=JobPace(silence_seconds=0.2),
    )
    stopping = asyncio.Event()
    tasks = [
        asyncio.create_task(
            StageProcess(stage, pipeline.settings, pipeline.redis_url).run(stopping)
        ),
        asyncio.create_task(pipeline.sweeper().run(stopping)),
    ]
    with suppress(asyncio.CancelledError):
        await done(pipeline, await request(pipeline, "consolidate", "ana"))
    stopping.set()
    await asyncio.gather(*tasks)
    assert tries >= 2


async def test_the_clock_has_a_users_profile_written(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """From a message to a profile, with nobody asking: the schedule, the bell, the job."""
    pipeline = Pipeline(
        db, redis, redis_url, consolidate_cron="* * * * * *", schedule_spread_seconds=0.1
    )
    assert "consolidate" in load_jobs()
    async with pipeline.running():
        await pipeline.say("I live in Lisbon")
        async with asyncio.timeout(60):
            while not await pipeline.rows(
                "SELECT 1 FROM profiles WHERE content = 'Home city: Lisbon' AND stale_since IS NULL"
            ):
                await asyncio.sleep(0.05)
        await pipeline.settled()
        [row] = await pipeline.rows(
            "SELECT count(*) AS jobs, count(DISTINCT due_slot) AS slots FROM jobs"
        )
        assert row["jobs"] == row["slots"] <= 3, "once the news is seen, nothing is asked for"


async def _nothing(_batch: Batch) -> None:
    return None
