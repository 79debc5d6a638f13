"""Writing observations, and telling the embedder."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from shared.db import Transaction
from shared.events import Announcement, bells_for
from shared.facts.statements import NewFact
from shared.failures.store import RowRef
from shared.sql import Queries
from shared.topology import EXTRACTED
from shared.tracing import store as traces

queries = Queries("shared.facts")


async def insert_facts(tx: Transaction, facts: Sequence[NewFact]) -> list[Announcement]:
    """Insert what is new, and return the bells that tell of it."""
    if not facts:
        return []
    said = [fact.statement for fact in facts]
    rows = await tx.rows(
        queries["insert_facts"],
        {
            "tenants": [fact.tenant for fact in facts],
            "users": [fact.user for fact in facts],
            "ids": [fact.id for fact in facts],
            "generations": [fact.generation for fact in facts],
            "contents": [statement.content for statement in said],
            "categories": [fact.category for fact in facts],
            "subjects": [statement.subject for statement in said],
            "slots": [fact.slot for fact in facts],
            "values": [statement.value for statement in said],
            "value_keys": [fact.value_key for fact in facts],
            "cardinalities": [fact.cardinality for fact in facts],
            "claims": [statement.claim for statement in said],
            "temporal_states": [statement.temporal_state for statement in said],
            "occurred": [fact.occurred_at for fact in facts],
            "occurred_precisions": [fact.occurred_precision for fact in facts],
            "ended": [fact.ended_at for fact in facts],
            "ended_precisions": [fact.ended_precision for fact in facts],
            "said": [fact.said_at for fact in facts],
            "recorded": [fact.recorded_at for fact in facts],
            "message_keys": [fact.message_key for fact in facts],
            "ordinals": [fact.ordinal for fact in facts],
            "confidences": [statement.confidence for statement in said],
            "quotes": [fact.quote for fact in facts],
            "sources": [Jsonb([str(row) for row in fact.source_message_ids]) for fact in facts],
            "extractions": [fact.extraction_id for fact in facts],
            "sessions": [fact.session for fact in facts],
            "agents": [fact.agent_id for fact in facts],
            "speakers": [fact.speaker for fact in facts],
            "metadata": [
                Jsonb(fact.metadata) if fact.metadata is not None else None for fact in facts
            ],
            "trusted": [fact.source for fact in facts],
            "suspicions": [
                Jsonb(list(fact.suspicions)) if fact.suspicions else None for fact in facts
            ],
        },
    )
    made = [RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in rows]
    await traces.keep(tx, "facts", made)
    return [(EXTRACTED, bell) for bell in bells_for(rows)]
