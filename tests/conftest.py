"""Real servers for every test that wants them: one PostgreSQL and one Valkey a run.

Each test gets a database of its own, copied from a migrated template, and an emptied Redis.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_sync
from psycopg import sql
from redis.asyncio import Redis

from shared.broker import connect_redis
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.valkey import EmbeddedValkey
from shared.migrate import migrate
from tests.databases import TestedDatabase, widen

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL whose template database is migrated."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        migrate(server.url)
        yield server.url


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Valkey that keeps nothing on disk: no write of it waits for a busy disk."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey"), durable=False) as server:
        yield server.url


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    template = psycopg.conninfo.conninfo_to_dict(postgres_server)["dbname"]
    with psycopg.connect(_maintenance(postgres_server), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(str(template))
            )
        )
        yield psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def widened_url(database_url: str) -> str:
    """The URL of a fresh database as the next version's migrations may leave it."""
    widen(database_url)
    return database_url


def _maintenance(url: str) -> str:
    return psycopg.conninfo.make_conninfo(url, dbname="postgres")


@pytest.fixture
def redis_url(valkey_server: str) -> Iterator[str]:
    """The URL of an empty Redis."""
    with redis_sync.Redis.from_url(valkey_server) as client:
        client.flushall()
        yield valkey_server
        client.flushall()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[TestedDatabase]:
    database = TestedDatabase(database_url, max_connections=6)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real conversations that are not part of the project; skips where they are absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.exists():
        pytest.skip("the real conversations are not here")
    return folder
