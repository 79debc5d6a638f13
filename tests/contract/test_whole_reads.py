"""No statement of a stage reads a table whole, however few rows the planner takes it to have.

Statements are planned while tables are young, or by statistics from when nothing was open, and the
plans are kept: one that reads all open rows for each session costs nothing then, and everything in
a flood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from shared.sql import Queries
from tests.contract.test_schema import PACKAGES, numbered

READS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}

SMALL = {
    "budgets",
    "embedding_spaces",
    "erasures",
    "provider_pauses",
    "schedules",
    "slot_refolds",
    "tenant_limits",
}
"""Tables of some rows, whatever comes, or of which some are not finished."""

MEANT = {
    "shared.dead_letters": {"count_dead"},
    "shared.retention": {"windows"},
    "shared.tenant_slots": {"proposed_slots"},
}
"""Statements that are about all rows, of commands and of the sweeper."""

ABOUT_ALL = {
    "services.console",
    "services.embedder.migration",
    "services.extractor.replay",
    "services.maintenance",
    "services.maintenance.retention",
    "services.maintenance.watch",
}
"""Packages that look for work or count it; a few statements, none of them once a message."""


def _read_whole(node: dict[str, Any], above: str = "") -> Iterator[str]:
    """The tables (or the indexes of bitmaps) that a plan reads without a condition on a key."""
    relation = node.get("Relation Name", above)
    if node["Node Type"] in READS and "Index Cond" not in node and relation not in SMALL:
        yield f"{relation} by {node.get('Index Name', 'a scan')}"
    for child in node.get("Plans", ()):
        yield from _read_whole(child, relation)


@pytest.mark.parametrize(
    "package",
    sorted(p for p in set(PACKAGES) - ABOUT_ALL if not p.startswith("services.gateway")),
)
def test_a_stage_finds_its_rows_by_key(package: str, database_url: str) -> None:
    queries = Queries(package)
    whole: dict[str, list[str]] = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_mergejoin = off")
        for name in set(queries) - MEANT.get(package, set()):
            explained = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(queries[name])}"
            found = connection.execute(explained.encode()).fetchone()
            assert found is not None
            if tables := list(_read_whole(found[0][0]["Plan"])):
                whole[name] = tables
    assert whole == {}
