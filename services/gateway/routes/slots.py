"""The catalogue of slots: the built-in ones, the tenant's own, and those that models propose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from services.gateway.errors import ApiError, detail, invalid, not_found
from services.gateway.requests import OwnSlot, SlotPath
from services.gateway.routes.documented import READS, READS_ONE, failures
from services.gateway.schemas import Slot, Slots
from services.gateway.state import Admin, Parts, Reader
from shared import slots
from shared.slots import Catalogue, SlotSpec, own_spelling
from shared.tenant_slots import store
from shared.value_keys import KINDS

router = APIRouter(prefix="/v1/slots", tags=["slots"])

_MOST_OWN = 500
_MOST_PROPOSED = 500


@router.get("", response_model=Slots, responses=READS, summary="List slots")
async def list_slots(gateway: Parts, caller: Reader) -> Any:
    """Every slot by where it comes from: `catalogue`, `tenant`, or `proposed` by a model.

    A proposed slot is one that only statements name; it behaves as they say. A key of one user is
    shown none of these: others' statements name them.
    """
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        known = await store.catalogue(tx, caller.tenant)
        if caller.user is not None:
            own = [_shown(spec) for spec in known.slots.values()]
            return {"slots": own, "refolding": False, "next_cursor": None}
        proposed = await store.proposed(tx, caller.tenant, known, _MOST_PROPOSED)
        refolding = await store.is_refolding(tx, caller.tenant)
    shown = [_shown(spec) for spec in known.slots.values()]
    found = shown + [_proposed(row) for row in proposed]
    return {"slots": found, "refolding": refolding, "next_cursor": None}


@router.put("/{name}", response_model=Slot, responses=failures(400, 409, 413), summary="Set a slot")
async def put_slot(
    name: SlotPath, asked: Annotated[OwnSlot, Body()], gateway: Parts, caller: Admin
) -> Any:
    """Add a slot of the tenant's own, or change one of the catalogue for this tenant.

    What was said before counts by it too: users' beliefs follow in the background.
    """
    async with gateway.db.of(caller.tenant).transaction() as tx:
        await store.lock(tx, caller.tenant)
        known = await store.catalogue(tx, caller.tenant)
        taken = _taken(known)
        spec = _spec(name, asked, taken)
        _refuse_clash(spec, known, taken)
        await store.put(tx, caller.tenant, spec)
    return _shown(spec)


@router.delete("/{name}", status_code=204, responses=READS_ONE, summary="Remove an own slot")
async def delete_slot(name: SlotPath, gateway: Parts, caller: Admin) -> Response:
    """Remove the tenant's slot; where it changed one of the catalogue, that one counts again."""
    async with gateway.db.of(caller.tenant).transaction() as tx:
        await store.lock(tx, caller.tenant)
        if not await store.remove(tx, caller.tenant, own_spelling(name)):
            raise not_found("slot")
    return Response(status_code=204)


def _spec(name: str, asked: OwnSlot, taken: Mapping[str, str]) -> SlotSpec:
    """Fill what is not said from the built-in slot of that name."""
    spelled = own_spelling(name)
    base = slots.catalogue().get(spelled) or _unknown(spelled, "one")
    given = asked.model_fields_set
    if asked.kind is not None and asked.kind not in KINDS:
        raise invalid("kind", f"must be one of {', '.join(sorted(KINDS))}")
    lasts = timedelta(days=asked.lasts_days) if asked.lasts_days is not None else None
    free = [each for each in base.synonyms if taken.get(each, spelled) == spelled]
    synonyms = dict.fromkeys([*free, *map(own_spelling, asked.synonyms or ())])
    synonyms.pop(spelled, None)
    if not re.search(r"\w", spelled):
        raise invalid("name", "needs a letter or a digit")
    return SlotSpec(
        name=spelled,
        category=asked.category or base.category,
        cardinality=asked.cardinality or base.cardinality,
        kind=asked.kind or base.kind,
        synonyms=tuple(synonyms),
        lasts=lasts if "lasts_days" in given else base.lasts,
        as_said=base.as_said and asked.cardinality is None,
        source="tenant",
    )


def _unknown(name: str, cardinality: slots.Cardinality) -> SlotSpec:
    return SlotSpec(name, slots.DEFAULT_CATEGORY, cardinality, "text", as_said=True)


def _taken(known: Catalogue) -> dict[str, str]:
    """Names that mean one slot for good: every slot's own, and the synonyms the tenant gave."""
    own = [spec for spec in known.slots.values() if spec.source == "tenant"]
    synonyms = {name: spec.name for spec in own for name in spec.synonyms}
    return synonyms | {name: name for name in known.slots}


def _refuse_clash(spec: SlotSpec, known: Catalogue, taken: Mapping[str, str]) -> None:
    own = [name for name, each in known.slots.items() if each.source == "tenant"]
    if spec.name not in own and len(own) >= _MOST_OWN:
        raise invalid("name", f"there are {_MOST_OWN} slots already, which is the most")
    clashes = [
        detail("synonyms", f"{synonym} is {taken[synonym]} already")
        for synonym in spec.synonyms
        if taken.get(synonym, spec.name) != spec.name
    ]
    if taken.get(spec.name, spec.name) != spec.name:
        clashes.append(detail("name", f"is a synonym of {taken[spec.name]}"))
    if clashes:
        raise ApiError("conflict", "A name means one slot.", clashes)


def _shown(spec: SlotSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "source": spec.source,
        "category": spec.category,
        "cardinality": spec.cardinality,
        "or_as_said": spec.as_said,
        "kind": spec.kind,
        "synonyms": list(spec.synonyms),
        "lasts_days": spec.lasts / timedelta(days=1) if spec.lasts else None,
        "facts": None,
    }


def _proposed(row: dict[str, Any]) -> dict[str, Any]:
    spec = _unknown(row["name"], "many" if row["many"] else "one")
    return {**_shown(spec), "source": "proposed", "facts": row["facts"]}
