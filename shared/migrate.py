"""Migrations: plain SQL files, applied once each, in order, under one lock.

Each file runs in a transaction of its own; its checksum is kept, and a file that changed after it
was applied is refused, because two databases would then differ under one name. Behind the last one
every table is closed to who names no tenant (migration 0024).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

import psycopg
import structlog

from shared.errors import ConfigurationError
from shared.roles import ROLES

log = structlog.get_logger()

_LOCK = 0x6D656D6F  # any constant: it serializes migrators of one database
_LEDGER: LiteralString = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name        text        PRIMARY KEY,
    sha256      text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""
_GAP: LiteralString = """
SELECT gap
  FROM (SELECT 0, memoire_role_gap(role) FROM unnest(%(roles)s::text[]) AS asked(role)
         UNION ALL SELECT 1, memoire_open_table() || ' is open to who names no tenant') AS g(n, gap)
 WHERE gap IS NOT NULL ORDER BY n, gap LIMIT 1
"""
ROLES_NEEDED = """\
CREATE ROLE memoire_app NOLOGIN;
CREATE ROLE memoire_operator NOLOGIN;
CREATE ROLE memoire_gate NOLOGIN;
GRANT memoire_app, memoire_operator, memoire_gate TO <who migrates and runs Mémoire>"""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def available() -> list[Migration]:
    """List the migrations shipped with this version, in order."""
    folder = resources.files("shared.migrations")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in files]


def migrate(url: str) -> list[str]:
    """Bring the database to this version and return the names of what was applied.

    Raises ConfigurationError when an applied migration no longer reads as it did.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET lock_timeout = '30s'; SET statement_timeout = '10min'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER)
        applied: dict[str, str] = dict(
            connection.execute("SELECT name, sha256 FROM schema_migrations").fetchall()
        )
        pending = [m for m in available() if not _is_applied(m, applied)]
        for migration in pending:
            _apply(connection, migration)
        _isolate(connection)
        return [migration.name for migration in pending]


def _isolate(connection: psycopg.Connection) -> None:
    """Put row-level security in force, and say loudly where that is not allowed."""
    found = connection.execute("SELECT memoire_isolate()").fetchone()
    if found is not None and found[0] is not None:
        log.warning(
            "row-level security is not in force", reason=found[0], then_migrate_again=ROLES_NEEDED
        )


def isolation_gap(url: str, roles: Iterable[str] = ROLES) -> str | None:
    """Say why tenants are not kept apart by the database itself for who acts under these roles.

    None: they are. For a migrated database only.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        found = connection.execute(_GAP, {"roles": list(roles)}).fetchone()
    return None if found is None else str(found[0])


def refuse_unisolated(url: str, roles: Iterable[str] = ROLES) -> None:
    """Raise ConfigurationError, with what to do, where tenants are not kept apart."""
    if gap := isolation_gap(url, roles):
        raise ConfigurationError(
            f"row-level security is not in force: {gap}. Let an administrator run\n{ROLES_NEEDED}\n"
            "then `memoire migrate`; or do without: MEMOIRE_ROW_SECURITY=off (docs/isolation.md)"
        )


def pending(url: str) -> list[Migration]:
    """List what the database still lacks of this version; changes nothing."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        ledger = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
        if ledger is None or ledger[0] is None:
            return available()
        applied: dict[str, str] = dict(
            connection.execute("SELECT name, sha256 FROM schema_migrations").fetchall()
        )
    return [migration for migration in available() if not _is_applied(migration, applied)]


def _is_applied(migration: Migration, applied: dict[str, str]) -> bool:
    known = applied.get(migration.name)
    if known is not None and known != migration.sha256:
        raise ConfigurationError(
            f"migration {migration.name} was changed after it was applied; "
            "write a new migration instead"
        )
    return known is not None


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)",
            (migration.name, migration.sha256),
        )
