"""Decay: keep up to date from when on each fact is faded, and tell which faded or came back.

Nothing loses weight here: how much is left is a function of the fact and the time. The job only
keeps the moment at which it will be too little, so that recall compares two times.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.maintenance.fading import store
from services.maintenance.fading.weight import FADED_BELOW, HalfLives, half_lives
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, OpenJob


@dataclass(frozen=True, slots=True)
class Decay:
    """Counts a fact as faded once no more than `faded_below` of certainty is left; 0: never."""

    faded_below: float
    lives: HalfLives

    async def __call__(self, job: OpenJob) -> None:
        while not job.finished:
            await job.commit(self._reckon)

    async def _reckon(self, batch: Batch) -> None:
        after = UUID(batch.cursor) if batch.cursor else None
        done = await store.reckon(batch.tx, batch.user, after, self.lives, self.faded_below)
        faded = sum(one.event == "fact.faded" for one in done.happened)
        batch.did(
            looked=done.looked,
            changed=done.changed,
            faded=faded,
            revived=len(done.happened) - faded,
        )
        await batch.record(done.happened)
        if done.last is not None:
            batch.go_on(str(done.last))


def job(faded_below: float = FADED_BELOW, lives: HalfLives | None = None) -> Job:
    """The job with this threshold; time alone gives it work."""
    return Job(Decay(faded_below, lives or half_lives()), without_news=True)


JOB = job()
