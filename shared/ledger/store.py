"""Reading the inputs of the law for one user, folding them, and rewriting what the cache says.

Everything happens in the caller's transaction, under the user's lock: the fold is pure and takes
microseconds, no model is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.beliefs import Standing
from shared.db import Row, Transaction
from shared.events import Announcement, Settled
from shared.failures.store import RowRef, keys_of
from shared.ids import trace_id
from shared.ledger.acts import Acts, acts_from
from shared.ledger.folding import (
    Attribute,
    Decided,
    by_attribute,
    decided_by,
    fold_attribute,
    fold_free_text,
    standing_of,
    trace_of,
)
from shared.slots import Catalogue, built_in
from shared.sql import Queries
from shared.tenant_slots import store as tenant_slots
from shared.topology import SETTLED

queries = Queries("shared.ledger")

BELIEFS = "beliefs"
"""The lock under which a user's beliefs are rewritten."""

UserKey = tuple[str, str]
"""A tenant and a user."""


@dataclass(slots=True)
class Change:
    """A fact whose standing is not what the cache said."""

    user: UserKey
    fact: UUID
    trace: UUID
    before: Standing | None
    after: Standing


@dataclass(slots=True)
class Occurrence:
    """One event to record and announce."""

    user: UserKey
    event: str
    fact: UUID
    trace: UUID
    data: dict[str, Any] = field(default_factory=dict)


async def try_lock_users(tx: Transaction, scope: str, users: Collection[UserKey]) -> set[UserKey]:
    """Take users until the transaction ends; whom somebody else has is not among them."""
    rows = await tx.rows(queries["try_lock_users"], {"scope": scope, **_user_columns(users)})
    return {(row["tenant_id"], row["user_id"]) for row in rows}


async def lock_user(tx: Transaction, scope: str, tenant: str, user: str) -> None:
    """Take a user until the transaction ends, waiting for whoever has it."""
    await tx.execute(queries["lock_user"], {"scope": scope, "tenant": tenant, "user": user})


async def refold(
    tx: Transaction,
    attributes: Collection[tuple[UserKey, Attribute]],
    free_text: Sequence[RowRef],
) -> list[Change]:
    """Fold these attributes and the clusters of these facts anew; returns what changed."""
    users = {user for user, _ in attributes} | {(ref.tenant, ref.user) for ref in free_text}
    acts = await _acts_of(tx, users)
    changes: list[Change] = []
    if attributes:
        known = await tenant_slots.catalogues(tx, {tenant for (tenant, _), _ in attributes})
        for user, rows in _by_user(await _observations(tx, attributes, known)).items():
            for attribute, observed in by_attribute(rows, known[user[0]]).items():
                timeline = fold_attribute(
                    attribute, observed, acts.get(user, Acts()), catalogue=known[user[0]]
                )
                changes += _changes(user, observed, timeline.standings)
    if free_text:
        refs = [*free_text, *await _reworded(tx, acts)]
        rows = await tx.rows(queries["clustered_observations"], keys_of(refs))
        decided = await _decided_among(tx, rows)
        for user, observed in _by_user(rows).items():
            standings = fold_free_text(observed, decided, acts.get(user, Acts()))
            changes += _changes(user, observed, standings)
    await _write(tx, changes)
    return changes


async def _reworded(tx: Transaction, acts: Mapping[UserKey, Acts]) -> list[RowRef]:
    """Find what users' corrections of free text join, in the law, without a verdict."""
    users = [user for user, mine in acts.items() if any(c.slot is None for c in mine.corrections)]
    if not users:
        return []
    rows = await tx.rows(queries["reworded_facts"], _user_columns(users))
    return [RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in rows]


async def read_clusters(tx: Transaction, refs: Sequence[RowRef]) -> tuple[list[Row], Decided]:
    """Read all that verdicts connect with these facts of free text, and the verdicts."""
    rows = await tx.rows(queries["clustered_observations"], keys_of(refs))
    return rows, await _decided_among(tx, rows)


async def read_attributes(
    tx: Transaction,
    tenant: str,
    user: str,
    attributes: Collection[Attribute],
    catalogue: Catalogue | None = None,
) -> list[Row]:
    """Read every settled observation of these attributes of one user, however it is stored."""
    asked = [((tenant, user), attribute) for attribute in attributes]
    return await _observations(tx, asked, {tenant: catalogue or built_in()})


async def _observations(
    tx: Transaction,
    attributes: Collection[tuple[UserKey, Attribute]],
    catalogues: Mapping[str, Catalogue],
) -> list[Row]:
    stored = {
        (user, subject, name)
        for user, (subject, slot) in attributes
        for name in (slot, *catalogues[user[0]].spellings(slot))
    }
    params = {
        **_user_columns([user for user, _, _ in stored]),
        "subjects": [subject for _, subject, _ in stored],
        "slots": [name for _, _, name in stored],
    }
    return await tx.rows(queries["slot_observations"], params)


async def attributes_of(tx: Transaction, tenant: str, user: str) -> list[Attribute]:
    rows = await tx.rows(queries["attributes_of"], {"tenant": tenant, "user": user})
    return [(row["subject"], row["slot"]) for row in rows]


async def free_text_of(tx: Transaction, tenant: str, user: str) -> list[RowRef]:
    rows = await tx.rows(queries["free_text_of"], {"tenant": tenant, "user": user})
    return [RowRef(tenant, user, row["id"]) for row in rows]


async def read_acts(tx: Transaction, tenant: str, user: str) -> Acts:
    """Read what operators did about one user."""
    return (await _acts_of(tx, [(tenant, user)])).get((tenant, user), Acts())


