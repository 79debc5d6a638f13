"""docs/operations.md on backup and restore: PostgreSQL alone brings everything back.

Into a cluster whose transaction ids are far behind, and beside a Redis that holds nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import scalar_row
from redis.asyncio import Redis

from shared.embedded.binaries import postgres_binaries
from shared.embedded.postgres import EmbeddedPostgres
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

FOLDER = Path(__file__).parents[2] / "deploy" / "postgres"
ROLES, SCRIPT = FOLDER / "roles.sql", FOLDER / "after-restore.sql"
AHEAD = 3_000  # transactions; a fresh cluster has used some hundreds


@pytest.fixture
def other_cluster(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database in a cluster that was just born."""
    with EmbeddedPostgres(tmp_path / "other", durable=False) as server:
        yield server.url


def program(name: str, folder: Path) -> str:
    return str(postgres_binaries(folder, None).postgres.parent / name)


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def age(url: str, transactions: int) -> None:
    """Use up transaction ids, as weeks of work do."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR i IN 1..{transactions} LOOP "
            "PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )


def ask(url: str, statement: str) -> list[object]:
    with psycopg.connect(url, autocommit=True, row_factory=scalar_row) as connection:
        return connection.execute(statement.encode()).fetchall()


async def test_a_dump_brings_everything_back(
    db: TestedDatabase,
    database_url: str,
    redis: Redis,
    redis_url: str,
    other_cluster: str,
    tmp_path: Path,
):
    """Beliefs, what still waited, and events for those who follow them."""
    age(database_url, AHEAD)
    before = Pipeline(db, redis, redis_url)
    async with before.running():
        await before.say("I live in San Francisco", "I have a dog named Rex")
        await before.settled()
    await before.say("My favourite colour is green, and I live in Lisbon now")  # nobody is at work
    assert await before.open_rows()
    events = ask(database_url, "SELECT event FROM events ORDER BY seq")

    dump = tmp_path / "memoire.dump"
    pg_dump, pg_restore, psql = (program(n, tmp_path) for n in ("pg_dump", "pg_restore", "psql"))
    run(pg_dump, "--format=custom", f"--file={dump}", f"--dbname={database_url}")
    await redis.flushall()
    owner = ("--set=owner=memoire", f"--file={ROLES}")
    for _ in range(2):  # a scratch database in the same cluster is restored into as well
        run(psql, "--no-psqlrc", "--set=ON_ERROR_STOP=1", *owner, f"--dbname={other_cluster}")
    run(pg_restore, "--no-owner", "--exit-on-error", f"--dbname={other_cluster}", str(dump))
    visible = "SELECT event FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot())"
    assert ask(other_cluster, visible) == [], "else this test shows nothing"
    script = ["--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={SCRIPT}"]
    run(psql, "--no-psqlrc", *script, f"--dbname={other_cluster}")

    assert ask(other_cluster, visible + " ORDER BY xid, seq") == events
    restored = TestedDatabase(other_cluster, max_connections=6)
    await restored.open()
    after = Pipeline(restored, redis, redis_url)
    async with after.running():
        await after.settled(120)
    assert await after.current(slot="home_city") == ["Lisbon"]
    assert await after.current(slot="pet") == ["Rex"]
    await restored.close()


def test_no_transaction_id_is_forgotten(database_url: str):
    """Whoever keeps one in a table sees to what becomes of it after a restore."""
    tables = ask(
        database_url,
        "SELECT table_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND udt_name = 'xid8' ORDER BY 1",
    )
    text = SCRIPT.read_text("utf-8")
    assert tables
    assert all(f"UPDATE {table} " in text or f"INTO {table} " in text for table in tables)
