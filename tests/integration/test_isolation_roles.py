"""Who may make roles gets isolation by migrating; who may not is told what to ask for.

On a server of its own: roles belong to all databases of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql

from services.console import store as console
from services.console.status import read_status
from services.gateway.key_store import key_by_id
from services.prerequisites import require_isolation
from shared.db import Database, OperatorDatabase
from shared.embedded import postgres
from shared.embedded.postgres import EmbeddedPostgres
from shared.errors import ConfigurationError
from shared.ids import time_ordered_id
from shared.migrate import ROLES_NEEDED, isolation_gap, migrate
from shared.roles import APP, GATE, ROLES
from shared.settings import Settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an administrator, on a server where any local account is believed."""
    folder = tmp_path_factory.mktemp("roles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "access_text", lambda: "local all all trust\n")
        with EmbeddedPostgres(folder, durable=False) as running:
            yield running.url


def _owned_database(server: str, name: str, rights: str) -> str:
    """A database with the extensions, and its owner, who is no administrator."""
    url = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN {rights}".encode())
        admin.execute(f"CREATE DATABASE {name} OWNER {name}".encode())
    with psycopg.connect(url, autocommit=True) as admin:
        for extension in (b"vector", b"pg_trgm", b"unaccent"):
            admin.execute(b"CREATE EXTENSION " + extension)
    return as_(url, name)


def as_(url: str, user: str) -> str:
    return psycopg.conninfo.make_conninfo(url, user=user)


def _drop_roles(server: str, url: str) -> None:
    for at, statement in ((url, "DROP OWNED BY {}"), (server, "DROP ROLE {}")):
        with psycopg.connect(at, autocommit=True) as admin:
            for role in ROLES:
                admin.execute(sql.SQL(statement).format(sql.Identifier(role)))


async def _keeps_apart(url: str, everybodys_url: str) -> None:
    """Rows of a tenant are there for who names it, for operators and for commands."""
    db, everyone = Database(url), OperatorDatabase(everybodys_url)
    await db.open()
    await everyone.open()
    for tenant in ("a", "b"):
        async with db.of(tenant).transaction() as tx:
            await tx.execute(
                "INSERT INTO users (tenant_id, user_id) VALUES (%(t)s, 'ana')", {"t": tenant}
            )
    counted = "SELECT count(*) FROM users"
    async with db.of("a").autocommit() as tx:
        assert await tx.value(counted) == 1
    async with db.of().transaction() as tx:
        assert await tx.value(counted) == 0
    async with db.gate() as tx:
        assert await key_by_id(tx, time_ordered_id()) is None
    async with everyone.autocommit() as tx:
        assert await tx.value(counted) == 2
    async with console.transaction(everybodys_url) as tx:
        assert await tx.value(counted) == 2
    await db.close()
    await everyone.close()


async def test_an_owner_who_may_make_roles_needs_nobody(server: str) -> None:
    """No administrator: it owns the tables, is bound by their policies, and may act as each role."""
    url = _owned_database(server, "makes_roles", "CREATEROLE")
    migrate(url)
    assert isolation_gap(url) is None
    await _keeps_apart(url, url)
    _drop_roles(server, as_(url, "memoire"))


async def test_an_owner_who_may_not_is_told_and_may_do_without(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Migrating says what is missing, processes refuse, `status` shows it; then it is put right."""
    url = _owned_database(server, "may_not", "")
    assert migrate(url)
    assert isolation_gap(url) == "there is no role memoire_app"
    with pytest.raises(ConfigurationError, match="CREATE ROLE memoire_app") as refused:
        await require_isolation(Settings(), url)
    assert "MEMOIRE_ROW_SECURITY=off" in str(refused.value)
    monkeypatch.setenv("MEMOIRE_DATABASE_URL", url)
    monkeypatch.setenv("MEMOIRE_DATA_DIR", str(tmp_path))
    status = await asyncio.to_thread(read_status, None)
    assert any("no role memoire_app" in problem for problem in status.problems)
    assert status.report["isolation"] == {
        "row_security": False,
        "gap": "there is no role memoire_app",
    }
    await _does_without(url)
    _ask_an_administrator(server, "may_not")
    assert isolation_gap(url) == "api_keys is open to who names no tenant"
    migrate(url)
    assert isolation_gap(url) is None
    await _keeps_apart(url, url)
    await _lets_a_gateway_be_less(server, url)
    _drop_roles(server, as_(url, "memoire"))


async def _does_without(url: str) -> None:
    await require_isolation(Settings(row_security=False), url)
    db = Database(url, role=None)
    await db.open()
    async with db.of("a").transaction() as tx, tx.at_gate():
        assert await tx.value("SELECT count(*) FROM users") == 0
    async with db.gate() as tx:
        assert await key_by_id(tx, time_ordered_id()) is None
    await db.close()


def _ask_an_administrator(server: str, owner: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(ROLES_NEEDED.replace(ROLES_NEEDED.rpartition("TO ")[2], owner).encode())


async def _lets_a_gateway_be_less(server: str, url: str) -> None:
    """An account for gateways that may never act as an operator, whatever is sent through it."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE gateways LOGIN; GRANT {APP}, {GATE} TO gateways".encode())
    gateways = as_(url, "gateways")
    assert isolation_gap(gateways, (APP, GATE)) is None
    assert "may not SET ROLE memoire_operator" in str(isolation_gap(gateways))
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("DELETE FROM users")
    await _keeps_apart(gateways, url)
    with psycopg.connect(gateways, autocommit=True) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET ROLE memoire_operator")
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)


async def test_a_role_that_sees_past_the_policies_is_no_role(server: str) -> None:
    """Roles that were there before are looked at: one that bypasses is refused."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE ROLE memoire_app BYPASSRLS")
    url = _owned_database(server, "bypassed", "CREATEROLE")
    migrate(url)
    assert isolation_gap(url) == "the role memoire_app bypasses row-level security"
