"""What we hold about a user: facts, their timeline, the raw messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from services.gateway import cursors, store
from services.gateway.facts import moment_of, public_fact, public_message, slot_name, visible
from services.gateway.fading import fading_at
from services.gateway.query_strings import FactsParams, PageParams, TimelineParams
from services.gateway.requests import (
    SessionId,
    UserId,
)
from services.gateway.routes.documented import READS
from services.gateway.schemas import ChatMessages, Facts, Timeline, Users
from services.gateway.state import Parts, Reader
from shared.beliefs import Interval, SlotTimeline, Standing, believed_at, recurring_at
from shared.db import Transaction
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.ledger.hindsight import standings_known
from shared.tenant_slots import store as tenant_slots

router = APIRouter(prefix="/v1/users", tags=["users"], responses=READS)


@router.get("", response_model=Users, summary="List users")
async def list_users(query: PageParams, gateway: Parts, caller: Reader) -> Any:
    """Users by id."""
    (after,) = cursors.decode(query.cursor, cursors.text)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        rows = await store.users_page(tx, caller.tenant, after, query.limit, caller.user)
    users, following = cursors.page(rows, query.limit, ["user_id"])
    return {"users": users, "next_cursor": following}


@router.get("/{user_id}/facts", response_model=Facts, summary="List a user's facts")
async def list_facts(user_id: UserId, query: FactsParams, gateway: Parts, caller: Reader) -> Any:
    """Facts, last said first: what is believed or planned now, or with `view=all` everything.

    `as_of` asks what was true at a moment, `known_at` what was believed at one; both together, what
    was then believed of that moment. What has faded is shown with a slot, a category or `view=all`.
    """
    before_at, before_id = cursors.decode(query.cursor, cursors.moment, cursors.row_id)
    now = gateway.clock()
    as_of = moment_of(query.as_of, query.known_at, now)
    named = query.slot is not None or query.category is not None
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        catalogue = await tenant_slots.catalogue(tx, caller.tenant)
        slots = catalogue.spellings(query.slot) if query.slot is not None else None
        known = await _known(tx, caller.tenant, user_id, query.known_at, slots)
        rows = await store.facts_page(
            tx,
            caller.tenant,
            user_id,
            view=query.view,
            now=as_of,
            category=query.category,
            slots=slots,
            before=(before_at, before_id),
            limit=query.limit,
            named=None if known is None else visible(known, query.view, as_of),
            fading_at=fading_at(as_of, now, view=query.view, named=named),
        )
    if not all(row["counts"] for row in rows):  # a replay was promoted since the page was chosen
        return await list_facts(user_id, query, gateway, caller)
    page, following = cursors.page(rows, query.limit, ["said_at", "id"])
    facts = [public_fact(row, as_of, (known or {}).get(row["id"])) for row in page]
    return {"facts": facts, "next_cursor": following}


async def _known(
    tx: Transaction,
    tenant: str,
    user: str,
    known_at: datetime | None,
    slots: Sequence[str] | None,
) -> Mapping[UUID, Standing] | None:
    """How each fact stood at `known_at`; None without one, when the cache knows."""
    if known_at is None:
        return None
    return await standings_known(tx, tenant, user, known_at, slots)


@router.get(
    "/{user_id}/timeline",
    response_model=Timeline,
    response_model_exclude_unset=True,
    summary="What held when",
)
async def timeline(user_id: UserId, query: TimelineParams, gateway: Parts, caller: Reader) -> Any:
    """For each attribute, which value held in which stretch of time, and on what it rests.

    With `as_of` only the stretches that hold then; with `known_at` as it was believed then. Slots
    of which such a view shows nothing are left out, and so are those that were forgotten.
    """
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        known = await tenant_slots.catalogue(tx, caller.tenant)
        slot = slot_name(query.slot, known) if query.slot is not None else None
        attributes = [
            (subject, named)
            for subject, named in await ledger.attributes_of(tx, caller.tenant, user_id)
            if slot in {None, known.name_of(named)} and query.subject in {None, subject}
        ]
        rows = await ledger.read_attributes(tx, caller.tenant, user_id, attributes, known)
        acts = await ledger.read_acts(tx, caller.tenant, user_id)
    folded = {
        attribute: folding.fold_attribute(attribute, observed, acts, query.known_at, known)
        for attribute, observed in sorted(folding.by_attribute(rows, known).items())
    }
    whole = query.as_of is None and query.known_at is None
    shown = [_shown(attribute, found, query.as_of) for attribute, found in folded.items()]
    remembered = [not _is_forgotten(found) for found in folded.values()]
    return {
        "slots": [
            slot
            for slot, known in zip(shown, remembered, strict=True)
            if slot["intervals"] or "recurring" in slot or (whole and known)
        ]
    }


def _is_forgotten(found: SlotTimeline) -> bool:
    return all(standing.kind == "forgotten" for standing in found.standings.values())


def _shown(
    attribute: folding.Attribute, found: SlotTimeline, as_of: datetime | None
) -> dict[str, Any]:
    holding = found.intervals if as_of is None else believed_at(found, as_of)
    recurring = found.recurring if as_of is None else recurring_at(found, as_of)
    subject, slot = attribute
    return {
        "subject": subject,
        "slot": slot,
        "cardinality": found.cardinality,
        "intervals": [_interval(one) for one in holding],
        **({"recurring": [_interval(one) for one in recurring]} if recurring else {}),
    }


def _interval(one: Interval) -> dict[str, Any]:
    return {
        "value": one.value,
        "fact_id": one.fact_id,
        "valid_from": one.valid_from,
        "valid_to": one.valid_to,
        "evidence": one.evidence,
    }


@router.get(
    "/{user_id}/sessions/{session_id}/messages",
    response_model=ChatMessages,
    summary="A session's raw messages",
)
async def list_messages(
    user_id: UserId, session_id: SessionId, query: PageParams, gateway: Parts, caller: Reader
) -> Any:
    """Messages in the order they were said."""
    after = cursors.decode(query.cursor, cursors.moment, cursors.moment, cursors.row_id)
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        rows = await store.session_page(
            tx, caller.tenant, user_id, session_id, (after[0], after[1], after[2]), query.limit
        )
    page, following = cursors.page(rows, query.limit, ["said_at", "recorded_at", "id"])
    return {"messages": [public_message(row) for row in page], "next_cursor": following}
