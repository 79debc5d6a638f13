"""Decay: keep up to date from when on each fact is faded, and tell which faded or came back.

Nothing loses weight here: how much is left is a function of the fact and the time. The job only
keeps the moment at which it will be too little, so that recall compares two times. It also says
when it will have work again although nothing happens: until then the user costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.maintenance.fading import store
from services.maintenance.fading.weight import FADED_BELOW, HalfLives, half_lives
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, OpenJob

_RECKONING = 2  # another one where the same facts would fade at other moments


@dataclass(frozen=True, slots=True)
class Decay:
    """Counts a fact as faded once no more than `faded_below` of certainty is left; 0: never."""

    faded_below: float
    lives: HalfLives

    @property
    def rules(self) -> str:
        """Tells these rules from any others: under others every fact is reckoned anew."""
        slots, categories = sorted(self.lives.slots.items()), sorted(self.lives.categories.items())
        told = [_RECKONING, self.faded_below, slots, categories]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    async def __call__(self, job: OpenJob) -> None:
        while not job.finished:
            await job.commit(self._reckon)

    async def _reckon(self, batch: Batch) -> None:
        after, due_at = _read(batch.cursor)
        done = await store.reckon(batch.tx, batch.user, after, self.lives, self.faded_below)
        faded = sum(one.event == "fact.faded" for one in done.happened)
        batch.did(
            looked=done.looked,
            changed=done.changed,
            faded=faded,
            revived=len(done.happened) - faded,
        )
        if done.happened or done.turned:
            await batch.grow()  # to the other kinds it is news
        await batch.record(done.happened)
        due_at = _earlier(due_at, done.due_at)
        if done.last is not None:
            batch.go_on([str(done.last), due_at and due_at.isoformat()])
        batch.due(due_at)


def _read(cursor: Any) -> tuple[UUID | None, datetime | None]:
    """The last fact that was looked at, and when the first of those will have changed."""
    if not cursor:
        return None, None
    last, due_at = [cursor, None] if isinstance(cursor, str) else cursor
    return UUID(last), datetime.fromisoformat(due_at) if due_at else None


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def job(faded_below: float = FADED_BELOW, lives: HalfLives | None = None) -> Job:
    """The job with this threshold."""
    decay = Decay(faded_below, lives or half_lives())
    return Job(decay, rules=decay.rules)


JOB = job()
