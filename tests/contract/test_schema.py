"""The database is what `schema.sql` says, and every query fits it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from shared.migrate import available, migrate, pending
from shared.sql import Queries
from tests.contract.schema_dump import describe_schema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "shared" / "schema.sql"
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("queries.sql")
)


def test_schema_sql_is_the_sum_of_the_migrations(database_url: str) -> None:
    """`shared/schema.sql` is read by people; it must be what a migrated database has."""
    assert SCHEMA.read_text() == describe_schema(database_url), (
        "run: python -m tests.contract.schema_dump"
    )


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    """A second run finds nothing to do."""
    assert migrate(database_url) == []
    assert pending(database_url) == []
    assert [migration.name for migration in available()]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_query_fits_the_schema(package: str, database_url: str) -> None:
    """Each statement can be prepared against the migrated database."""
    queries = Queries(package)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in queries:
            statement = numbered(queries[name])
            try:
                connection.execute(f"PREPARE checked AS {statement}".encode())
            except psycopg.errors.IndeterminateDatatype as error:
                pytest.fail(f"{package}:{name} leaves a parameter's type open: {error}")
            connection.execute("DEALLOCATE checked")


def test_every_query_says_what_it_promises() -> None:
    """A block's first line after its name is a sentence."""
    for package in PACKAGES:
        text = (ROOT / Path(*package.split(".")) / "queries.sql").read_text()
        for name, following in re.findall(r"^-- name: (\w+)\n(.*)$", text, re.MULTILINE):
            assert re.match(r"-- [A-Z].*[^ ]$", following), f"{package}:{name}"


def numbered(statement: str) -> str:
    """Turn psycopg's %(name)s into $1, $2, … as the server sees them."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    return re.sub(r"%\((\w+)\)[sb]", number, statement).replace("%%", "%")
