"""A PostgreSQL that no longer answers is away, even if nobody closed the connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from shared.db import Database
from shared.isolation import is_outage
from tests.chaos.proxy import Proxy, unix


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[tuple[Proxy, Database]]:
    known = psycopg.conninfo.conninfo_to_dict(database_url)
    proxy = Proxy(unix(f"{known['host']}/.s.PGSQL.5432"))
    port = await proxy.start()
    url = f"postgresql://memoire@127.0.0.1:{port}/{known['dbname']}?sslmode=disable&gssencmode=disable"
    database = Database(url, statement_timeout_ms=500)
    await database.open()
    yield proxy, database
    await proxy.stop()
    await database.close()


@pytest.mark.parametrize("durably", [True, False], ids=["transaction", "autocommit"])
async def test_who_waits_for_a_silent_server_learns_that_it_is_away(
    proxied: tuple[Proxy, Database], durably: bool
) -> None:
    """The network swallows everything: an outage after the time that any statement may take."""
    proxy, database = proxied
    using = database.transaction if durably else database.autocommit
    async with using() as tx:
        assert await tx.value("SELECT 1 AS one") == 1
    proxy.half_open(random.Random(1), share=1.0)
    async with asyncio.timeout(50):
        with pytest.raises(psycopg.OperationalError) as raised:
            async with using() as tx:
                await tx.value("SELECT 1 AS one")
    assert is_outage(raised.value)
    proxy.heal()
    async with asyncio.timeout(50):
        while not await answers(database):
            pass  # a connection made meanwhile is given up, too


async def answers(database: Database) -> bool:
    try:
        async with database.autocommit() as tx:
            return bool(await tx.value("SELECT 1 AS one"))
    except psycopg.OperationalError:
        return False
