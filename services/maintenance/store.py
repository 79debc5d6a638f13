"""What maintenance and the sweeper read and write: jobs, lost bells, windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.maintenance.profile import KnownFact, write_profile
from shared.crash import AtPoint, ignore_point
from shared.db import Database, Row, Transaction
from shared.events import Announcement, bells_for, session_bells_for
from shared.ledger import store as ledger
from shared.sql import Queries
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, JobKind

queries = Queries("services.maintenance")

_WAITS_ON = {"extracted": EXTRACTED, "embedded": EMBEDDED, "compared": COMPARED}
"""The stream that tells of facts in each open state."""

SWEEP, WINDOWS = 1, 2
"""Duties that one process at a time may have."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep may announce: at most `limit` rows of a kind, none younger than `patience`."""

    now: datetime
    patience_seconds: float
    limit: int

    def params(self, oldest_bell: datetime | None, **more: Any) -> dict[str, Any]:
        """Without a bell in the stream, whatever is older than the patience is lost."""
        return {
            "now": self.now,
            "patience": self.patience_seconds,
            "limit": self.limit,
            "oldest_bell": oldest_bell or self.now,
            **more,
        }


async def now_if_open(tx: Transaction) -> datetime | None:
    """Take PostgreSQL's time, before Redis is looked at; None when no row is open at all."""
    row = await tx.row(queries["now_if_open"])
    assert row is not None
    now: datetime = row["now"]
    return now if row["open"] else None


async def elect(tx: Transaction, duty: int) -> bool:
    """Take a duty for this transaction; False when another process has it."""
    return bool(await tx.value(queries["elect"], {"duty": duty}))


async def lost_messages(
    tx: Transaction, sweep: Sweep, oldest_bell: datetime | None
) -> list[Announcement]:
    rows = await tx.rows(queries["lost_messages"], sweep.params(oldest_bell))
    return [(MESSAGES, bell) for bell in session_bells_for(rows)]


async def lost_facts(
    tx: Transaction, sweep: Sweep, state: str, oldest_bell: datetime | None
) -> list[Announcement]:
    rows = await tx.rows(queries["lost_facts"], sweep.params(oldest_bell, state=state))
    return [(_WAITS_ON[state], bell) for bell in bells_for(rows)]


async def lost_jobs(
    tx: Transaction, sweep: Sweep, kind: JobKind, oldest_bell: datetime | None
) -> list[Announcement]:
    rows = await tx.rows(queries["lost_jobs"], sweep.params(oldest_bell, kind=kind))
    return [(JOBS[kind], bell) for bell in bells_for(rows)]


async def due_entries(tx: Transaction, sweep: Sweep) -> list[Row]:
    return await tx.rows(queries["due_entries"], {"now": sweep.now, "limit": sweep.limit})


async def forget_entries(tx: Transaction, ids: Sequence[UUID]) -> None:
    await tx.execute(queries["forget_entries"], {"ids": list(ids)})


async def anybody_waits(tx: Transaction) -> bool:
    """Say whether any tenant has messages that wait for its window."""
    return bool(await tx.rows(queries["waiting_tenants"]))


async def refill_windows(tx: Transaction, window: int) -> list[Announcement]:
    """Announce what waits, tenant by tenant, as far as each one's window has room."""
    announcements: list[Announcement] = []
    for waiting in await tx.rows(queries["waiting_tenants"]):
        params = {"tenant": waiting["tenant_id"], "window": window}
        rows = await tx.rows(queries["refill_window"], params)
        announcements += [(MESSAGES, bell) for bell in session_bells_for(rows)]
    return announcements


async def requested_jobs(
    db: Database, tenant: str, user: str, ids: Sequence[UUID]
) -> list[tuple[UUID, JobKind]]:
    params = {"tenant": tenant, "user": user, "ids": list(ids)}
    async with db.autocommit() as tx:
        rows = await tx.rows(queries["requested_jobs"], params)
    return [(row["id"], row["kind"]) for row in rows]


async def consolidate(
    db: Database, tenant: str, user: str, job: UUID, at_point: AtPoint = ignore_point
) -> list[Announcement] | None:
    """Fold everything of a user anew, and write their profile.

    What the cache says is again what the law says. None when another transaction is rewriting the
    user's beliefs.
    """
    params: dict[str, Any] = {"tenant": tenant, "user": user, "id": job}
    async with db.transaction() as tx:
        at_point("begin")
        if not await ledger.try_lock_users(tx, ledger.BELIEFS, [(tenant, user)]):
            return None
        if await tx.row(queries["finish_job"], {**params, "result": None}) is None:
            return []
        at_point("moved")
        attributes = [((tenant, user), a) for a in await ledger.attributes_of(tx, tenant, user)]
        free_text = await ledger.free_text_of(tx, tenant, user)
        changes = await ledger.refold(tx, attributes, free_text)
        written = await _write_profile(tx, tenant, user)
        result = Jsonb({"changed": len(changes), "profile": written})
        await tx.execute(queries["write_result"], {**params, "result": result})
        at_point("written")
        occurrences = [o for o in map(ledger.occurrence_of, changes) if o is not None]
        announcements = await ledger.record_events(tx, occurrences)
        at_point("saved")
    at_point("committed")
    return announcements


async def _write_profile(tx: Transaction, tenant: str, user: str) -> str:
    """Write the user's profile, with edges to what it rests on; what has not changed is left."""
    params: dict[str, Any] = {"tenant": tenant, "user": user}
    facts = await tx.rows(queries["known_facts"], params)
    profile = write_profile(KnownFact(**fact) for fact in facts)
    stored = await tx.row(queries["stored_profile"], params)
    if stored == {"content": profile.content, "stale": False, "rests_on": list(profile.rests_on)}:
        return "unchanged"
    await tx.execute(queries["clear_profile"], params)
    if not profile.rests_on:
        return "empty"
    more = {"content": profile.content, "facts": list(profile.rests_on)}
    await tx.execute(queries["store_profile"], {**params, **more})
    return "written"
