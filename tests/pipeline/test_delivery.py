"""One suite for every stage: delivered twice, killed anywhere, poisoned, stopped.

Each stage gets its work from the real stages before it. A worker's death is an exception that no
stage catches: what it had begun is left exactly as `kill -9` would leave it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.delivery import DEAD_AFTER, Delivery, Entry
from shared.events import RowsBell
from shared.fairness import Turns
from shared.ids import time_ordered_id
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, SETTLED, STAGES
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

BEFORE = {
    "extractor": (),
    "embedder": ("extractor",),
    "deduper": ("extractor", "embedder"),
    "superseder": ("extractor", "embedder", "deduper"),
    "maintenance": (),
}
READS = {
    "extractor": MESSAGES,
    "embedder": EXTRACTED,
    "deduper": EMBEDDED,
    "superseder": COMPARED,
    "maintenance": JOBS["consolidate"],
}
ANNOUNCES = {
    "extractor": EXTRACTED,
    "embedder": EMBEDDED,
    "deduper": COMPARED,
    "superseder": SETTLED,
    "maintenance": None,
}
EVERY_STAGE = pytest.mark.parametrize("stage", list(STAGES))


class Death(BaseException):
    """What `kill -9` is to a worker in this process."""


def dies_once(point: str, died: asyncio.Event | None = None) -> Callable[[str], None]:
    """Die at the first time this point is reached, and say so."""
    left = [point]

    def reach(reached: str) -> None:
        if left and reached == point:
            left.clear()
            if died is not None:
                died.set()
            raise Death(point)

    return reach


@pytest.fixture
def pipeline(db: TestedDatabase, redis: Redis, redis_url: str) -> Pipeline:
    return Pipeline(db, redis, redis_url)


async def give_work(pipeline: Pipeline, stage: str) -> None:
    """Bring one item to this stage's door: its row in the state before, its bell in the stream."""
    if stage == "maintenance":
        await _request_job(pipeline)
        return
    await pipeline.say("I live in Lisbon")
    if BEFORE[stage]:
        async with pipeline.running(*BEFORE[stage], sweeper=False):
            async with asyncio.timeout(60):
                while not await pipeline.redis.xlen(READS[stage]):
                    await asyncio.sleep(0.01)
            await pipeline.drained([READS[name] for name in BEFORE[stage]])


async def _request_job(pipeline: Pipeline) -> None:
    row = time_ordered_id()
    await pipeline.rows(
        "INSERT INTO users (tenant_id, user_id) VALUES ('default', 'ana') RETURNING 1 AS done"
    )
    await pipeline.rows(
        """INSERT INTO jobs (tenant_id, user_id, id, kind, announced_at)
           VALUES ('default', 'ana', %(id)s, 'consolidate', now()) RETURNING 1 AS done""",
        id=row,
    )
    bell = RowsBell("default", "ana", (row,), datetime.now(UTC))
    await pipeline.redis.xadd(READS["maintenance"], bell.encode())


async def effects(pipeline: Pipeline) -> dict[str, Any]:
    """Count everything that must never happen twice."""
    [row] = await pipeline.rows(
        """SELECT (SELECT count(*) FROM memory_facts) AS facts,
                  (SELECT count(*) FROM fact_vectors) AS vectors,
                  (SELECT count(*) FROM events) AS events,
                  (SELECT count(*) FROM extractions WHERE state = 'done') AS extractions,
                  (SELECT count(*) FROM jobs WHERE state = 'done') AS jobs,
                  (SELECT count(*) FROM failures) AS failures"""
    )
    return row


ONCE = {
    "extractor": {"facts": 1, "extractions": 1},
    "embedder": {"facts": 1, "vectors": 1, "extractions": 1},
    "deduper": {"facts": 1, "vectors": 1, "extractions": 1},
    "superseder": {"facts": 1, "vectors": 1, "extractions": 1, "events": 1},
    "maintenance": {"jobs": 1},
}


