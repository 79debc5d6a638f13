"""A PostgreSQL that no longer answers is away, even if nobody closed the connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from services.gateway.app import build_app
from shared.db import Database, Patience
from shared.isolation import is_outage
from shared.settings import Settings
from tests.chaos.proxy import Proxy, unix
from tests.fakes.embedder import HashEmbedder


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[tuple[Proxy, Database]]:
    known = psycopg.conninfo.conninfo_to_dict(database_url)
    proxy = Proxy(unix(f"{known['host']}/.s.PGSQL.5432"))
    port = await proxy.start()
    url = f"postgresql://memoire@127.0.0.1:{port}/{known['dbname']}?sslmode=disable&gssencmode=disable"
    database = Database(url, patience=Patience(wait_seconds=1.0, statement_seconds=0.5))
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
    using = database.of().transaction if durably else database.of().autocommit
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
        async with database.of().autocommit() as tx:
            return bool(await tx.value("SELECT 1 AS one"))
    except psycopg.OperationalError:
        return False


async def test_a_request_is_told_and_nothing_is_accepted(
    proxied: tuple[Proxy, Database], database_url: str
) -> None:
    """503 for all who ask, whoever asked before them; 202 only for what PostgreSQL has."""
    proxy, database = proxied
    app = build_app(
        Settings(admin_key=SecretStr("mem_admin"), request_seconds=2.0),
        db=database,
        redis=None,
        embedder=HashEmbedder(),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://gateway",
        headers={"X-API-Key": "mem_admin"},
    ) as client:

        async def ingest(number: int, path: str = "/v1/ingest") -> httpx.Response:
            said = {"user_id": "ana", "role": "user", "content": "hi", "message_id": f"m{number}"}
            body = {"messages": [said]} if path.endswith("batch") else said
            return await client.post(path, json=body)

        assert (await ingest(0)).status_code == 202
        proxy.half_open(random.Random(1), share=1.0)
        async with asyncio.timeout(30):
            asked = [ingest(1), ingest(2, "/v1/ingest/batch")]
            asked += [ingest(number) for number in range(3, 20)]
            refused = await asyncio.gather(*asked)
        assert {answer.status_code for answer in refused} == {503}
        assert {answer.json()["error"]["code"] for answer in refused} == {"unavailable"}
        proxy.heal()
        async with asyncio.timeout(30):
            while (await ingest(20)).status_code != 202:
                await asyncio.sleep(0.05)
    async with await psycopg.AsyncConnection.connect(database_url) as direct:
        cursor = await direct.execute("SELECT message_key FROM chat_logs")
        kept = {key for (key,) in await cursor.fetchall()}
    assert kept >= {"m:m0", "m:m20"}
