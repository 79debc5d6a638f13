"""Both servers by URL over TLS, verified, in the words that docs/operations.md has for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.broker import connect_redis
from shared.migrate import pending
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline
from tests.tls_proxy import make_authority, tls_before

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes keys")


@dataclass(frozen=True)
class Secured:
    """URLs of both servers, without what they are verified by, and the file to do it with."""

    database_url: str
    redis_url: str
    authority: Path

    @property
    def verified_database_url(self) -> str:
        return f"{self.database_url}?sslmode=verify-full&sslrootcert={self.authority}"

    @property
    def verified_redis_url(self) -> str:
        return f"{self.redis_url}?ssl_ca_certs={self.authority}"


@pytest.fixture
async def secured(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Secured]:
    authority = make_authority(tmp_path)
    parts = psycopg.conninfo.conninfo_to_dict(database_url)
    port = parts.get("port") or 5432
    to_postgres = partial(asyncio.open_unix_connection, f"{parts['host']}/.s.PGSQL.{port}")
    redis = urlsplit(redis_url)
    to_redis = partial(asyncio.open_connection, redis.hostname, redis.port)
    async with (
        tls_before(authority, to_postgres, postgres=True) as postgres_port,
        tls_before(authority, to_redis, postgres=False) as redis_port,
    ):
        yield Secured(
            f"postgresql://{parts['user']}@localhost:{postgres_port}/{parts['dbname']}",
            f"rediss://{redis.netloc.rpartition('@')[0]}@localhost:{redis_port}/0",
            authority,
        )


async def test_the_whole_pipeline_works_over_tls(secured: Secured):
    """Pools, migrations, our own client of Redis, and FastStream's."""
    assert await asyncio.to_thread(pending, secured.verified_database_url) == []
    db = TestedDatabase(secured.verified_database_url, max_connections=6)
    await db.open()
    redis = connect_redis(secured.verified_redis_url)
    pipeline = Pipeline(db, redis, secured.verified_redis_url)
    async with pipeline.running():
        await pipeline.say("I live in San Francisco")
        await pipeline.settled()
    assert await pipeline.current(slot="home_city") == ["San Francisco"]
    await redis.aclose()
    await db.close()


async def test_a_server_of_another_authority_is_refused(secured: Secured, tmp_path: Path):
    """Nobody in between is believed."""
    (tmp_path / "other").mkdir()
    other = make_authority(tmp_path / "other")
    url = f"{secured.database_url}?sslmode=verify-full&sslrootcert={other}"
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        await asyncio.to_thread(psycopg.connect, url)
    redis: Redis = connect_redis(f"{secured.redis_url}?ssl_ca_certs={other}")
    with pytest.raises(RedisConnectionError, match="certificate"):
        await redis.ping()
    await redis.aclose()