async def assert_once(pipeline: Pipeline, stage: str) -> None:
    nothing = dict.fromkeys(await effects(pipeline), 0)
    assert await effects(pipeline) == {**nothing, **ONCE[stage]}


async def done(pipeline: Pipeline, stage: str) -> None:
    """Wait until this stage has nothing left: its streams are empty and its rows have moved on.

    A dead extractor's reservation holds its session until the lease runs out; then the sweep rings.
    """
    await pipeline.drained(STAGES[stage])
    if stage == "extractor":
        async with asyncio.timeout(60):
            while await pipeline.rows("SELECT 1 AS one FROM chat_logs WHERE state <> 'extracted'"):
                await asyncio.sleep(0.01)
        await pipeline.drained(STAGES[stage])


@EVERY_STAGE
async def test_delivered_twice_takes_effect_once(pipeline: Pipeline, stage: str) -> None:
    """The same bell again, before and after the work, writes nothing."""
    await give_work(pipeline, stage)
    [(_, bell)] = await pipeline.redis.xrange(READS[stage])
    await pipeline.redis.xadd(READS[stage], bell)
    async with pipeline.running(stage, sweeper=False):
        await done(pipeline, stage)
        await pipeline.redis.xadd(READS[stage], bell)
        await done(pipeline, stage)
    await assert_once(pipeline, stage)
    if ANNOUNCES[stage]:
        assert await pipeline.redis.xlen(ANNOUNCES[stage]) == 1


@EVERY_STAGE
@pytest.mark.parametrize("point", ["read", "commit", "announce", "acknowledge"])
async def test_killed_anywhere_takes_effect_once(
    pipeline: Pipeline, stage: str, point: str
) -> None:
    """Another worker claims what a dead one held, and the item takes effect exactly once."""
    await give_work(pipeline, stage)
    died = asyncio.Event()
    async with pipeline.running(stage, sweeper=False, at_point=dies_once(point, died)):
        async with asyncio.timeout(60):
            await died.wait()
    assert await _pending(pipeline, stage)
    assert await pipeline.redis.xlen(READS[stage]) == 1, "a dead worker acknowledges nothing"
    async with pipeline.running(stage):
        await done(pipeline, stage)
    await assert_once(pipeline, stage)


