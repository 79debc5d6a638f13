"""What was believed at an earlier moment: everything recorded by then, folded in memory.

The cache in the rows knows the present only. Whoever asks for `known_at` pays for a fold of the
user's slots and clusters; nobody else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.beliefs import Standing
from shared.db import Row, Transaction
from shared.ledger.acts import Acts
from shared.ledger.folding import by_attribute, decided_by, fold_attribute, fold_free_text
from shared.ledger.store import queries, read_acts
from shared.slots import Catalogue
from shared.tenant_slots import store as tenant_slots

_MANY_ROWS = 500
"""Folding more takes tens of milliseconds, in which the process has other callers to serve."""


async def standings_known(
    tx: Transaction,
    tenant: str,
    user: str,
    known_at: datetime,
    slots: Sequence[str] | None = None,
) -> Mapping[UUID, Standing]:
    """The standing that each fact recorded by `known_at` had then.

    `slots`: of these slots alone, by every name under which they may be stored.
    """
    params = {
        "tenant": tenant,
        "user": user,
        "known_at": known_at,
        "slots": None if slots is None else list(slots),
    }
    rows = await tx.rows(queries["observations_known"], params)
    verdicts = await tx.rows(queries["verdicts_known"], params) if slots is None else []
    acts = await read_acts(tx, tenant, user)
    catalogue = await tenant_slots.catalogue(tx, tenant)
    if len(rows) < _MANY_ROWS:
        return _folded(rows, verdicts, acts, known_at, catalogue)
    return await asyncio.to_thread(_folded, rows, verdicts, acts, known_at, catalogue)


def _folded(
    rows: Sequence[Row],
    verdicts: Iterable[Row],
    acts: Acts,
    known_at: datetime,
    catalogue: Catalogue,
) -> dict[UUID, Standing]:
    about_slots = [row for row in rows if row["slot"] is not None]
    free_text = [row for row in rows if row["slot"] is None]
    standings = dict(fold_free_text(free_text, decided_by(verdicts), acts, known_at))
    for attribute, observed in by_attribute(about_slots, catalogue).items():
        timeline = fold_attribute(attribute, observed, acts, known_at, catalogue)
        standings.update(timeline.standings)
    return standings
