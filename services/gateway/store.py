"""What the gateway reads and writes about users: facts, messages, sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.db import Row, Transaction
from shared.sql import Queries

queries = Queries("services.gateway")


async def users_page(
    tx: Transaction, tenant: str, after: str | None, limit: int, only: str | None = None
) -> list[Row]:
    """List users by id; one row more than `limit` when there are more."""
    params = {"tenant": tenant, "after": after, "limit": limit + 1, "only": only}
    return await tx.rows(queries["users_page"], params)


async def upsert_user(tx: Transaction, tenant: str, user: str) -> None:
    await tx.execute(queries["upsert_user"], {"tenant": tenant, "user": user})


async def facts_page(
    tx: Transaction,
    tenant: str,
    user: str,
    *,
    view: str,
    now: datetime,
    category: str | None,
    slots: Sequence[str] | None,
    before: tuple[Any, Any],
    limit: int,
    named: Sequence[UUID] | None = None,
    fading_at: datetime | None = None,
) -> list[Row]:
    """List a user's facts, last said first; one row more than `limit` when there are more.

    `named`: these alone, whatever the cache says of them. What had faded by `fading_at` is not
    among what is `current`.
    """
    params = {
        "tenant": tenant,
        "user": user,
        "view": view if named is None else "named",
        "named": None if named is None else list(named),
        "now": now,
        "category": category,
        "slots": None if slots is None else list(slots),
        "before_at": before[0],
        "before_id": before[1],
        "limit": limit + 1,
        "fading_at": fading_at,
    }
    found = await tx.rows(queries["facts_page"], params)
    return await facts_by_ids(tx, tenant, user, [row["id"] for row in found])


async def facts_by_ids(tx: Transaction, tenant: str, user: str, ids: Sequence[UUID]) -> list[Row]:
    """Read a user's facts by id, in the order asked for."""
    if not ids:
        return []
    rows = await tx.rows(
        queries["facts_by_ids"], {"tenant": tenant, "user": user, "ids": list(ids)}
    )
    found = {row["id"]: row for row in rows}
    return [found[row] for row in ids if row in found]


async def fact_by_id(
    tx: Transaction, tenant: str, row: UUID, only: str | None = None
) -> Row | None:
    """Find one fact of a tenant, whosever it is, or `only` this user's."""
    params = {"tenant": tenant, "id": row, "only": only}
    user = await tx.value(queries["user_of_fact"], params)
    found = await facts_by_ids(tx, tenant, user, [row]) if user is not None else []
    return found[0] if found else None


async def session_page(
    tx: Transaction,
    tenant: str,
    user: str,
    session: str,
    after: tuple[Any, Any, Any],
    limit: int,
) -> list[Row]:
    """List a session's messages as they were said; one more than `limit` when there are more."""
    params = {
        "tenant": tenant,
        "user": user,
        "session": session,
        "after_said": after[0],
        "after_recorded": after[1],
        "after_id": after[2],
        "limit": limit + 1,
    }
    return await tx.rows(queries["session_page"], params)


async def messages_by_ids(
    tx: Transaction, tenant: str, user: str, ids: Sequence[UUID]
) -> list[Row]:
    params = {"tenant": tenant, "user": user, "ids": list(ids)}
    return await tx.rows(queries["messages_by_ids"], params)


async def held_facts(
    tx: Transaction,
    tenant: str,
    *,
    user: str | None,
    reason: str | None,
    after: tuple[Any, Any],
    limit: int,
) -> list[Row]:
    """Read what waits for review, the longest waiting first; one more than `limit` when more."""
    params = {
        "tenant": tenant,
        "user": user,
        "reason": reason,
        "after_at": after[0],
        "after_id": after[1],
        "limit": limit + 1,
    }
    found = await tx.rows(queries["held_facts"], params)
    rows = {
        row["id"]: row
        for of in sorted({row["user_id"] for row in found})
        for row in await facts_by_ids(
            tx, tenant, of, [one["id"] for one in found if one["user_id"] == of]
        )
    }
    return [rows[row["id"]] for row in found if row["id"] in rows]


async def held_messages(
    tx: Transaction, tenant: str, user: str, messages: Sequence[UUID]
) -> set[UUID]:
    """Of these messages, tell those on which something rests that is held."""
    params = {"tenant": tenant, "user": user, "messages": list(messages)}
    return {row["id"] for row in await tx.rows(queries["held_messages"], params)}


async def extraction_by_id(tx: Transaction, tenant: str, user: str, row: UUID | None) -> Row | None:
    if row is None:
        return None
    params = {"tenant": tenant, "user": user, "id": row}
    return await tx.row(queries["extraction_by_id"], params)


async def history_of(tx: Transaction, fact: Row) -> tuple[list[Row], list[UUID], list[Row]]:
    """Read what happened to a fact, what it rests on, and what was decided about it."""
    params = {
        "tenant": fact["tenant_id"],
        "user": fact["user_id"],
        "id": fact["id"],
        "canonical": fact["canonical_id"] or fact["id"],
    }
    events = await tx.rows(queries["events_of_fact"], params)
    evidence = await tx.rows(queries["evidence_of_fact"], params)
    verdicts = await tx.rows(queries["verdicts_of_fact"], params)
    return events, [row["id"] for row in evidence], verdicts


async def essential_facts(
    tx: Transaction, tenant: str, user: str, now: datetime, limit: int
) -> list[Row]:
    """Read the facts an application should always know, as far as they hold now."""
    params = {"tenant": tenant, "user": user, "now": now, "limit": limit}
    found = await tx.rows(queries["essential_facts"], params)
    return await facts_by_ids(tx, tenant, user, [row["id"] for row in found])


async def conscious_version(tx: Transaction, tenant: str, user: str, now: datetime) -> str | None:
    """32 signs that are others as soon as anything about the essential facts or the profile is."""
    params = {"tenant": tenant, "user": user, "now": now}
    version: str | None = await tx.value(queries["conscious_version"], params)
    return version


async def profile(tx: Transaction, tenant: str, user: str) -> Row | None:
    return await tx.row(queries["profile"], {"tenant": tenant, "user": user})
