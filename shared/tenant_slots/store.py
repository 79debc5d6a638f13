"""What is read and written of tenants' own slots.

A fold reads them in its own transaction; a change notes which stored names it concerns, and the
sweeper has the users' beliefs follow, a few users at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from shared import slots
from shared.db import Row, Transaction
from shared.events import Announcement, bells_for
from shared.slots import Catalogue, SlotSpec
from shared.sql import Queries
from shared.topology import JOBS

queries = Queries("shared.tenant_slots")

_COUNTED = 1_000


async def catalogues(tx: Transaction, tenants: Collection[str]) -> Mapping[str, Catalogue]:
    """Read what each of these tenants' catalogues is now."""
    named = sorted(set(tenants))
    own: dict[str, list[SlotSpec]] = {tenant: [] for tenant in named}
    for row in await tx.rows(queries["slots_of_tenants"], {"tenants": named}):
        own[row["tenant_id"]].append(_spec(row))
    return {tenant: _laid_over(tuple(specs)) for tenant, specs in own.items()}


async def catalogue(tx: Transaction, tenant: str) -> Catalogue:
    """Read what a tenant's catalogue is now."""
    return (await catalogues(tx, [tenant]))[tenant]


@lru_cache(maxsize=256)
def _laid_over(own: tuple[SlotSpec, ...]) -> Catalogue:
    return slots.built_in().with_own(own)


def _spec(row: Row) -> SlotSpec:
    lasts = row["lasts_days"]
    return SlotSpec(
        name=row["name"],
        category=row["category"],
        cardinality=row["cardinality"],
        kind=row["kind"],
        synonyms=tuple(row["synonyms"]),
        lasts=timedelta(days=lasts) if lasts is not None else None,
        as_said=row["as_said"],
        source="tenant",
    )


async def lock(tx: Transaction, tenant: str) -> None:
    """Keep others from changing the tenant's slots until the transaction ends."""
    await tx.execute(queries["lock_slots"], {"tenant": tenant})


async def put(tx: Transaction, tenant: str, spec: SlotSpec) -> None:
    """Add or replace a slot; the users concerned follow behind."""
    before = await catalogue(tx, tenant)
    await tx.execute(
        queries["put_slot"],
        {
            "tenant": tenant,
            "name": spec.name,
            "category": spec.category,
            "cardinality": spec.cardinality,
            "as_said": spec.as_said,
            "kind": spec.kind,
            "synonyms": list(spec.synonyms),
            "lasts_days": spec.lasts / timedelta(days=1) if spec.lasts else None,
        },
    )
    after = await catalogue(tx, tenant)
    await _ask_refold(tx, tenant, [*before.spellings(spec.name), *after.spellings(spec.name)])


async def remove(tx: Transaction, tenant: str, name: str) -> bool:
    """Remove a tenant's slot, so that the built-in one counts again; False when there was none."""
    before = await catalogue(tx, tenant)
    if await tx.row(queries["remove_slot"], {"tenant": tenant, "name": name}) is None:
        return False
    await _ask_refold(tx, tenant, before.spellings(name))
    return True


async def _ask_refold(tx: Transaction, tenant: str, names: Sequence[str]) -> None:
    await tx.execute(queries["ask_refold"], {"tenant": tenant, "names": sorted(set(names))})


async def is_refolding(tx: Transaction, tenant: str) -> bool:
    """Say whether some users' beliefs do not follow the last change yet."""
    return bool(await tx.value(queries["refold_open"], {"tenant": tenant}))


async def spread_refolds(tx: Transaction, users: int) -> list[Announcement]:
    """Ask for the consolidation of the next users, among so many, whom a change concerns."""
    rows = await tx.rows(queries["spread_refold"], {"limit": users})
    return [(JOBS["consolidate"], bell) for bell in bells_for(rows)]


async def anything_to_refold(tx: Transaction) -> bool:
    return bool(await tx.value(queries["anything_to_refold"]))


async def proposed(tx: Transaction, tenant: str, known: Catalogue, limit: int) -> list[Row]:
    """List the slots that only statements about the tenant's users know, with how often."""
    params: dict[str, Any] = {"tenant": tenant, "counted": _COUNTED, "limit": limit}
    taken = [each for name in known.slots for each in known.spellings(name)]
    return await tx.rows(queries["proposed_slots"], {**params, "known": taken})
