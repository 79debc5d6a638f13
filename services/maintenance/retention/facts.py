"""Superseded facts that are past their tenant's window: folded with and without, then removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from services.maintenance.retention import store
from services.maintenance.retention.expendable import expendable
from services.maintenance.retention.store import Place
from shared.beliefs import Standing
from shared.db import Row, Transaction
from shared.events import Announcement
from shared.failures.store import RowRef
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.ledger.acts import Acts
from shared.ledger.folding import Attribute
from shared.ledger.store import Occurrence
from shared.slots import Catalogue
from shared.tenant_slots import store as tenant_slots


async def remove_superseded(
    tx: Transaction, tenant: str, after: Place, before: datetime, limit: int
) -> tuple[int, Place, list[Announcement]]:
    """Look at the next superseded facts of a tenant, and remove what nothing else needs.

    Returns how many were looked at, where to go on, and what to announce. A user who is somebody
    else's for the moment is passed over until the next turn.
    """
    found = await store.superseded(tx, tenant, after, before, limit)
    if not found:
        return 0, after, []
    users = {(tenant, row["user_id"]) for row in found}
    ours = await ledger.try_lock_users(tx, ledger.BELIEFS, users)
    known = await tenant_slots.catalogue(tx, tenant)
    told: list[Announcement] = []
    for user in sorted(ours):
        mine = [row for row in found if row["user_id"] == user[1]]
        told += await _remove_of(tx, user, mine, before, known)
    last = found[-1]
    return len(found), Place(last["recorded_at"], last["user_id"], last["id"]), told


async def _remove_of(
    tx: Transaction, user: tuple[str, str], found: Sequence[Row], before: datetime, known: Catalogue
) -> list[Announcement]:
    acts = await ledger.read_acts(tx, *user)
    going = await _of_attributes(tx, user, found, before, acts, known)
    going += await _of_free_text(tx, user, found, before, acts)
    if not going:
        return []
    await store.remove_facts(tx, *user, [row["id"] for row in going])
    data = {"by": "retention"}
    return await ledger.record_events(
        tx,
        [Occurrence(user, "fact.removed", row["id"], folding.trace_of(row), data) for row in going],
    )


async def _of_attributes(
    tx: Transaction,
    user: tuple[str, str],
    found: Sequence[Row],
    before: datetime,
    acts: Acts,
    known: Catalogue,
) -> list[Row]:
    asked = {(row["subject"], known.name_of(row["slot"])) for row in found if row["slot"]}
    if not asked:
        return []
    rows = await ledger.read_attributes(tx, *user, asked, known)
    made = _made(acts)
    going: list[Row] = []
    for attribute, observed in folding.by_attribute(rows, known).items():
        fold = partial(_folded, attribute, acts, known)
        may_go = expendable(observed, fold, before, made)
        going += [row for row in observed if row["id"] in may_go]
    return going


def _folded(
    attribute: Attribute, acts: Acts, known: Catalogue, rows: Sequence[Row]
) -> Mapping[UUID, Standing]:
    return folding.fold_attribute(attribute, rows, acts, catalogue=known).standings


async def _of_free_text(
    tx: Transaction, user: tuple[str, str], found: Sequence[Row], before: datetime, acts: Acts
) -> list[Row]:
    refs = [RowRef(*user, row["id"]) for row in found if not row["slot"]]
    if not refs:
        return []
    rows, decided = await ledger.read_clusters(tx, refs)
    fold = partial(folding.fold_free_text, decided=decided, acts=acts)
    may_go = expendable(rows, fold, before, _made(acts))
    return [row for row in rows if row["id"] in may_go]


def _made(acts: Acts) -> set[UUID]:
    """Facts that operators made or corrected: inputs of the law beside what was said."""
    return {fact for act in acts.corrections for fact in (act.id, act.fact_id) if fact is not None}
