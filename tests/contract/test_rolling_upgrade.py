"""Two versions side by side: migrations and entries only add, whatever a later version has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from shared.asyncapi import document
from shared.errors import PoisonError
from shared.events import decode_rows_bell, decode_session_bell
from shared.intake.messages import Limits, read_stream_message
from shared.migrate import available, pending
from shared.sql import Queries
from tests.contract.entry_law import broken
from tests.contract.migration_law import breaks, contracts
from tests.contract.released import Release, current, releases
from tests.contract.test_schema import PACKAGES, numbered
from tests.databases import WIDENING

every_release = pytest.mark.parametrize(
    "release", releases(), ids=lambda r: ".".join(map(str, r.version))
)


def _message(fields: Mapping[str, str]) -> Any:
    return read_stream_message(fields, Limits(), entry_id="1746180000000-0")


READERS: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "message": _message,
    "sessionBell": decode_session_bell,
    "rowsBell": decode_rows_bell,
}


def test_a_migration_behind_the_released_ones_only_adds() -> None:
    """Or says in a `-- contract:` line since which released version nothing uses what goes."""
    released = {name for release in releases() for name in release.migrations}
    for migration in available():
        if migration.name in released:
            continue
        if since := contracts(migration.sql):
            assert max(since) < current(), f"{migration.name}: that version is not out yet"
        else:
            assert breaks(migration.sql) == [], f"{migration.name}: see docs/operations.md, Upgrade"


@every_release
def test_a_released_migration_is_never_changed(release: Release) -> None:
    """Databases that had it would differ from those that get it now, under one name."""
    now = {migration.name: migration.sha256 for migration in available()}
    assert release.migrations.items() <= now.items()
    last = max(release.migrations)
    between = {name for name in now if name <= last}
    assert between == set(release.migrations), "a new migration goes behind the released ones"


@every_release
def test_entries_only_gain_fields(release: Release) -> None:
    assert broken(release.schemas, document()["components"]["schemas"]) == []


@every_release
@pytest.mark.parametrize("name", READERS)
def test_entries_of_a_released_version_are_read(release: Release, name: str) -> None:
    """And as before, whatever fields a later version puts beside those."""
    fields = release.examples[name]
    read = READERS[name](fields)
    assert READERS[name]({"a_later_field": "x", **fields, "another": ""}) == read


@pytest.mark.parametrize("name", ["sessionBell", "rowsBell"])
def test_a_bell_with_another_meaning_is_not_taken_for_one_of_ours(name: str) -> None:
    """`v` is what says that a field means something else."""
    fields = releases()[-1].examples[name]
    with pytest.raises(PoisonError, match="version 2"):
        READERS[name]({**fields, "v": "2"})


def test_a_database_that_is_ahead_lacks_nothing(database_url: str) -> None:
    """A process of the version before starts while the next one's migrations are there."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES ('9999_of_later', 'x')"
        )
    assert pending(database_url) == []


def test_every_query_fits_tables_with_more_columns(widened_url: str) -> None:
    """None names its columns by `*` where that matters, or by their number."""
    with psycopg.connect(widened_url, autocommit=True) as connection:
        for package in PACKAGES:
            queries = Queries(package)
            for name in queries:
                connection.execute(f"PREPARE checked AS {numbered(queries[name])}".encode())
                connection.execute("DEALLOCATE checked")


def test_what_is_widened_is_what_the_law_lets_through() -> None:
    assert breaks(WIDENING.format(table="jobs")) == []
