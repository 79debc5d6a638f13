"""What is read and written of jobs by those who ask for them: the gateway and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db import Row, Transaction
from shared.events import Announcement, bells_for
from shared.failures.store import RowRef
from shared.ids import time_ordered_id
from shared.sql import Queries
from shared.topology import JOBS, JobKind
from shared.tracing import store as traces

queries = Queries("shared.jobs")


async def request_job(
    tx: Transaction, tenant: str, user: str, kind: JobKind
) -> tuple[UUID, list[Announcement]]:
    """Request a job, or find the one that has not begun; returns its id and its bell.

    One that has begun may have passed by what the caller wants seen, so another follows it.
    """
    params = {"tenant": tenant, "user": user, "kind": kind}
    await tx.execute(queries["lock_request"], params)
    row = await tx.row(queries["request_job"], {**params, "id": time_ordered_id()})
    assert row is not None
    made = [row] if row["announced_at"] is not None else []
    await traces.keep(tx, "jobs", [RowRef(tenant, user, row["id"])])
    return row["id"], [(JOBS[kind], bell) for bell in bells_for(made)]


async def user_exists(tx: Transaction, tenant: str, user: str) -> bool:
    return bool(await tx.value(queries["user_exists"], {"tenant": tenant, "user": user}))


async def read_job(tx: Transaction, tenant: str, user: str, job: UUID) -> Row | None:
    """Read what became of a job; `error` is that of its last failure."""
    params = {"tenant": tenant, "user": user, "id": job}
    return await tx.row(queries["job"], params)


async def overview(tx: Transaction, kinds: Sequence[JobKind]) -> list[Row]:
    """Count jobs by kind, beside the last slot of its schedule."""
    return await tx.rows(queries["overview"], {"kinds": list(kinds)})
