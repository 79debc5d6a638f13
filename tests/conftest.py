"""Real servers for every test that wants them: one PostgreSQL and one Valkey a worker.

Each test gets a database of its own, copied from a migrated template, and an emptied Redis. A copy
is 300 files, made and removed a thousand times a run: ext4 passes over inodes freed in the last
seconds one by one, so that a copy came to 0.3 s of CPU there, and is 0.02 s in memory.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
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
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 * 1024**3
"""What a worker's server may come to with its WAL, many times over."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read only files that hold what a run for one marker asks for: all 200 take seconds."""
    wanted = re.match(r"(alone|long) and ", config.getoption("markexpr"))
    if wanted is None or not collection_path.name.startswith("test_"):
        return None
    return True if f"mark.{wanted[1]}" not in collection_path.read_text() else None


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is room (a container may give 64 MB), else on disk."""
    if not _has_room(_MEMORY):
        yield tmp_path_factory.mktemp("servers")
        return
    _remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"memoire-tests-{os.getpid()}-", dir=_MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    """Whether servers fit in, and programs may be run there (root's servers may need a copy)."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return False
    room = state.f_bavail * state.f_frsize
    return os.access(folder, os.W_OK) and room > _ROOM_BYTES and not state.f_flag & os.ST_NOEXEC


def _remove_left_behind() -> None:
    """Give back the memory of killed runs: their pid is gone, here, and no run takes an hour."""
    for folder in _MEMORY.glob("memoire-tests-*"):
        owner = folder.name.split("-")[2]
        if Path("/proc", owner).exists():
            continue
        with suppress(FileNotFoundError):  # another worker was quicker
            if folder.stat().st_mtime < time.time() - 3_600:
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL whose template database is migrated."""
    with EmbeddedPostgres(servers_folder, durable=False) as server:
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
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
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
