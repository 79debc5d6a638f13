"""Storing messages: durably, once each, with the bell they deserve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.db import Transaction
from shared.events import Announcement, session_bells_for
from shared.intake.messages import Message
from shared.sql import Queries
from shared.topology import MESSAGES

queries = Queries("shared.intake")

Outcome = Literal["accepted", "duplicate", "conflict", "over_quota", "erasing"]
"""`erasing`: its user is being erased at this moment; a little later it may begin anew."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: an outcome per message, in order, and what to announce."""

    outcomes: list[Outcome]
    announcements: list[Announcement]


async def store_messages(tx: Transaction, messages: Sequence[Message], window: int) -> Stored:
    """Insert what is new. `conflict`: the same key came with other content before."""
    inserted = await tx.rows(
        queries["insert_messages"],
        {
            "tenants": [m.tenant for m in messages],
            "users": [m.user for m in messages],
            "ids": [m.id for m in messages],
            "sessions": [m.session for m in messages],
            "keys": [m.key for m in messages],
            "digests": [m.content_sha256 for m in messages],
            "roles": [m.role for m in messages],
            "contents": [m.content for m in messages],
            "agents": [m.agent_id for m in messages],
            "speakers": [m.speaker for m in messages],
            "metadata": [Jsonb(m.metadata) if m.metadata is not None else None for m in messages],
            "said": [m.said_at for m in messages],
            "traceparents": [m.traceparent for m in messages],
            "window": window,
        },
    )
    outcomes = await _outcomes(tx, messages, {row["id"] for row in inserted})
    return Stored(outcomes, [(MESSAGES, bell) for bell in session_bells_for(inserted)])


async def _outcomes(
    tx: Transaction, messages: Sequence[Message], inserted: set[UUID]
) -> list[Outcome]:
    first = {message.id: message.content_sha256 for message in reversed(messages)}
    known = [message for message in messages if message.id not in inserted]
    nowhere: set[UUID] = set()
    if known:
        rows = await tx.rows(queries["digests_of"], _ids(known))
        first |= {row["id"]: bytes(row["content_sha256"]) for row in rows}
        nowhere = await _nowhere(tx, known, {row["id"] for row in rows})
    accepted: set[UUID] = set()
    outcomes: list[Outcome] = []
    for message in messages:
        if message.id in nowhere:
            outcomes.append("erasing")
        elif message.content_sha256 != first[message.id]:
            outcomes.append("conflict")
        elif message.id in inserted and message.id not in accepted:
            accepted.add(message.id)
            outcomes.append("accepted")
        else:
            outcomes.append("duplicate")
    return outcomes


async def _nowhere(tx: Transaction, messages: Sequence[Message], there: set[UUID]) -> set[UUID]:
    """Of messages that were not let in, name those never here: their user is being erased."""
    missing = [message for message in messages if message.id not in there]
    if not missing:
        return set()
    return {message.id for message in missing} - await known_ids(tx, missing)


async def known_ids(tx: Transaction, messages: Sequence[Message]) -> set[UUID]:
    """Tell which of these have been stored before, whether they are still kept or not."""
    return {row["id"] for row in await tx.rows(queries["known_ids"], _ids(messages))}


def _ids(messages: Sequence[Message]) -> dict[str, list[Any]]:
    return {
        "tenants": [m.tenant for m in messages],
        "users": [m.user for m in messages],
        "ids": [m.id for m in messages],
    }


async def claim_idempotency_key(
    tx: Transaction, tenant: str, key: str, body_sha256: bytes, ids: Sequence[UUID]
) -> tuple[bytes, list[UUID]] | None:
    """Take the key; None when it was free, else the digest and ids of its first request."""
    params = {"tenant": tenant, "key": key, "body_sha256": body_sha256, "ids": list(ids)}
    if await tx.row(queries["claim_idempotency_key"], params):
        return None
    first = await tx.row(queries["idempotent_answer"], params)
    assert first is not None
    return bytes(first["body_sha256"]), list(first["ids"])
