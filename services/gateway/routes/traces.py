"""How far a message, a stated fact or a job has come, and waiting for it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from services.gateway import store, trace_store, traces
from services.gateway.errors import not_found
from services.gateway.facts import public_fact
from services.gateway.query_strings import TraceParams
from services.gateway.routes.documented import READS_ONE
from services.gateway.schemas import Trace
from services.gateway.state import Gateway, Parts, Presented, Reader
from services.gateway.trace_store import Table
from shared.db import Row, Transaction
from shared.failures.store import RowRef
from shared.ids import row_of_trace, trace_id

router = APIRouter(prefix="/v1", tags=["traces"], responses=READS_ONE)


@router.get("/traces/{trace}", response_model=Trace, summary="How far has this come?")
async def get_trace(
    trace: str, query: TraceParams, gateway: Parts, caller: Reader, presented: Presented
) -> Any:
    """With `wait=settled`, answers when nothing moves any more, or `open` after the timeout."""
    row = row_of_trace(trace)
    if row is None:
        raise not_found("trace")
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        found = await trace_store.traced_row(tx, caller.tenant, row, caller.user)
    if found is None:
        raise not_found("trace")
    if query.wait is not None:
        table, first = found
        try:
            async with asyncio.timeout(query.timeout):
                await _settled(gateway, table, _ref(first))
        except TimeoutError:
            pass
        await gateway.keyring.caller(presented)  # it may have been revoked meanwhile
    async with gateway.db.of(caller.tenant).autocommit() as tx:
        return await _read(tx, gateway, caller.tenant, row)


async def _settled(gateway: Gateway, table: Table, ref: RowRef) -> None:
    """Wait for the row itself, and for the facts that rest on it if it is a message."""
    await gateway.watch.ended(table, [ref])
    if table == "chat_logs":
        async with gateway.db.of(ref.tenant).autocommit() as tx:
            facts = await trace_store.facts_of_message(tx, ref)
        await gateway.watch.ended("facts", [RowRef(ref.tenant, ref.user, row) for row in facts])


async def _read(tx: Transaction, gateway: Gateway, tenant: str, row: UUID) -> dict[str, Any]:
    found = await trace_store.traced_row(tx, tenant, row)
    if found is None:
        raise not_found("trace")
    table, first = found
    facts = await _facts(tx, table, first)
    subjects = [row, *(fact["id"] for fact in facts if fact["id"] != row)]
    failures = await trace_store.failures_of(tx, tenant, subjects)
    ends = [(fact["state"] == "settled", fact["dead"]) for fact in facts]
    chat_log, extraction = None, None
    if table == "chat_logs":
        stages, chat_log = traces.message_stages(first, facts, failures), row
        extraction = await trace_store.extraction_of_message(tx, _ref(first))
        ends.append((first["state"] == "extracted", first["dead"]))
    elif table == "facts":
        stages = traces.fact_stages(facts, failures)
        chat_log = next((source for fact in facts for source in fact["source_message_ids"]), None)
    else:
        stages = traces.job_stages(first, failures)
        ends.append((first["state"] == "done", first["dead"]))
    return {
        "trace_id": trace_id(row),
        "chat_log_id": chat_log,
        "status": traces.status_of(ends),
        "stages": stages,
        "facts": [public_fact(fact, gateway.clock()) for fact in facts],
        "failures": traces.public_failures(failures),
        "extraction": extraction,
        "job": first if table == "jobs" else None,
    }


async def _facts(tx: Transaction, table: Table, first: Row) -> list[Row]:
    if table == "jobs":
        return []
    ids = [first["id"]]
    if table == "chat_logs":
        if first["state"] != "extracted":
            return []
        ids = await trace_store.facts_of_message(tx, _ref(first))
    return await store.facts_by_ids(tx, first["tenant_id"], first["user_id"], ids)


def _ref(row: Row) -> RowRef:
    return RowRef(row["tenant_id"], row["user_id"], row["id"])
