"""What the deduper reads and writes: facts with vectors, and verdicts about pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector

from services.deduper.candidates import FreeText, PairVerdict
from shared.db import Database, Row
from shared.events import Announcement, bells_for
from shared.ledger.store import try_lock_user
from shared.patience import UserBusyError
from shared.sql import Queries
from shared.topology import COMPARED

queries = Queries("services.deduper")

LOCK_SCOPE = "comparison"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a comparison is made of, as of the user's version."""

    version: int
    ids: list[UUID]
    fresh: list[FreeText]
    others: list[FreeText]


async def read(db: Database, tenant: str, user: str, ids: Sequence[UUID], model: str) -> Snapshot:
    """Read the facts that wait, and what they are to be compared with."""
    params: dict[str, Any] = {"tenant": tenant, "user": user, "ids": list(ids), "model": model}
    async with db.reading() as tx:
        version = await tx.value(queries["belief_version"], params)  # first: the rest may be newer
        rows = await tx.rows(queries["fresh_facts"], params)
        fresh = [_free_text(row) for row in rows if row["embedding"] is not None]
        others: list[Row] = []
        if fresh:
            subjects = sorted({fact.subject for fact in fresh})
            others = await tx.rows(queries["comparands"], {**params, "subjects": subjects})
    known = [_free_text(row) for row in others]
    return Snapshot(version or 0, [row["id"] for row in rows], fresh, known)


async def commit(
    db: Database, tenant: str, user: str, snapshot: Snapshot, verdicts: Sequence[PairVerdict]
) -> list[Announcement]:
    """Move the facts on and store the verdicts.

    Raises UserBusyError when the user is taken, or there is more to compare with than was read.
    """
    if not snapshot.ids:
        return []
    params: dict[str, Any] = {"tenant": tenant, "user": user, "ids": snapshot.ids}
    async with db.transaction() as tx:
        if not await try_lock_user(tx, LOCK_SCOPE, tenant, user):
            raise UserBusyError(f"user {user!r} is busy")
        grown = await tx.row(queries["grow_version"], {**params, "version": snapshot.version})
        if grown is None:
            raise UserBusyError(f"user {user!r} has more facts now")
        moved = await tx.rows(queries["claim"], params)
        if verdicts:
            await tx.execute(queries["save_verdicts"], {**params, **_columns(verdicts)})
    return [(COMPARED, bell) for bell in bells_for(moved)]


def _columns(verdicts: Sequence[PairVerdict]) -> dict[str, list[Any]]:
    return {
        "firsts": [verdict.first for verdict in verdicts],
        "seconds": [verdict.second for verdict in verdicts],
        "verdicts": [verdict.verdict for verdict in verdicts],
        "judges": ["guards"] * len(verdicts),
        "reasons": [verdict.reason for verdict in verdicts],
        "cosines": [verdict.cosine for verdict in verdicts],
    }


def _free_text(row: Row) -> FreeText:
    return FreeText(
        row["id"], row["subject"], row["content"], row["generation"], _vector(row["embedding"])
    )


def _vector(embedding: HalfVector) -> NDArray[np.float32]:
    return embedding.to_numpy().astype(np.float32)
