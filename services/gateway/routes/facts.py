"""Single facts: stated by the application, read back, and where they came from."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body

from services.gateway import act_store, store
from services.gateway.auth import Caller
from services.gateway.corrections import public_acts
from services.gateway.errors import (
    ApiError,
    being_erased,
    detail,
    invalid,
    not_found,
    over_quota,
)
from services.gateway.facts import public_fact, public_message
from services.gateway.requests import FactId, StatedFact, UserId
from services.gateway.routes.documented import READS_ONE, STORES
from services.gateway.schemas import Fact, FactAccepted, History, Source
from services.gateway.state import Gateway, Parts, Reader, Writer
from services.gateway.statements import new_fact, row_id, says_the_same
from shared.db import Row, Transaction
from shared.erasure.store import remembered
from shared.facts.statements import NewFact
from shared.facts.store import insert_facts
from shared.ids import trace_id
from shared.quotas.quotas import Quota
from shared.retention.store import removed_sources
from shared.slots import Catalogue
from shared.tenant_slots import store as tenant_slots
from shared.trust import Source as WhoseWords

router = APIRouter(prefix="/v1", tags=["facts"])

_QUOTA: Quota = "facts_per_day"


@router.post(
    "/users/{user_id}/facts", status_code=202, responses=STORES, summary="State a fact directly"
)
async def state_fact(
    user_id: UserId, stated: Annotated[StatedFact, Body()], gateway: Parts, caller: Writer
) -> FactAccepted:
    """A fact without a message; it is compared and merged like any other.

    A label `source` (`user`, `operator`, `assistant`, `tool`, `document`) says whose words it has.
    What looks like an order, or says of the user what others said, is held for review.
    """
    check_metadata(gateway, stated.metadata)
    async with gateway.db.of(caller.tenant).transaction() as tx:
        known = await tenant_slots.catalogue(tx, caller.tenant)
        guards = gateway.settings.holds_suspicious
        by: WhoseWords = "operator" if caller.user is None else "user"  # on the user's own device
        fact = new_fact(stated, caller.tenant, user_id, known, by=by, guards=guards)
        await store.upsert_user(tx, caller.tenant, user_id)
        gone = await remembered(tx, caller.tenant, [fact.id])
        announcements = [] if gone else await insert_facts(tx, [fact])
        if announcements:
            await _count(tx, gateway, caller.tenant)
        elif not gone:
            await _refuse_other(tx, fact, known)
    gateway.bells.ring(announcements)
    return FactAccepted(
        status="accepted" if announcements else "duplicate",
        fact_id=fact.id,
        trace_id=trace_id(fact.id),
    )


async def _count(tx: Transaction, gateway: Gateway, tenant: str) -> None:
    """Count one new fact; raises ApiError, and so stores nothing, where the quota is used up."""
    for limit in (await gateway.quotas.limits(_QUOTA, [tenant], tx)).values():
        if not await gateway.quotas.take(tx, tenant, _QUOTA, 1, limit):
            raise over_quota(_QUOTA, gateway.clock())


def check_metadata(gateway: Gateway, metadata: dict[str, Any] | None) -> None:
    """Raise ApiError for labels that are too large."""
    most = gateway.settings.max_metadata_bytes
    if metadata and len(json.dumps(metadata, ensure_ascii=False).encode()) > most:
        raise invalid("metadata", f"is larger than {most} bytes")


async def _refuse_other(tx: Transaction, fact: NewFact, known: Catalogue) -> None:
    found = await store.facts_by_ids(tx, fact.tenant, fact.user, [fact.id])
    if not found:
        raise being_erased()
    [stored] = found
    if not says_the_same(fact, stored, known):
        raise ApiError(
            "conflict",
            "This message_id came with another fact before.",
            [detail("message_id", "came with other content before")],
        )


@router.get("/facts/{fact_id}", response_model=Fact, responses=READS_ONE, summary="One fact")
async def get_fact(fact_id: FactId, gateway: Parts, caller: Reader) -> Any:
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        row = await fact_or_404(tx, caller, fact_id)
    return public_fact(row, gateway.clock())


@router.get(
    "/facts/{fact_id}/source",
    response_model=Source,
    responses=READS_ONE,
    summary="Where a fact came from",
)
async def get_source(fact_id: FactId, gateway: Parts, caller: Reader) -> Any:
    """The messages and words a fact rests on, and the model and prompt that read them.

    `removed` are messages of its that retention has removed since.
    """
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        row = await fact_or_404(tx, caller, fact_id)
        key = (caller.tenant, row["user_id"])
        messages = await store.messages_by_ids(tx, *key, row["source_message_ids"])
        removed = await removed_sources(tx, *key, row["source_message_ids"])
        extraction = await store.extraction_by_id(tx, *key, row["extraction_id"])
    return {
        "fact_id": row["id"],
        "messages": [public_message(message) for message in messages],
        "removed": removed,
        "quote": row["quote"],
        "extraction": extraction,
    }


@router.get(
    "/facts/{fact_id}/history",
    response_model=History,
    responses=READS_ONE,
    summary="What became of a fact",
)
async def get_history(fact_id: FactId, gateway: Parts, caller: Reader) -> Any:
    """Its events in order, the facts that say the same, what was decided about its pairs.

    `acts` is what operators did: who, when and why.
    """
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        row = await fact_or_404(tx, caller, fact_id)
        events, evidence, verdicts = await store.history_of(tx, row)
        acts = await act_store.acts_of_fact(tx, row)
    return {
        "fact_id": row["id"],
        "generation": row["generation"],
        "counts": row["counts"],
        "events": events,
        "evidence": evidence,
        "verdicts": verdicts,
        "acts": public_acts(acts),
    }


async def fact_or_404(tx: Transaction, caller: Caller, fact_id: str) -> Row:
    """Read a fact that this key opens; any other is not there."""
    row = row_id(fact_id)
    if row is not None:
        found = await store.fact_by_id(tx, caller.tenant, row, caller.user)
        if found is not None:
            return found
    raise not_found("fact")