@EVERY_STAGE
async def test_a_group_lost_while_a_worker_starts_skips_nothing(
    pipeline: Pipeline, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is emptied after we saw to the group: FastStream makes it, and skips nothing either.

    It would at its own default, and no sweep calls rows lost whose bell is still in the stream.
    """

    async def seen_to(_redis: Redis, _stream: str, _group: str) -> bool:
        return False

    await give_work(pipeline, stage)
    monkeypatch.setattr("shared.process.ensure_group", seen_to)
    async with pipeline.running(stage, sweeper=False):
        await done(pipeline, stage)
    await assert_once(pipeline, stage)


async def _pending(pipeline: Pipeline, stage: str) -> int:
    try:
        pending = await pipeline.redis.xpending(READS[stage], stage)
    except ResponseError:  # the group is being created
        return 0
    return int(pending["pending"])


@pytest.mark.parametrize("stage", ["extractor", "embedder", "deduper"])
async def test_a_bell_lost_between_commit_and_announce_is_rung_again(
    pipeline: Pipeline, stage: str
) -> None:
    """The row knows what it waits for; the sweep tells the next stage."""
    await give_work(pipeline, stage)
    async with pipeline.running(stage, sweeper=False, at_point=dies_once("announce")):
        async with asyncio.timeout(60):
            while not await _pending(pipeline, stage):
                await asyncio.sleep(0.01)
    assert await pipeline.redis.xlen(ANNOUNCES[stage]) == 0
    async with pipeline.running():
        await pipeline.settled()
    assert await pipeline.current(slot="home_city") == ["Lisbon"]
    [row] = await pipeline.rows("SELECT count(*) AS events FROM events")
    assert row["events"] == 1


@EVERY_STAGE
async def test_poison_is_parked_and_its_neighbour_is_not_delayed(
    pipeline: Pipeline, stage: str
) -> None:
    """An entry that makes no sense is a dead letter with its payload."""
    await pipeline.redis.xadd(READS[stage], {"at": "nonsense", b"\xff": b"\xfe"})
    await give_work(pipeline, stage)
    async with pipeline.running(stage, sweeper=False):
        await done(pipeline, stage)
    counted = await effects(pipeline)
    assert counted == {**dict.fromkeys(counted, 0), **ONCE[stage], "failures": 1}
    [dead] = await pipeline.rows("SELECT * FROM failures")
    assert dead["stage"] == stage
    assert dead["dead_at"] is not None
    assert dead["payload"]["at"] == "nonsense"
    assert dead["error_class"] == "poison"


@EVERY_STAGE
async def test_a_bell_for_rows_that_are_not_there_is_ignored(
    pipeline: Pipeline, stage: str
) -> None:
    """A bell may outlive its rows: an erased user's, say."""
    if stage == "extractor":
        bell = {"v": "1", "tenant": "default", "user": "nobody", "session": "none"}
        bell["at"] = datetime.now(UTC).isoformat()
    else:
        bell = RowsBell("default", "nobody", (UUID(int=7),), datetime.now(UTC)).encode()
    await pipeline.redis.xadd(READS[stage], bell)
    async with pipeline.running(stage, sweeper=False):
        await done(pipeline, stage)
    assert not any((await effects(pipeline)).values())


@EVERY_STAGE
async def test_a_graceful_stop_finishes_what_is_in_flight(pipeline: Pipeline, stage: str) -> None:
    """A worker told to stop in the middle of its work commits, announces and acknowledges it."""
    await give_work(pipeline, stage)
    begun = asyncio.Event()
    async with pipeline.running(
        stage, sweeper=False, at_point=lambda point: begun.set() if point == "commit" else None
    ):
        await asyncio.wait_for(begun.wait(), 60)
    assert await pipeline.redis.xlen(READS[stage]) == 0
    await assert_once(pipeline, stage)


@pytest.mark.parametrize("claim_idle_ms", [3_600_000])
async def test_what_was_not_begun_is_given_back_at_once(redis: Redis, claim_idle_ms: int) -> None:
    """Entries read and not begun when a worker stops wait for nobody's claim to be due."""
    stage = OneDeadly()
    stream = stage.streams[0]
    await redis.xgroup_create(stream, stage.name, id="0", mkstream=True)
    for number in range(250):
        await redis.xadd(stream, {"name": f"n{number}"})
    first = Delivery(redis, stage, consumer="first", claim_idle_ms=claim_idle_ms)
    await redis.xreadgroup(stage.name, "first", {stream: ">"}, count=250)
    await first.drain(0.05)
    assert await first.give_back() == 250
    second = Delivery(redis, stage, consumer="second", claim_idle_ms=claim_idle_ms)
    async with asyncio.timeout(60):
        while len(set(stage.worked)) < 250:
            await second.claim_abandoned()
            await asyncio.sleep(0.01)
    await second.drain(5)
    assert len(set(stage.worked)) == 250
    assert await redis.xlen(stream) == 0
    assert stage.refused == []


async def test_a_crash_loop_ends_in_a_dead_letter(pipeline: Pipeline) -> None:
    """An item whose worker dies every time is tried five times, then parked with its reason."""
    await give_work(pipeline, "superseder")
    deaths = 0

    def always(point: str) -> None:
        nonlocal deaths
        if point == "commit":
            deaths += 1
            raise Death

    async with asyncio.timeout(60):
        while await pipeline.redis.xlen(COMPARED):
            died = deaths
            async with pipeline.running("superseder", sweeper=False, at_point=always):
                while deaths == died and await pipeline.redis.xlen(COMPARED):
                    await asyncio.sleep(0.02)
    [dead] = await pipeline.rows("SELECT * FROM failures")
    assert dead["error_class"] == "crash_loop"
    assert dead["dead_at"] is not None
    assert deaths == DEAD_AFTER


async def test_a_crash_loop_spares_its_neighbours(redis: Redis) -> None:
    """Suspects are tried one at a time: only the one that kills its worker is given up."""
    stage = OneDeadly()
    await redis.xgroup_create(stage.streams[0], stage.name, id="0", mkstream=True)
    for name in ("good", "deadly", "fine", "well"):
        await redis.xadd(stage.streams[0], {"name": name})
    for life in range(20):
        delivery = Delivery(redis, stage, consumer=f"life-{life}", claim_idle_ms=1)
        if life == 0:
            [[_, entries]] = await redis.xreadgroup(
                stage.name, "life-0", {stage.streams[0]: ">"}, count=10
            )
            await delivery.deliver(stage.streams[0], [(i.decode(), raw) for i, raw in entries])
        else:
            await _live(delivery, stage)
        await delivery.drain(0.05)
        stage.died.clear()
        await asyncio.sleep(0.01)
    assert stage.refused == ["deadly"]
    assert sorted(set(stage.worked)) == ["fine", "good", "well"]
    assert await redis.xlen(stage.streams[0]) == 0


async def _live(delivery: Delivery, stage: OneDeadly) -> None:
    """Claim what the dead left, until the process dies of it or has nothing left to claim."""
    claiming = asyncio.create_task(delivery.claim_abandoned())
    dying = asyncio.create_task(stage.died.wait())
    await asyncio.wait({claiming, dying}, return_when=asyncio.FIRST_COMPLETED)
    for task in (claiming, dying):
        task.cancel()
    await asyncio.gather(claiming, dying, return_exceptions=True)


class OneDeadly:
    """A stage whose process dies of one entry, and with it everything it was working on."""

    name = "test"
    streams = ("test:deadly",)
    concurrency = 4

    def __init__(self) -> None:
        self.died = asyncio.Event()
        self.worked: list[str] = []
        self.refused: list[str] = []

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        return [waiting.take(1)]

    async def work(self, entries: Sequence[Entry]) -> list[Any]:
        name = entries[0].fields()["name"]
        if name == "deadly":
            self.died.set()
        else:
            await asyncio.sleep(0.005)
        if self.died.is_set():
            await asyncio.Event().wait()  # nothing of a dead process goes on
        self.worked.append(name)
        return []

    async def refuse(self, entry: Entry, error: Exception) -> None:
        self.refused.append(entry.fields()["name"])

    async def heartbeat(self) -> None:
        return None

    def hurry(self) -> None:
        return None

    async def release(self) -> None:
        return None


async def test_the_pipeline_heals_after_redis_is_emptied(pipeline: Pipeline) -> None:
    """FLUSHALL takes groups and bells away; the rows still know, and everything settles."""
    async with pipeline.running():
        await pipeline.say("I live in Lisbon")
        await pipeline.redis.flushall()
        await pipeline.say("I work at Google")
        await pipeline.redis.flushall()
        await pipeline.settled()
        await pipeline.redis.xadd(
            MESSAGES, {"user_id": "ana", "role": "user", "content": "I have a dog named Rex"}
        )
        async with asyncio.timeout(60):
            while not await pipeline.current(slot="pet"):
                await asyncio.sleep(0.05)
    assert await pipeline.current(slot="home_city") == ["Lisbon"]


async def test_whoever_brings_little_does_not_stand_behind_a_flood(redis: Redis) -> None:
    """Every stage begins what is in its hand by turns of the tenants, not in the order of arrival."""
    stage = OneDeadly()
    stage.concurrency = 1
    stream = stage.streams[0]
    delivery = Delivery(redis, stage, consumer="one")
    flood = [(f"1-{n}", {b"tenant": b"loud", b"name": b"loud"}) for n in range(200)]
    await delivery.deliver(stream, flood)
    await delivery.deliver(stream, [("2-1", {b"tenant": b"quiet", b"name": b"quiet"})])
    async with asyncio.timeout(60):
        while "quiet" not in stage.worked:
            await asyncio.sleep(0.005)
    await delivery.drain(5)
    assert len(stage.worked) < 100
