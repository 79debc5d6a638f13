"""Reading the inputs of the law for one user, folding them, and rewriting what the cache says.

Everything happens in the caller's transaction, under the user's lock: the fold is pure and takes
microseconds, no model is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange

from shared import slots
from shared.beliefs import (
    Correction,
    Observation,
    SlotTimeline,
    Standing,
    Tombstone,
    cluster,
    fold_slot,
)
from shared.db import Row, Transaction
from shared.events import Announcement, Settled
from shared.ids import trace_id
from shared.sql import Queries
from shared.topology import SETTLED

queries = Queries("shared.ledger")

Attribute = tuple[str, str]
"""A subject and a slot."""


@dataclass(frozen=True, slots=True)
class Acts:
    """What operators did about one user."""

    corrections: tuple[Correction, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()


@dataclass(slots=True)
class Change:
    """A fact whose standing is not what the cache said."""

    fact: UUID
    trace: UUID
    before: Standing | None
    after: Standing


@dataclass(slots=True)
class Occurrence:
    """One event to record and announce."""

    event: str
    fact: UUID
    trace: UUID
    data: dict[str, Any] = field(default_factory=dict)


async def try_lock_user(tx: Transaction, scope: str, tenant: str, user: str) -> bool:
    """Take the user until the transaction ends; False when somebody else has it."""
    params = {"scope": scope, "tenant": tenant, "user": user}
    return bool(await tx.value(queries["try_lock_user"], params))


async def refold(
    tx: Transaction,
    tenant: str,
    user: str,
    attributes: Collection[Attribute],
    free_text: Collection[UUID],
) -> list[Change]:
    """Fold these attributes and the clusters of these facts anew; returns what changed."""
    acts = await read_acts(tx, tenant, user)
    changes: list[Change] = []
    if attributes:
        rows = await read_attributes(tx, tenant, user, attributes)
        for attribute, observed in by_attribute(rows).items():
            timeline = fold_attribute(attribute, observed, acts)
            changes += _changes(observed, timeline.standings)
    if free_text:
        rows = await _read_clusters(tx, tenant, user, free_text)
        changes += _changes(rows, await _fold_clusters(tx, tenant, user, rows, acts))
    await _write(tx, tenant, user, changes)
    return changes


async def read_attributes(
    tx: Transaction, tenant: str, user: str, attributes: Collection[Attribute]
) -> list[Row]:
    params = {
        "tenant": tenant,
        "user": user,
        "subjects": [subject for subject, _ in attributes],
        "slots": [slot for _, slot in attributes],
    }
    return await tx.rows(queries["slot_observations"], params)


async def attributes_of(tx: Transaction, tenant: str, user: str) -> list[Attribute]:
    rows = await tx.rows(queries["attributes_of"], {"tenant": tenant, "user": user})
    return [(row["subject"], row["slot"]) for row in rows]


async def free_text_of(tx: Transaction, tenant: str, user: str) -> list[UUID]:
    rows = await tx.rows(queries["free_text_of"], {"tenant": tenant, "user": user})
    return [row["id"] for row in rows]


async def read_acts(tx: Transaction, tenant: str, user: str) -> Acts:
    rows = await tx.rows(queries["acts"], {"tenant": tenant, "user": user})
    corrections = tuple(
        Correction(
            id=row["id"],
            at=row["acted_at"],
            fact_id=row["fact_id"],
            subject=row["subject"],
            slot=row["slot"],
            value=row["value"],
            value_key=row["value_key"],
            old_value_key=row["old_value_key"],
            valid_from=row["valid_from"],
            valid_to=row["valid_to"],
        )
        for row in rows
        if row["kind"] == "correction"
    )
    tombstones = tuple(
        Tombstone(
            id=row["id"],
            at=row["acted_at"],
            source_message_ids=tuple(row["source_message_ids"]),
            subject=row["subject"],
            slot=row["slot"],
            value_key=row["value_key"],
        )
        for row in rows
        if row["kind"] == "tombstone"
    )
    return Acts(corrections, tombstones)


def by_attribute(rows: Iterable[Row]) -> dict[Attribute, list[Row]]:
    attributes: dict[Attribute, list[Row]] = {}
    for row in rows:
        attributes.setdefault((row["subject"], row["slot"]), []).append(row)
    return attributes


def fold_attribute(
    attribute: Attribute, rows: Sequence[Row], acts: Acts, known_at: datetime | None = None
) -> SlotTimeline:
    """Fold one attribute's rows with what the catalogue knows of the slot."""
    spec = slots.resolve(attribute[1])
    return fold_slot(
        [observation_of(row) for row in rows],
        acts.corrections,
        acts.tombstones,
        known_at,
        spec.lasts if spec else None,
    )


