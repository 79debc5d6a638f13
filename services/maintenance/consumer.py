"""Maintenance: jobs `requested` → `done`, each kind apart from the others.

The process has a consumer per kind, with places and connections of its own, so that a kind whose
jobs take long holds up no other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from services.maintenance.jobs import load_jobs, store
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.means import Means
from services.maintenance.jobs.running import JobPace, OpenJob
from services.maintenance.jobs.store import Held
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase
from shared.delivery import Entry
from shared.errors import PoisonError
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.fairness import Turns
from shared.metrics.catalogue import JOB_SECONDS
from shared.rows import RowsStage
from shared.topology import JOB_KINDS, JOBS, JobKind


class MaintenanceStage(RowsStage):
    name = "maintenance"
    table = "jobs"
    state = "requested"

    def __init__(
        self,
        *,
        durable: OperatorDatabase,
        policy: RetryPolicy,
        kinds: Sequence[JobKind] = JOB_KINDS,
        jobs: Mapping[JobKind, Job] | None = None,
        pace: JobPace | None = None,
        means: Means | None = None,
        concurrency: int = 1,
        at_point: AtPoint = ignore_point,
    ) -> None:
        super().__init__(durable, policy)
        self.streams = tuple(JOBS[kind] for kind in kinds)
        self.concurrency = concurrency
        self._db = durable
        self._jobs = load_jobs() if jobs is None else jobs
        self._pace = pace or JobPace()
        self._means = means
        self._at_point = at_point

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        """Each on its own: acknowledged when it is done, whatever the others take."""
        return [waiting.take(1)]

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return [[ref] for ref in refs]

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        announcements: list[Announcement] = []
        for ref in refs:
            announcements += await self._run(ref)
        return announcements

    async def _run(self, ref: RowRef) -> list[Announcement]:
        begun = await store.begin(self._db, ref)
        if begun is None:
            return []
        kind: JobKind = begun["kind"]
        if kind not in self._jobs:
            raise PoisonError(f"this version does not know the job {kind!r}")
        self._at_point("commit")
        job = OpenJob(
            self._db,
            Held(ref, kind, begun["attempt"], self._jobs[kind].rules),
            cursor=begun["cursor"],
            result=begun["result"],
            pace=self._pace,
            means=self._means,
            at_point=self._at_point,
        )
        with timed_job(kind):
            return await job.run(self._jobs[kind].run)


@contextmanager
def timed_job(kind: JobKind) -> Iterator[None]:
    """Tell how long a job took, and whether it failed."""
    begun, outcome = time.perf_counter(), "failed"
    try:
        yield
        outcome = "done"
    finally:
        JOB_SECONDS.observe(time.perf_counter() - begun, kind=kind, outcome=outcome)
