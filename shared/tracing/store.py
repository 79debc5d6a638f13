"""The traces that rows came with: read only where spans are made, kept with the row otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from shared.db import Database, Transaction
from shared.events import Announcement, RowsBell, SessionBell
from shared.failures.store import RowRef, Table, keys_of
from shared.sql import Queries
from shared.topology import JOBS
from shared.tracing import spans

queries = Queries("shared.tracing")


async def contexts_of(db: Database, table: Table, refs: Sequence[RowRef]) -> list[str]:
    """The traces of rows, each once and always in one order; none where traces are off."""
    if not spans.is_on() or not refs:
        return []
    async with db.of(*{ref.tenant for ref in refs}).autocommit() as tx:
        return await _read(tx, table, keys_of(refs))


async def contexts_told(tx: Transaction, told: Iterable[Announcement]) -> list[str]:
    """The traces of what bells are about; none where traces are off."""
    if not spans.is_on():
        return []
    rows: dict[Table, list[RowRef]] = {"facts": [], "jobs": []}
    sessions: list[SessionBell] = []
    for stream, bell in told:
        if isinstance(bell, SessionBell):
            sessions.append(bell)
        elif isinstance(bell, RowsBell):
            table: Table = "jobs" if stream in JOBS.values() else "facts"
            rows[table] += [RowRef(bell.tenant, bell.user, row) for row in bell.ids]
    found = [one for table, refs in rows.items() for one in await _read(tx, table, keys_of(refs))]
    if sessions:
        found += await _read(tx, "sessions", _sessions(sessions))
    return sorted(set(found))


async def keep(tx: Transaction, table: Literal["facts", "jobs"], refs: Sequence[RowRef]) -> None:
    """Keep the current trace with rows that were just made; nothing where there is none."""
    if (traceparent := spans.current_traceparent()) is not None:
        params = {"traceparent": traceparent, **keys_of(refs)}
        await tx.execute(queries[f"keep_for_{table}"], params)


async def _read(
    tx: Transaction, what: Table | Literal["sessions"], params: dict[str, list[Any]]
) -> list[str]:
    if not params["tenants"]:
        return []
    rows = await tx.rows(queries[f"contexts_of_{what}"], params)
    return sorted(row["traceparent"] for row in rows)


def _sessions(bells: Sequence[SessionBell]) -> dict[str, list[Any]]:
    return {
        "tenants": [bell.tenant for bell in bells],
        "users": [bell.user for bell in bells],
        "sessions": [bell.session for bell in bells],
    }
