"""Maintenance: jobs `requested` → `done`, one user at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from services.maintenance import store
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.errors import PoisonError
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.patience import when_free
from shared.rows import RowsStage, by_user
from shared.topology import STAGES, JobKind


class MaintenanceStage(RowsStage):
    name = "maintenance"
    streams = STAGES["maintenance"]
    table = "jobs"
    state = "requested"

    def __init__(
        self, *, durable: Database, policy: RetryPolicy, at_point: AtPoint = ignore_point
    ) -> None:
        super().__init__(durable, policy)
        self._db = durable
        self._at_point = at_point

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        return by_user(refs)

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        tenant, user = refs[0].tenant, refs[0].user
        jobs = await store.requested_jobs(self._db, tenant, user, [ref.id for ref in refs])
        announcements: list[Announcement] = []
        for job, kind in jobs:
            self._at_point("commit")
            announcements += await self._run(tenant, user, job, kind)
        return announcements

    async def _run(self, tenant: str, user: str, job: UUID, kind: JobKind) -> list[Announcement]:
        if kind != "consolidate":
            raise PoisonError(f"this version does not know the job {kind!r}")
        run = partial(store.consolidate, self._db, tenant, user, job, self._at_point)
        return await when_free(run, user)
