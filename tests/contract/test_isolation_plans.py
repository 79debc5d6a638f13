"""The policies leave plans as they are: each statement reaches its rows by the same indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from shared.roles import APP, OPERATOR
from shared.sql import Queries
from tests.contract.test_schema import PACKAGES, numbered

OPERATORS = {
    "services.console",
    "services.embedder.migration",
    "services.extractor.replay",
    "services.maintenance",
    "services.maintenance.essential",
    "services.maintenance.fading",
    "services.maintenance.jobs",
    "services.maintenance.retention",
    "shared.retention",
}
"""Whose statements are run by operators alone."""

NOT_THE_APPS = {"own_limits", "own_budgets", "overview"}
"""Statements that are for every tenant: at the gate, and of a command."""


def _reached(node: dict[str, Any], initplan: bool = False) -> Iterator[tuple[str, ...]]:
    """Which relations are read how, by which index, under which of its columns."""
    if not initplan and "Relation Name" in node:
        yield node["Node Type"], node["Relation Name"], node.get("Index Name", "")
    for child in node.get("Plans", ()):
        yield from _reached(child, "memoire_tenants" in str(child.get("Output", "")))


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - OPERATORS))
def test_a_statement_takes_the_same_way_under_the_policies(package: str, database_url: str) -> None:
    """Compared with the operators' plan, to which no policy adds anything."""
    queries = Queries(package)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_mergejoin = off")
        changed = {}
        for name in set(queries) - NOT_THE_APPS:
            plans = [_plan(connection, role, queries[name]) for role in (OPERATOR, APP)]
            operators, apps = (sorted(_reached(plan)) for plan in plans)
            if apps != operators:
                changed[name] = (operators, apps)
    assert changed == {}


def _plan(connection: psycopg.Connection, role: str, statement: str) -> dict[str, Any]:
    connection.execute(f"SET ROLE {role}".encode())
    explained = f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {numbered(statement)}"
    found = connection.execute(explained.encode()).fetchone()
    connection.execute("RESET ROLE")
    assert found is not None
    plan: dict[str, Any] = found[0][0]["Plan"]
    return plan
