"""Writes `shared/schema.sql` from a migrated database: tables, constraints, indexes, triggers.

A table that is closed to who names no tenant says so; by which policies, `tests.contract` knows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg

from shared.embedded.postgres import EmbeddedPostgres
from shared.migrate import migrate

_HEAD = """-- The whole truth about the database, as the migrations leave it. Generated from a migrated
-- database by `python -m tests.contract.schema_dump`; a test compares the two.
"""
_TABLES = """
SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
       a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE conrelid = %s AND contype <> 'n' ORDER BY contype <> 'p', conname
"""
_INDEXES = """
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
 WHERE i.indrelid = %s
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid) ORDER BY 1
"""
_TRIGGERS = """
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal ORDER BY 1
"""
_CLOSED = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %s"


def describe_schema(url: str) -> str:
    """Describe every table of a database, in one order, whatever its server's version."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(_TABLES).fetchall()
        return _HEAD + "".join(_table(connection, oid, name) for oid, name in tables)


def _table(connection: psycopg.Connection, oid: int, name: str) -> str:
    lines = [_column(*column) for column in connection.execute(_COLUMNS, (oid,)).fetchall()]
    lines += [
        f"CONSTRAINT {name} {text}" for name, text in connection.execute(_CONSTRAINTS, (oid,))
    ]
    indexes = "".join(f"{text};\n" for (text,) in connection.execute(_INDEXES, (oid,)))
    triggers = "".join(f"{text};\n" for (text,) in connection.execute(_TRIGGERS, (oid,)))
    if connection.execute(_CLOSED, (oid,)).fetchone() == (True,):
        triggers += f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;\n"
    body = ",\n".join(f"    {line}" for line in lines)
    return f"\nCREATE TABLE {name} (\n{body}\n);\n{indexes}{triggers}"


def _column(
    name: str, kind: str, required: bool, identity: str, generated: str, default: str | None
) -> str:
    text = f"{name} {kind}"
    if identity:
        text += " GENERATED ALWAYS AS IDENTITY"
    if generated:
        text += f" GENERATED ALWAYS AS ({default}) STORED"
    elif default:
        text += f" DEFAULT {default}"
    return text + (" NOT NULL" if required else "")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        target = Path(__file__).parents[2] / "shared" / "schema.sql"
        target.write_text(describe_schema(server.url))
