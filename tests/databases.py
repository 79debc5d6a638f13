"""The database as processes have it, and as a test that looks into it does."""

from __future__ import annotations

from typing import Any

import psycopg

from shared.db import Database, OperatorDatabase


class TestedDatabase(Database):
    """What the code under test is given: it reaches the rows of tenants that are named.

    `everyone` is for what operators' processes work with, and for the test's own looks.
    """

    __test__ = False

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.everyone = OperatorDatabase(url, max_connections=6)

    async def open(self) -> None:
        await super().open()
        await self.everyone.open()

    async def close(self) -> None:
        await self.everyone.close()
        await super().close()


WIDENING = (
    "ALTER TABLE {table} ADD COLUMN of_later text, "
    "ADD COLUMN counted_later integer NOT NULL DEFAULT 0"
)


def widen(url: str) -> None:
    """Give every table columns that this version does not know, as the next one's migrations may."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT format('%I', relname) FROM pg_class"
            " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (table,) in tables:
            connection.execute(WIDENING.format(table=table).encode())
