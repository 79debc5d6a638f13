"""What the deduper reads and writes: facts with vectors, and verdicts about pairs.

Every function serves many users at once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np

from services.deduper.candidates import NOTHING, Collection, FreeText, PairVerdict, Vectors
from shared.crash import AtPoint, ignore_point
from shared.db import Database, Row, Transaction
from shared.events import Announcement, bells_for
from shared.failures.store import RowRef, keys_of
from shared.ledger.store import UserKey, try_lock_users
from shared.metrics.commits import committed
from shared.sql import Queries
from shared.topology import COMPARED

queries = Queries("services.deduper")

_LOCK = "comparison"


@dataclass(slots=True)
class Snapshot:
    """One user's facts that wait, as of a version of what there is to compare with.

    `model` made every vector in it, and must still be the active one at commit.
    """

    user: UserKey
    version: int
    model: str = ""
    refs: list[RowRef] = field(default_factory=list)
    fresh: Collection = NOTHING

    def without(self, ids: Container[UUID]) -> Snapshot:
        """The same as of the same version, but for these facts."""
        refs = [ref for ref in self.refs if ref.id not in ids]
        return Snapshot(self.user, self.version, self.model, refs, self.fresh)


@dataclass(frozen=True, slots=True)
class Compared:
    """One user's comparison, ready to be committed."""

    snapshot: Snapshot
    verdicts: Sequence[PairVerdict]


async def read_fresh(db: Database, users: Sequence[Sequence[RowRef]], model: str) -> list[Snapshot]:
    """Read what waits of each user's facts. The version comes first: the rest may be newer.

    `model` is whose vectors count where nothing was embedded yet.
    """
    keys = [(refs[0].tenant, refs[0].user) for refs in users]
    async with db.of(*_tenants(keys)).autocommit() as tx:
        model = await _active_model(tx, model)
        params = {**keys_of([ref for refs in users for ref in refs]), "model": model}
        versions = await tx.rows(queries["belief_versions"], _columns(keys))
        rows = await tx.rows(queries["fresh_facts"], params, binary=True)
    known = {(row["tenant_id"], row["user_id"]): row["belief_version"] for row in versions}
    snapshots = {key: Snapshot(key, known.get(key, 0), model) for key in keys}
    for key, mine in _by_user(rows).items():
        snapshots[key].refs = [RowRef(*key, row["id"]) for row in mine]
        snapshots[key].fresh = _collection(row for row in mine if row["embedding"] is not None)
    return [snapshots[key] for key in keys]


async def read_comparands(
    db: Database, users: Sequence[UserKey], model: str
) -> dict[UserKey, Collection]:
    """Read all the free text of these users."""
    if not users:
        return {}
    async with db.of(*_tenants(users)).autocommit() as tx:
        params = {**_columns(users), "model": model}
        rows = await tx.rows(queries["comparands"], params, binary=True)
    found = {key: _collection(mine) for key, mine in _by_user(rows).items()}
    return {user: found.get(user, NOTHING) for user in users}


async def commit(
    db: Database, compared: Sequence[Compared], at_point: AtPoint = ignore_point
) -> list[list[Announcement] | None]:
    """Move facts on and store the verdicts, in one transaction under each user's lock.

    Answers with one list of announcements per user; None for a user who is somebody else's just
    now, or has more to be compared with than was read.
    """
    keys = [one.snapshot.user for one in compared]
    async with db.of(*_tenants(keys)).transaction() as tx:
        at_point("begin")
        locked = await try_lock_users(tx, _LOCK, keys)
        ours = [one for one in compared if one.snapshot.user in locked]
        versions = [one.snapshot.version for one in ours]
        params = {
            **_columns([one.snapshot.user for one in ours]),
            "versions": versions,
            "models": [one.snapshot.model for one in ours],
        }
        grown = {
            (row["tenant_id"], row["user_id"])
            for row in await tx.rows(queries["grow_versions"], params)
        }
        ours = [one for one in ours if one.snapshot.user in grown]
        refs = [ref for one in ours for ref in one.snapshot.refs]
        moved = await tx.rows(queries["claim"], keys_of(refs))
        at_point("moved")
        if any(one.verdicts for one in ours):
            await tx.execute(queries["save_verdicts"], _verdict_columns(ours))
        at_point("written")
    at_point("committed")
    committed("deduper", len(refs), len(moved))
    bells = _by_user(moved)
    return [
        [(COMPARED, bell) for bell in bells_for(bells.get(key, ()))] if key in grown else None
        for key in keys
    ]