async def _acts_of(tx: Transaction, users: Collection[UserKey]) -> dict[UserKey, Acts]:
    rows = _by_user(await tx.rows(queries["acts"], _user_columns(users)))
    return {user: acts_from(mine) for user, mine in rows.items()}


def _user_columns(users: Collection[UserKey]) -> dict[str, list[str]]:
    return {"tenants": [tenant for tenant, _ in users], "users": [user for _, user in users]}


def _by_user(rows: Iterable[Row]) -> dict[UserKey, list[Row]]:
    users: dict[UserKey, list[Row]] = {}
    for row in rows:
        users.setdefault((row["tenant_id"], row["user_id"]), []).append(row)
    return users


async def _decided_among(tx: Transaction, rows: Sequence[Row]) -> Decided:
    """Read the pairs of these facts that verdicts join or part."""
    if len(rows) < 2:
        return decided_by([])
    refs = [RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in rows]
    return decided_by(await tx.rows(queries["verdicts_among"], keys_of(refs)))


def _changes(
    user: UserKey, rows: Iterable[Row], standings: Mapping[UUID, Standing]
) -> list[Change]:
    changes = []
    for row in rows:
        before, after = standing_of(row), standings[row["id"]]
        if before != after:
            changes.append(Change(user, row["id"], trace_of(row), before, after))
    return changes


async def _write(tx: Transaction, changes: Sequence[Change]) -> None:
    if not changes:
        return
    after = [change.after for change in changes]
    await tx.execute(
        queries["write_standings"],
        {
            **_user_columns([change.user for change in changes]),
            "ids": [change.fact for change in changes],
            "kinds": [standing.kind for standing in after],
            "canonical": [standing.canonical_id for standing in after],
            "believed": [_multirange(standing) for standing in after],
            "planned_for": [standing.planned_for for standing in after],
            "planned_since": [standing.planned_since for standing in after],
            "superseded_by": [standing.superseded_by for standing in after],
            "evidence": [standing.evidence_count for standing in after],
        },
    )
    await _mark_stale(tx, changes)


async def _mark_stale(tx: Transaction, changes: Sequence[Change]) -> None:
    """Mark what is derived from facts that are no longer believed as they were."""
    moved = [c for c in changes if c.before and _as_shown(c.before) != _as_shown(c.after)]
    if not moved:
        return
    forgotten = [change.after.kind in {"forgotten", "quarantined"} for change in moved]
    await mark_stale(tx, [RowRef(*change.user, change.fact) for change in moved], forgotten)


async def mark_stale(
    tx: Transaction, refs: Sequence[RowRef], forgotten: Sequence[bool] | None = None
) -> None:
    """Mark the profiles that rest on these facts; the words of what was forgotten go at once."""
    params = {**keys_of(refs), "forgotten": forgotten or [False] * len(refs)}
    await tx.execute(queries["mark_stale"], params)


def _as_shown(standing: Standing) -> Standing:
    """More evidence for the same is no change to what rests on it."""
    return replace(standing, evidence_count=1)


def _multirange(standing: Standing) -> str:
    """Write the stretches as PostgreSQL reads them: {[from,to),…}; no bound: from or for ever."""
    stretches = (
        f"[{start.isoformat() if start else ''},{end.isoformat() if end else ''})"
        for start, end in standing.valid
    )
    return "{" + ",".join(stretches) + "}"


async def grow_version(tx: Transaction, user: UserKey) -> None:
    """Tell whoever keeps anything of a user, and every kind of job, that it is another by now."""
    await tx.execute(queries["grow_version"], {"tenant": user[0], "user": user[1]})


async def record_events(tx: Transaction, occurrences: Sequence[Occurrence]) -> list[Announcement]:
    """Append events, and return what the public stream is told of them."""
    if not occurrences:
        return []
    params = {
        **_user_columns([o.user for o in occurrences]),
        "events": [o.event for o in occurrences],
        "facts": [o.fact for o in occurrences],
        "traces": [o.trace for o in occurrences],
        "data": [Jsonb(o.data) if o.data else None for o in occurrences],
    }
    await tx.execute(queries["record_events"], params)
    return [(SETTLED, Settled(*o.user, o.fact, o.event, trace_id(o.trace))) for o in occurrences]


def occurrence_of(change: Change) -> Occurrence | None:
    """Tell what happened to a fact; None when nothing an outsider would ask about."""
    before, after = change.before, change.after
    if after.kind == "forgotten":
        return Occurrence(change.user, "fact.forgotten", change.fact, change.trace)
    if after.kind == "quarantined":
        return Occurrence(change.user, "fact.quarantined", change.fact, change.trace)
    if before is not None and before.kind == "quarantined":
        before = None  # it counts for the first time
    if before is not None and before.kind == "forgotten":  # only an undo brings it back
        return Occurrence(change.user, "fact.restored", change.fact, change.trace)
    if after.kind == "merged" and (before is None or before.canonical_id != after.canonical_id):
        data = {"into": str(after.canonical_id)}
        return Occurrence(change.user, "fact.merged", change.fact, change.trace, data)
    if after.superseded_by and (before is None or before.superseded_by != after.superseded_by):
        data = {"by": str(after.superseded_by)}
        return Occurrence(change.user, "fact.superseded", change.fact, change.trace, data)
    if before is not None and (before.kind, before.valid) != (after.kind, after.valid):
        data = {"standing": after.kind}
        return Occurrence(change.user, "fact.revised", change.fact, change.trace, data)
    return None
