"""What the command line reads from PostgreSQL, over one connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from shared.db import Row, Transaction
from shared.sql import Queries

queries = Queries("services.console")


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[Transaction]:
    """One short transaction on a connection that is closed again; raises psycopg.Error."""
    connection = await psycopg.AsyncConnection.connect(
        url, connect_timeout=3, application_name="memoire-cli", autocommit=True
    )
    async with connection:
        await connection.execute("SET statement_timeout = '30s'; SET lock_timeout = '5s'")
        async with connection.transaction():
            yield Transaction(connection)


async def open_rows(tx: Transaction) -> dict[str, Row]:
    """Rows that wait, by stage: `open`, and `oldest_seconds` of the one that waits longest."""
    return {row["stage"]: row for row in await tx.rows(queries["open_rows"])}
