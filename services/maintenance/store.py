"""What maintenance and the sweeper read and write: lost bells, windows, rounds, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.maintenance.biographer import Draft
from services.maintenance.drafting import fingerprint
from services.maintenance.profile import KnownFact, Profile, write_profile
from services.maintenance.schedule import Round
from shared.db import Row, Transaction
from shared.events import Announcement, bells_for, session_bells_for
from shared.sql import Queries
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, JobKind

queries = Queries("services.maintenance")

_WAITS_ON = {"extracted": EXTRACTED, "embedded": EMBEDDED, "compared": COMPARED}
"""The stream that tells of facts in each open state."""

SWEEP, WINDOWS, SCHEDULE = 1, 2, 3
"""Duties that one process at a time may have."""

TEMPLATE = "template"
"""Who wrote a profile where no model did."""

_LOOKED_AT = 2_000  # users in one step of a round; see docs/decisions/0024-scheduler.md


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


# ---- the schedule


async def rounds(
    tx: Transaction, kinds: Sequence[JobKind]
) -> tuple[datetime, dict[JobKind, Round]]:
    """Take PostgreSQL's time, and read how far each kind's last round has come."""
    rows = await tx.rows(queries["rounds"], {"kinds": list(kinds)})
    known = {
        row["kind"]: Round(row["slot"], row["turn"], finished=row["finished"])
        for row in rows
        if row["slot"] is not None
    }
    return rows[0]["now"], known


async def save_round(tx: Transaction, kind: JobKind, current: Round) -> None:
    params = {"kind": kind, "slot": current.slot, "turn": current.turn}
    await tx.execute(queries["save_round"], {**params, "finished": current.finished})


async def room_for_jobs(tx: Transaction, kind: JobKind, window: int) -> int:
    """Say how many jobs the schedule may ask for, so that at most `window` of its own wait."""
    return int(await tx.value(queries["room_for_jobs"], {"kind": kind, "window": window}))


async def ask_users(
    tx: Transaction, kind: JobKind, current: Round, below: int, *, limit: int, rules: str
) -> tuple[int | None, list[Announcement]]:
    """Ask for the jobs of the next users, at most about `limit`, whose turn is before `below`.

    Returns the last turn that was looked at, None when nobody is left before it, and the bells.
    """
    params = {
        "kind": kind,
        "slot": current.slot,
        "after": current.turn,
        "below": below,
        "limit": limit,
        "looked_at": _LOOKED_AT,
        "rules": rules,
    }
    rows = await tx.rows(queries["ask_users"], params)
    bells = bells_for(row for row in rows if row["id"] is not None)
    return rows[0]["turn"], [(JOBS[kind], bell) for bell in bells]


async def forget_jobs(tx: Transaction, kind: JobKind, keep_days: int, limit: int) -> int:
    """Delete jobs that were done so long ago; returns how many."""
    params = {"kind": kind, "keep_days": keep_days, "limit": limit}
    return await tx.execute(queries["forget_jobs"], params)


# ---- profiles


async def known_facts(tx: Transaction, tenant: str, user: str) -> list[KnownFact]:
    """Read what is believed now about a user themself, the best attested of each kind."""
    rows = await tx.rows(queries["known_facts"], {"tenant": tenant, "user": user})
    return [KnownFact(**row) for row in rows]


async def asked_before(tx: Transaction, tenant: str, user: str) -> bytes | None:
    """Read what a model was last asked for this user's profile, as a fingerprint."""
    row = await tx.row(queries["asked_for_profile"], {"tenant": tenant, "user": user})
    return bytes(row["asked_sha256"]) if row else None


async def rewrite_profile(
    tx: Transaction, tenant: str, user: str, draft: Draft | None = None
) -> str:
    """Write the user's profile, with edges to what it rests on; what has not changed is left.

    A model's draft counts for the facts it was given and no others. What a model once wrote stays
    as long as every fact of it does and it was asked about the same.
    """
    params: dict[str, Any] = {"tenant": tenant, "user": user}
    facts = await known_facts(tx, tenant, user)
    stored = await tx.row(queries["stored_profile"], params)
    written = _choose(facts, stored, draft)
    if written is None:
        return "unchanged"
    profile, by, asked = written
    same = {"content": profile.content, "stale": False, "rests_on": list(profile.rests_on)}
    if stored is not None and all(stored[name] == same[name] for name in same):
        if asked != _bytes(stored["asked_sha256"]):
            await tx.execute(queries["note_asked"], {**params, "asked": asked})
        return "unchanged"
    await tx.execute(queries["clear_profile"], params)
    if not profile.rests_on:
        return "empty"
    more = {"content": profile.content, "facts": list(profile.rests_on), "by": by, "asked": asked}
    await tx.execute(queries["store_profile"], {**params, **more})
    return "written"


def _choose(
    facts: Sequence[KnownFact], stored: Row | None, draft: Draft | None
) -> tuple[Profile, str, bytes | None] | None:
    """Choose what stands in the profile: (it, by whom, what a model was asked); None: no change."""
    if draft is not None and draft.asked == fingerprint(facts, draft.by):
        if draft.profile is not None:
            return draft.profile, draft.by, draft.asked
        return write_profile(facts), TEMPLATE, draft.asked
    if stored is not None and stored["written_by"] != TEMPLATE and not stored["stale"]:
        asked = _bytes(stored["asked_sha256"])
        if asked == fingerprint(facts, stored["written_by"]):
            return None
    kept = _bytes(stored["asked_sha256"]) if stored is not None else None
    return write_profile(facts), TEMPLATE, kept


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
