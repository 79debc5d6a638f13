"""The `failures` table: one row a subject and stage, from the first failed attempt on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.db import Row, Transaction
from shared.errors import PoisonError, RetryableError, error_class
from shared.ids import time_ordered_id
from shared.metrics.catalogue import FAILED_ATTEMPTS
from shared.settings import Settings
from shared.sql import Queries

queries = Queries("shared.failures")

PAYLOAD_BYTES = 65_536
_ERROR_CHARACTERS = 2_000
Table = Literal["chat_logs", "facts", "jobs"]


@dataclass(frozen=True, slots=True)
class RowRef:
    """A row about a user, by its key."""

    tenant: str
    user: str
    id: UUID


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an item is tried, and how long between: base · 2^(n-1) seconds, at most cap."""

    max_attempts: int = 10
    base_seconds: float = 1.0
    cap_seconds: float = 600.0

    @classmethod
    def of(cls, settings: Settings) -> RetryPolicy:
        return cls(settings.max_attempts, settings.retry_base_seconds, settings.retry_cap_seconds)


@dataclass(frozen=True, slots=True)
class Subject:
    """What failed: the id of a row, or of a stream entry together with its payload."""

    tenant: str
    user: str | None
    id: str
    payload: dict[str, Any] | None = None


async def record(
    tx: Transaction,
    stage: str,
    subjects: Sequence[Subject],
    error: Exception,
    policy: RetryPolicy,
) -> list[Row]:
    """Count one failed attempt at each subject; rows (subject_id, attempts, …, dead_at)."""
    least = error.retry_after_seconds if isinstance(error, RetryableError) else None
    rows = await tx.rows(
        queries["record"],
        {
            "stage": stage,
            "ids": [time_ordered_id() for _ in subjects],
            "tenants": [subject.tenant for subject in subjects],
            "users": [subject.user for subject in subjects],
            "subjects": [subject.id for subject in subjects],
            "payloads": [_payload(subject.payload) for subject in subjects],
            "error_class": error_class(error),
            "error": (str(error) or repr(error)).replace("\x00", "�")[:_ERROR_CHARACTERS],
            "dead": isinstance(error, PoisonError),
            "least": least or 0.0,
            "max_attempts": policy.max_attempts,
            "base": policy.base_seconds,
            "cap": policy.cap_seconds,
        },
    )
    _count(stage, error, rows)
    return rows


def _count(stage: str, error: Exception, rows: Sequence[Row]) -> None:
    dead = sum(row["dead_at"] is not None for row in rows)
    for outcome, attempts in (("dead", dead), ("retry", len(rows) - dead)):
        if attempts:
            kind = error_class(error)
            FAILED_ATTEMPTS.add(attempts, stage=stage, error_class=kind, outcome=outcome)


def _payload(payload: dict[str, Any] | None) -> Jsonb | None:
    """Keep a payload within 64 KiB: what is longer is cut, and says so."""
    if payload is None:
        return None
    kept = _without_nul(payload)
    if len(json.dumps(kept, ensure_ascii=False).encode()) <= PAYLOAD_BYTES:
        return Jsonb(kept)
    share = PAYLOAD_BYTES // (4 * max(1, len(kept)))
    cut = {key[:share]: str(value)[:share] for key, value in kept.items()}
    return Jsonb({**cut, "_cut": "true"})


def _without_nul(value: Any) -> Any:
    """Replace what PostgreSQL cannot hold, and not what only spells it: JSON text in a field."""
    match value:
        case str():
            return value.replace("\x00", "�")
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case list():
            return [_without_nul(item) for item in value]
    return value


async def fail_rows(
    tx: Transaction,
    stage: str,
    table: Table,
    refs: Sequence[RowRef],
    error: Exception,
    policy: RetryPolicy,
    state: str | None = None,
) -> None:
    """Record a failed attempt at rows and park them until the next one, if there is one."""
    await record(tx, stage, [Subject(r.tenant, r.user, str(r.id)) for r in refs], error, policy)
    params = {"stage": stage, "state": state, **keys_of(refs)}
    await tx.execute(queries[f"park_{table}"], params)


def tenants_of(refs: Iterable[RowRef]) -> set[str]:
    return {ref.tenant for ref in refs}


def keys_of(refs: Sequence[RowRef]) -> dict[str, list[Any]]:
    """Part row keys into the parallel arrays (`tenants`, `users`, `ids`) that SQL unnests."""
    return {
        "tenants": [ref.tenant for ref in refs],
        "users": [ref.user for ref in refs],
        "ids": [ref.id for ref in refs],
    }
