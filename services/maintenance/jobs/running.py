"""A job at work: batches in fenced transactions, a cursor in its row, what it did in its result.

A kind of job thinks wherever it likes and writes only through `OpenJob.commit`: one short
transaction under the user's lock, in which the job's row is held, the effects are written, and the
row says where it came to. A worker that dies leaves the last batch whole; whoever begins the job
again goes on behind it, and from then on nobody else may commit. Nothing here knows any kind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from services.maintenance.jobs import store
from services.maintenance.jobs.means import Means
from services.maintenance.jobs.store import Held
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Transaction
from shared.errors import MemoireError, RetryableError
from shared.events import Announcement
from shared.ids import trace_id
from shared.ledger import store as ledger
from shared.ledger.store import Occurrence, UserKey
from shared.patience import when_free


class OvertakenError(MemoireError):
    """The job is done, or another worker has begun it: nothing of this was written."""


class SliceOverError(MemoireError):
    """The job has had its time for now; it goes on behind those that wait."""


class JobHangsError(RetryableError):
    """The job committed nothing for too long."""


@dataclass(frozen=True, slots=True)
class JobPace:
    """How long a job may take without committing, and at a stretch while others wait."""

    silence_seconds: float = 300.0
    slice_seconds: float = 10.0


@dataclass(slots=True)
class Batch:
    """One transaction of a job. It is the last one, unless it says where to go on."""

    tx: Transaction
    user: UserKey
    held: Held
    cursor: Any
    """Where the batch before came to; None at the beginning."""
    result: dict[str, Any]
    finished: bool = True
    grown: int = 0
    due_at: datetime | None = None
    announcements: list[Announcement] = field(default_factory=list)

    def did(self, **what: Any) -> None:
        """Say what was done: numbers add up over the batches, of other things the last counts."""
        self.result = added(self.result, what)

    def go_on(self, cursor: Any) -> None:
        """Have another batch follow, from this cursor (anything JSON can hold but null)."""
        self.cursor, self.finished = cursor, False

    async def grow(self) -> None:
        """Tell every other kind, and whoever keeps anything of the user, that there is news."""
        await ledger.grow_version(self.tx, self.user)
        self.grown += 1

    def due(self, at: datetime | None) -> None:
        """Say in the last batch when time alone gives the kind work again; None: never."""
        self.due_at = at

    async def record(self, occurrences: Iterable[Occurrence | None]) -> None:
        """Record events in the facts' histories, each with the job that brought it about."""
        by = {"job": trace_id(self.held.ref.id), "kind": self.held.kind}
        told = [replace(one, data={**one.data, **by}) for one in occurrences if one is not None]
        self.announcements += await ledger.record_events(self.tx, told)

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Have bells rung once the batch is committed."""
        self.announcements += announcements


Work = Callable[[Batch], Awaitable[None]]


def added(result: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Add what a batch did to what those before it did."""
    return {**result, **{name: _sum(result.get(name), value) for name, value in more.items()}}


def _sum(before: Any, value: Any) -> Any:
    counted = isinstance(value, int | float) and not isinstance(value, bool)
    return before + value if counted and before is not None else value


class OpenJob:
    """What a kind's `run` is given: where the job came to, and how to go on."""

    def __init__(
        self,
        db: OperatorDatabase,
        held: Held,
        *,
        cursor: Any = None,
        result: dict[str, Any] | None = None,
        pace: JobPace | None = None,
        means: Means | None = None,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self.db = db
        self.means = means or Means()
        self.user: UserKey = (held.ref.tenant, held.ref.user)
        self.cursor = cursor
        self.result: dict[str, Any] = result or {}
        self.finished = False
        self.announcements: list[Announcement] = []
        self._held = held
        self._pace = pace or JobPace()
        self._slice_ends = time.monotonic() + self._pace.slice_seconds
        self._deadline: asyncio.Timeout | None = None
        self._at_point = at_point

    async def commit(self, work: Work) -> None:
        """Run a batch: all that `work` writes with its `tx`, and the job's progress, or nothing.

        `work` may be called again when the user is somebody else's just now. Raises
        OvertakenError, UserBusyError, and SliceOverError when a batch is committed and others wait.
        """
        batch = await when_free(partial(self._attempt, work), self.user[1])
        self.cursor, self.result, self.finished = batch.cursor, batch.result, batch.finished
        self.announcements += batch.announcements
        if self._deadline is not None:
            self._deadline.reschedule(self._silence_ends())
        if not self.finished and time.monotonic() >= self._slice_ends:
            raise SliceOverError

    async def _attempt(self, work: Work) -> Batch | None:
        async with self.db.transaction() as tx:
            self._at_point("begin")
            if not await ledger.try_lock_users(tx, ledger.BELIEFS, [self.user]):
                return None
            if not await store.hold(tx, self._held):
                raise OvertakenError
            self._at_point("moved")
            batch = Batch(tx, self.user, self._held, self.cursor, self.result)
            await work(batch)
            self._at_point("written")
            if batch.finished:
                await store.finish(tx, self._held, batch.result, batch.grown, batch.due_at)
            else:
                cursor, result = batch.cursor, batch.result
                await store.keep_progress(tx, self._held, cursor, result, batch.grown)
            self._at_point("saved")
        self._at_point("committed")
        return batch

    def _silence_ends(self) -> float:
        return asyncio.get_running_loop().time() + self._pace.silence_seconds

    async def run(self, entry: Callable[[OpenJob], Awaitable[None]]) -> list[Announcement]:
        """Run a kind's entry function to the job's end or that of its slice; returns what to ring.

        Raises JobHangsError when nothing was committed for too long.
        """
        try:
            async with asyncio.timeout_at(self._silence_ends()) as self._deadline:
                await entry(self)
        except OvertakenError:
            return self.announcements
        except SliceOverError:
            return self.announcements + await store.requeue(self.db, self._held)
        except TimeoutError:
            if self._deadline is None or not self._deadline.expired():
                raise
            seconds = self._pace.silence_seconds
            raise JobHangsError(f"nothing was committed for {seconds:g} s") from None
        if not self.finished:
            raise RuntimeError(f"the job {self._held.kind!r} ended without a last batch")
        return self.announcements