def observation_of(row: Row) -> Observation:
    """Read a row of `memory_facts` as an input of the law."""
    return Observation(
        fact_id=row["id"],
        subject=row["subject"],
        slot=row["slot"],
        value=row["value"] if row["slot"] else row["content"],
        value_key=row["value_key"],
        cardinality=row["cardinality"] or "many",
        claim=row["claim"],
        temporal_state=row["temporal_state"],
        said_at=row["said_at"],
        recorded_at=row["recorded_at"],
        message_key=row["message_key"],
        ordinal=row["ordinal"],
        occurred_at=row["occurred_at"],
        occurred_precision=row["occurred_precision"],
        ended_at=row["ended_at"],
        ended_precision=row["ended_precision"],
        source_message_ids=tuple(row["source_message_ids"]),
    )


def standing_of(row: Row) -> Standing | None:
    """Read the standing a row's cache holds; None before the first fold."""
    if row["standing"] is None:
        return None
    believed: Multirange[datetime] | None = row["believed"]
    return Standing(
        kind=row["standing"],
        canonical_id=row["canonical_id"],
        valid=tuple((stretch.lower, stretch.upper) for stretch in believed or ()),
        planned_for=row["planned_for"],
        planned_since=row["planned_since"],
        superseded_by=row["superseded_by"],
        evidence_count=row["evidence_count"],
    )


async def _read_clusters(
    tx: Transaction, tenant: str, user: str, ids: Collection[UUID]
) -> list[Row]:
    params = {"tenant": tenant, "user": user, "ids": list(ids)}
    return await tx.rows(queries["clustered_observations"], params)


async def _fold_clusters(
    tx: Transaction, tenant: str, user: str, rows: Sequence[Row], acts: Acts
) -> Mapping[UUID, Standing]:
    params = {"tenant": tenant, "user": user, "ids": [row["id"] for row in rows]}
    verdicts = await tx.rows(queries["verdicts_among"], params)
    duplicates = [(v["first_id"], v["second_id"]) for v in verdicts if v["verdict"] == "duplicate"]
    return cluster([observation_of(row) for row in rows], duplicates, acts.tombstones)


def _changes(rows: Iterable[Row], standings: Mapping[UUID, Standing]) -> list[Change]:
    changes = []
    for row in rows:
        before, after = standing_of(row), standings[row["id"]]
        if before != after:
            changes.append(Change(row["id"], trace_of(row), before, after))
    return changes


def trace_of(row: Row) -> UUID:
    """Name the trace a fact belongs to: its first message's, or its own when stated directly."""
    sources = row["source_message_ids"]
    trace: UUID = sources[0] if sources else row["id"]
    return trace


async def _write(tx: Transaction, tenant: str, user: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    after = [change.after for change in changes]
    await tx.execute(
        queries["write_standings"],
        {
            "tenant": tenant,
            "user": user,
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


def _multirange(standing: Standing) -> str:
    """Write the stretches as PostgreSQL reads them: {[from,to),…}; no bound: from or for ever."""
    stretches = (
        f"[{start.isoformat() if start else ''},{end.isoformat() if end else ''})"
        for start, end in standing.valid
    )
    return "{" + ",".join(stretches) + "}"


async def record_events(
    tx: Transaction, tenant: str, user: str, occurrences: Sequence[Occurrence]
) -> list[Announcement]:
    """Append events, and return what the public stream is told of them."""
    if not occurrences:
        return []
    params = {
        "tenant": tenant,
        "user": user,
        "events": [o.event for o in occurrences],
        "facts": [o.fact for o in occurrences],
        "traces": [o.trace for o in occurrences],
        "data": [Jsonb(o.data) for o in occurrences],
    }
    await tx.execute(queries["record_events"], params)
    return [
        (SETTLED, Settled(tenant, user, o.fact, o.event, trace_id(o.trace))) for o in occurrences
    ]


def occurrence_of(change: Change) -> Occurrence | None:
    """Tell what happened to a fact; None when nothing an outsider would ask about."""
    before, after = change.before, change.after
    if after.kind == "forgotten":
        return Occurrence("fact.forgotten", change.fact, change.trace)
    if after.kind == "merged" and (before is None or before.canonical_id != after.canonical_id):
        data = {"into": str(after.canonical_id)}
        return Occurrence("fact.merged", change.fact, change.trace, data)
    if after.superseded_by and (before is None or before.superseded_by != after.superseded_by):
        data = {"by": str(after.superseded_by)}
        return Occurrence("fact.superseded", change.fact, change.trace, data)
    if before is not None and (before.kind, before.valid) != (after.kind, after.valid):
        return Occurrence("fact.revised", change.fact, change.trace, {"standing": after.kind})
    return None
