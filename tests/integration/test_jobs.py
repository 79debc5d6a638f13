"""Jobs at work: fenced, resumed behind their last batch, seen in histories, the same when run twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.maintenance.consumer import MaintenanceStage
from services.maintenance.jobs import known_kinds, load_jobs
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, JobPace, OpenJob, added
from shared.failures.store import RetryPolicy, RowRef
from shared.ids import trace_id
from tests.integration.test_gateway_app import Api, serve


class Died(BaseException):
    """As a process dies: nothing is caught, nothing is cleaned up."""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def requested(api: Api, user: str = "ana", kind: str = "consolidate") -> RowRef:
    answer = await api.post(f"/v1/users/{user}/{kind}")
    assert answer.status_code == 202, answer.text
    return RowRef("default", user, UUID(answer.json()["trace_id"]))


def stage(
    api: Api, run: Callable[[OpenJob], Awaitable[None]] | None = None, **more: Any
) -> MaintenanceStage:
    jobs = {"consolidate": Job(run)} if run else None
    return MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy(), jobs=jobs, **more)


async def job_row(api: Api, ref: RowRef) -> dict[str, Any]:
    [row] = await api.sql("SELECT * FROM jobs WHERE id = %(id)s", id=ref.id)
    return row


class Counting:
    """A job of five batches that makes a session in each: what is doubled or lost is seen."""

    def __init__(self, batches: int = 5) -> None:
        self.batches = batches
        self.before: Callable[[int], None] = lambda _number: None

    async def __call__(self, job: OpenJob) -> None:
        while not job.finished:
            await job.commit(self._batch)

    async def _batch(self, batch: Batch) -> None:
        number = (batch.cursor or 0) + 1
        tenant, user = batch.user
        await batch.tx.execute(
            "INSERT INTO sessions (tenant_id, user_id, session_id) VALUES (%(t)s, %(u)s, %(s)s)",
            {"t": tenant, "u": user, "s": f"{batch.held.ref.id}:{number}"},
        )
        self.before(number)
        batch.did(sessions=1, last=str(number))
        if number < self.batches:
            batch.go_on(number)


async def sessions(api: Api) -> int:
    [row] = await api.sql("SELECT count(*) AS made FROM sessions")
    return int(row["made"])


def test_what_batches_did_adds_up() -> None:
    first = added({}, {"seen": 2, "profile": "written", "whole": True})
    assert added(first, {"seen": 3, "profile": "unchanged", "whole": False}) == {
        "seen": 5,
        "profile": "unchanged",
        "whole": False,
    }


async def test_a_job_works_in_batches_to_its_end(api: Api) -> None:
    """Its trace says what all of them did."""
    ref = await requested(api)
    await stage(api, Counting()).process([ref])
    trace = (await api.get(f"/v1/traces/{ref.id}?wait=settled")).json()
    assert trace["status"] == "settled"
    assert trace["job"]["kind"] == "consolidate"
    assert trace["job"]["result"] == {"sessions": 5, "last": "5"}
    assert await sessions(api) == 5


@pytest.mark.parametrize("point", ["begin", "moved", "written", "saved", "committed"])
async def test_a_job_that_dies_goes_on_behind_its_last_batch(api: Api, point: str) -> None:
    """Killed in its third batch, at any point, it does each batch once."""
    ref, reached = await requested(api), 0

    def die(at: str) -> None:
        nonlocal reached
        reached += at == point
        if reached == 3:
            raise Died

    with pytest.raises(Died):
        await stage(api, Counting(), at_point=die).process([ref])
    assert (await job_row(api, ref))["cursor"] == (3 if point == "committed" else 2)
    await stage(api, Counting()).process([ref])
    assert await sessions(api) == 5
    assert (await job_row(api, ref))["result"] == {"sessions": 5, "last": "5"}


async def test_who_began_before_commits_nothing_any_more(api: Api) -> None:
    """Two workers have the same job: the later one does it, the earlier one writes nothing."""
    ref, slow, gone_on = await requested(api), Counting(), asyncio.Event()

    async def hesitates(job: OpenJob) -> None:
        gone_on.set()
        await slow_down.wait()
        await slow(job)

    slow_down = asyncio.Event()
    first = asyncio.create_task(stage(api, hesitates).process([ref]))
    await gone_on.wait()
    await stage(api, Counting(batches=2)).process([ref])
    slow_down.set()
    assert await first == []
    assert await sessions(api) == 2
    assert (await job_row(api, ref))["result"]["sessions"] == 2


async def test_a_long_job_lets_others_go_first(api: Api) -> None:
    """After its slice it is announced again, and goes on from its cursor."""
    ref = await requested(api)
    short = stage(api, Counting(), pace=JobPace(slice_seconds=1e-9))
    for batch in range(1, 5):
        [(_, bell)] = await short.process([ref])
        assert bell.ids == (ref.id,)
        assert (await job_row(api, ref))["cursor"] == batch
    assert await short.process([ref]) == []
    assert (await job_row(api, ref))["state"] == "done"
    assert await sessions(api) == 5


async def test_a_job_that_hangs_is_tried_again_later(api: Api) -> None:
    """Its attempt counts as failed, and says why."""
    ref = await requested(api)

    async def hangs(_job: OpenJob) -> None:
        await asyncio.Event().wait()

    hanging = stage(api, hangs, pace=JobPace(silence_seconds=0.05))
    bells = await hanging.work([_entry(ref)])
    assert bells == []
    trace = (await api.get(f"/v1/traces/{ref.id}")).json()
    assert trace["status"] == "open"
    assert "nothing was committed" in trace["failures"][0]["error"]
    assert (await job_row(api, ref))["retry_at"] is not None


async def test_a_job_nobody_knows_is_parked(api: Api) -> None:
    """It stands before nobody, and is seen among the dead."""
    ref = await requested(api)
    await api.sql("UPDATE jobs SET kind = 'unheard_of'")
    assert await stage(api).work([_entry(ref)]) == []
    assert (await api.get(f"/v1/traces/{ref.id}")).json()["status"] == "dead"


async def test_a_request_behind_one_that_has_begun_is_another_job(api: Api) -> None:
    """The one that has begun may have passed by what the caller wants seen."""
    ref = await requested(api)
    assert await requested(api) == ref
    assert len({(await requested(api)).id for _ in range(3)}) == 1
    await api.sql("UPDATE jobs SET started_at = now()")
    following = await requested(api)
    assert following != ref
    assert await requested(api) == following


async def test_requests_at_once_find_one_job(api: Api) -> None:
    refs = await asyncio.gather(*(requested(api) for _ in range(8)))
    assert len(set(refs)) == 1


@pytest.mark.parametrize("kind", known_kinds())
async def test_each_kind_run_twice_changes_nothing_the_second_time(api: Api, kind: str) -> None:
    await _lived(api)
    await stage(api).process([await requested(api, kind=kind)])
    before = await _everything(api)
    ref = await requested(api, kind=kind)
    await stage(api).process([ref])
    assert (await job_row(api, ref))["state"] == "done"
    assert await _everything(api) == before


@pytest.mark.parametrize("kind", known_kinds())
async def test_each_kind_has_a_route_that_is_documented(api: Api, kind: str) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    assert "post" in paths[f"/v1/users/{{user_id}}/{kind}"]
    assert load_jobs().keys() == set(known_kinds())


async def test_what_a_job_did_stands_in_the_facts_history(api: Api) -> None:
    """An event of the fact names the job, by the trace it has, and its kind."""
    city = await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=_year(2020))
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=_year(2022))
    await api.sql(
        "UPDATE memory_facts SET standing = 'retired', believed = '{}', superseded_by = NULL"
        " WHERE id = %(id)s",
        id=city,
    )
    ref = await requested(api)
    await stage(api).process([ref])
    history = (await api.get(f"/v1/facts/{city}/history")).json()
    done = history["events"][-1]
    assert done["event"] == "fact.superseded"
    assert done["data"]["job"] == trace_id(ref.id)
    assert done["data"]["kind"] == "consolidate"
    assert (await api.get(f"/v1/traces/{done['data']['job']}")).json()["status"] == "settled"


async def _lived(api: Api) -> None:
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=_year(2020))
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=_year(2022))
    await api.fact("Likes tea", said_at=_year(2021))


async def _everything(api: Api) -> list[list[str]]:
    """Every row about users but the jobs' own, with its version: a rewrite is a change."""
    tables = ("memory_facts", "verdicts", "profiles", "profile_edges", "events", "belief_acts")
    return [
        sorted(str(row) for row in await api.sql(f"SELECT t.xmin::text, t::text FROM {table} t"))
        for table in tables
    ]


def _entry(ref: RowRef) -> Any:
    from shared.delivery import Entry
    from shared.events import RowsBell
    from shared.topology import JOBS

    bell = RowsBell(ref.tenant, ref.user, (ref.id,), datetime.now(UTC)).encode()
    raw = {key.encode(): value.encode() for key, value in bell.items()}
    return Entry(JOBS["consolidate"], "1-0", raw)


def _year(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)