# ---- what comparison overlooked

VectorsById: TypeAlias = Mapping[UUID, Vectors]


async def read_sentences(db: Database, user: UserKey) -> list[FreeText]:
    """Read all the settled free text of one user that counts, without vectors."""
    async with db.of(user[0]).autocommit() as tx:
        rows = await tx.rows(queries["sentences"], _key(user))
    return [free_text(row) for row in rows]


async def undecided(
    db: Database, user: UserKey, pairs: Sequence[tuple[FreeText, FreeText]]
) -> list[tuple[FreeText, FreeText]]:
    """Of these pairs (the lower id first), those about which nobody but guards said anything."""
    params = {
        **_key(user),
        "firsts": [first.id for first, _ in pairs],
        "seconds": [second.id for _, second in pairs],
    }
    async with db.of(user[0]).autocommit() as tx:
        rows = await tx.rows(queries["verdicts_of_pairs"], params)
    decided = {(row["first_id"], row["second_id"]) for row in rows}
    return [(one, other) for one, other in pairs if (one.id, other.id) not in decided]


async def active_model(db: Database, model: str) -> str:
    """Whose vectors are compared by now; `model` where nothing was embedded yet."""
    async with db.of().autocommit() as tx:  # no tenant's row is asked for
        return await _active_model(tx, model)


async def _active_model(tx: Transaction, model: str) -> str:
    return await tx.value(queries["active_model"]) or model


async def read_vectors(
    db: Database, user: UserKey, facts: Iterable[UUID], model: str
) -> VectorsById:
    """Read the vectors of some facts, as far as the model made any."""
    params = {**_key(user), "ids": list(facts), "model": model}
    async with db.of(user[0]).autocommit() as tx:
        rows = await tx.rows(queries["vectors_of"], params, binary=True)
    return {row["fact_id"]: row["embedding"].to_numpy().astype(np.float32) for row in rows}


async def save_overlooked(
    tx: Transaction, verdicts: Sequence[tuple[UserKey, PairVerdict]]
) -> set[UUID]:
    """Store verdicts about facts that still count; returns the facts that have a new one."""
    rows = await tx.rows(queries["save_overlooked"], verdict_columns(verdicts))
    return {row[name] for row in rows for name in ("first_id", "second_id")}


def _key(user: UserKey) -> dict[str, Any]:
    return {"tenant": user[0], "user": user[1]}


def _verdict_columns(compared: Sequence[Compared]) -> dict[str, list[Any]]:
    return verdict_columns([(c.snapshot.user, verdict) for c in compared for verdict in c.verdicts])


def verdict_columns(pairs: Sequence[tuple[UserKey, PairVerdict]]) -> dict[str, list[Any]]:
    """Part verdicts about users' pairs into the parallel arrays that SQL unnests."""
    return {
        **_columns([user for user, _ in pairs]),
        "firsts": [verdict.first for _, verdict in pairs],
        "seconds": [verdict.second for _, verdict in pairs],
        "verdicts": [verdict.verdict for _, verdict in pairs],
        "judges": [verdict.judge for _, verdict in pairs],
        "reasons": [verdict.reason for _, verdict in pairs],
        "cosines": [verdict.cosine for _, verdict in pairs],
    }


def _tenants(users: Iterable[UserKey]) -> set[str]:
    return {tenant for tenant, _ in users}


def _columns(users: Sequence[UserKey]) -> dict[str, list[Any]]:
    return {"tenants": [tenant for tenant, _ in users], "users": [user for _, user in users]}


def _by_user(rows: Iterable[Row]) -> Mapping[UserKey, list[Row]]:
    users: dict[UserKey, list[Row]] = {}
    for row in rows:
        users.setdefault((row["tenant_id"], row["user_id"]), []).append(row)
    return users


def _collection(rows: Iterable[Row]) -> Collection:
    """Gather facts and stack their vectors."""
    facts, vectors = [], []
    for row in rows:
        facts.append(free_text(row))
        vectors.append(row["embedding"].to_numpy())
    if not facts:
        return NOTHING
    return Collection(tuple(facts), np.stack(vectors).astype(np.float32))


def free_text(row: Row, prefix: str = "") -> FreeText:
    """Read a fact from a row's columns of these names."""
    names = ("id", "subject", "content", "generation", "said", "message_key", "ordinal")
    return FreeText(*(row[prefix + name] for name in names))
