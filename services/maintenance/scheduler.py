"""The scheduler: asks for jobs when they are due, for users who have something new.

It runs in every sweeper. Who gets the duty takes one bounded step of each kind's round, in one
transaction: the jobs, and how far the round has come. So a slot asks for a user's job once, however
many schedulers there are and whenever one dies; the unique (tenant, user, kind, slot) of jobs says
so again. At rest a turn reads one row a kind. Time is PostgreSQL's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from services.maintenance import store
from services.maintenance.jobs.kinds import Job
from services.maintenance.schedule import Round, after_step, current_round, turns_due
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Transaction
from shared.events import Announcement, RowsBell
from shared.metrics.sweeping import JOBS_SCHEDULED
from shared.settings import Settings
from shared.topology import JOBS, JobKind

log = structlog.get_logger()

_FORGOTTEN_AT_ONCE = 1_000


class Scheduler:
    """Any number may run; whoever gets the lock takes this step."""

    def __init__(
        self,
        db: OperatorDatabase,
        announcer: Announcer,
        settings: Settings,
        jobs: Mapping[JobKind, Job],
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._announcer = announcer
        self._settings = settings
        self._jobs = jobs
        self._crons = {kind: cron for kind in jobs if (cron := settings.cron_of(kind))}
        self._at_point = at_point

    async def turn(self) -> int:
        """Take one step in every round that is under way; returns how many jobs were asked for."""
        if not self._crons:
            return 0
        async with self._db.autocommit() as tx:
            now, known = await store.rounds(tx, list(self._crons))
        if not any(self._to_do(kind, known.get(kind), now) for kind in self._crons):
            return 0
        async with self._db.transaction() as tx:
            if not await store.elect(tx, store.SCHEDULE):
                return 0
            now, known = await store.rounds(tx, list(self._crons))
            announcements: list[Announcement] = []
            for kind in self._crons:
                announcements += await self._step(tx, kind, known.get(kind), now)
            self._at_point("scheduled")
        self._at_point("schedule_kept")
        if announcements:
            log.info("jobs are due", jobs=len(announcements))
            _count(announcements)
            await self._announcer.announce(announcements)
        return len(announcements)

    def _to_do(self, kind: JobKind, known: Round | None, now: datetime) -> bool:
        """Say whether a step would change anything: a round is new, or somebody's turn has come."""
        current = current_round(self._crons[kind], known, now)
        return current != known or not current.finished

    async def _step(
        self, tx: Transaction, kind: JobKind, known: Round | None, now: datetime
    ) -> list[Announcement]:
        current = current_round(self._crons[kind], known, now)
        announcements: list[Announcement] = []
        if not current.finished:
            current, announcements = await self._ask(tx, kind, current, now)
        if current != known:
            await store.save_round(tx, kind, current)
        return announcements

    async def _ask(
        self, tx: Transaction, kind: JobKind, current: Round, now: datetime
    ) -> tuple[Round, list[Announcement]]:
        settings = self._settings
        due = turns_due(self._crons[kind], current.slot, now, settings.schedule_spread_seconds)
        room = await store.room_for_jobs(tx, kind, settings.schedule_window)
        if room <= 0:
            return current, []
        reached, announcements = await store.ask_users(
            tx, kind, current, due, limit=room, rules=self._jobs[kind].rules
        )
        return after_step(current, reached, due), announcements

    async def forget(self) -> int:
        """Delete some of the jobs that were done long ago; returns how many."""
        keep = self._settings.job_keep_days
        async with self._db.autocommit() as tx:
            return sum(
                [await store.forget_jobs(tx, kind, keep, _FORGOTTEN_AT_ONCE) for kind in self._jobs]
            )


def _count(announcements: Sequence[Announcement]) -> None:
    """Count jobs by kind: their bells name them."""
    for kind, stream in JOBS.items():
        bells = (bell for on, bell in announcements if on == stream and isinstance(bell, RowsBell))
        if jobs := sum(len(bell.ids) for bell in bells):
            JOBS_SCHEDULED.add(jobs, kind=kind)
