"""What is read and written of a job at work: its fence, its cursor, its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from shared.db import OperatorDatabase, Row, Transaction
from shared.events import Announcement, bells_for
from shared.failures.store import RowRef
from shared.sql import Queries
from shared.topology import JOBS, JobKind

queries = Queries("services.maintenance.jobs")


@dataclass(frozen=True, slots=True)
class Held:
    """A job as one worker has it: only as long as nobody began it after `attempt`."""

    ref: RowRef
    kind: JobKind
    attempt: int
    rules: str = ""
    """Those it works by, as its kind tells them apart."""

    def params(self, **more: Any) -> dict[str, Any]:
        return {**_key(self.ref), "attempt": self.attempt, **more}


async def begin(db: OperatorDatabase, ref: RowRef) -> Row | None:
    """Begin a job, or resume it: kind, attempt, cursor, result; None when it does not wait."""
    async with db.autocommit() as tx:
        return await tx.row(queries["begin_job"], _key(ref))


async def hold(tx: Transaction, held: Held) -> bool:
    """Take the job for this transaction; False when it is another's by now, or done."""
    return await tx.row(queries["hold_job"], held.params()) is not None


async def keep_progress(
    tx: Transaction, held: Held, cursor: Any, result: dict[str, Any], grown: int
) -> None:
    params = held.params(cursor=Jsonb(cursor), result=Jsonb(result), grown=grown)
    await tx.execute(queries["keep_progress"], params)


async def finish(
    tx: Transaction, held: Held, result: dict[str, Any], grown: int, due_at: datetime | None
) -> None:
    more = {"grown": grown, "due_at": due_at, "rules": held.rules}
    await tx.execute(queries["finish_job"], held.params(result=Jsonb(result), **more))


async def requeue(db: OperatorDatabase, held: Held) -> list[Announcement]:
    """Put a job behind those that wait; returns its bell."""
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["requeue_job"], held.params())
    return [(JOBS[held.kind], bell) for bell in bells_for(rows)]


def _key(ref: RowRef) -> dict[str, Any]:
    return {"tenant": ref.tenant, "user": ref.user, "id": ref.id}
