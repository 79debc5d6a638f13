"""The laws of migrations and entries know what adds from what breaks, however it is written."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.entry_law import broken
from tests.contract.migration_law import breaks, contracts, statements

ADDS = (
    "ALTER TABLE jobs ADD COLUMN note text",
    "ALTER TABLE jobs ADD note text",
    "ALTER TABLE jobs ADD COLUMN n int NOT NULL DEFAULT 0, ADD COLUMN m numeric(4, 2)",
    "ALTER TABLE jobs ADD COLUMN n int GENERATED ALWAYS AS (id + 1) STORED NOT NULL",
    "ALTER TABLE ONLY jobs ADD CONSTRAINT known CHECK (kind IN ('a', 'b')) NOT VALID",
    "ALTER TABLE jobs DROP CONSTRAINT known, ADD CONSTRAINT known CHECK (kind <> '') NOT VALID",
    "ALTER TABLE jobs VALIDATE CONSTRAINT known",
    "ALTER TABLE jobs ALTER COLUMN note SET DEFAULT ''",
    "ALTER TABLE jobs SET (fillfactor = 80)",
    "ALTER TYPE kind ADD VALUE 'c'",
    "CREATE INDEX later ON jobs (note) WHERE note IS NOT NULL",
    "CREATE TABLE later (id int PRIMARY KEY); CREATE UNIQUE INDEX u ON later (id)",
    "CREATE TABLE later (id int); ALTER TABLE later ENABLE ROW LEVEL SECURITY",
    "CREATE TABLE later (id int); CREATE TRIGGER t BEFORE INSERT ON later EXECUTE FUNCTION f()",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DROP TABLE jobs; $$",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
    "UPDATE jobs SET note = 'DROP TABLE jobs; ALTER TABLE jobs'",
    "INSERT INTO jobs (note) VALUES ('it''s; fine')",
    "-- DROP TABLE jobs;\nSELECT 1 /* DROP TABLE jobs; */",
    "COMMENT ON TABLE jobs IS 'DROP'",
    "GRANT SELECT ON jobs TO somebody",
)
BREAKS = (
    "DROP TABLE jobs",
    "DROP INDEX jobs_open",
    "DROP FUNCTION f()",
    "DROP TRIGGER t ON jobs",
    "TRUNCATE jobs",
    "DELETE FROM jobs",
    "REVOKE SELECT ON jobs FROM somebody",
    "ALTER TABLE jobs DROP COLUMN note",
    "ALTER TABLE jobs DROP CONSTRAINT known",
    "ALTER TABLE jobs DROP CONSTRAINT known, ADD CONSTRAINT known CHECK (kind <> '')",
    "ALTER TABLE jobs DROP CONSTRAINT other, ADD CONSTRAINT known CHECK (kind <> '') NOT VALID",
    "ALTER TABLE jobs RENAME TO tasks",
    "ALTER TABLE jobs RENAME COLUMN note TO notes",
    "ALTER TABLE jobs ALTER COLUMN note TYPE bytea",
    "ALTER TABLE jobs ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE jobs ALTER COLUMN note DROP NOT NULL",
    "ALTER TABLE jobs ALTER COLUMN note DROP DEFAULT",
    "ALTER TABLE jobs ADD COLUMN n int NOT NULL",
    "ALTER TABLE jobs ADD COLUMN a text, ADD COLUMN n int NOT NULL",
    "ALTER TABLE jobs ADD COLUMN n int UNIQUE",
    "ALTER TABLE jobs ADD COLUMN n int REFERENCES users",
    "ALTER TABLE jobs ADD CONSTRAINT known CHECK (kind IN ('a', 'b'))",
    "ALTER TABLE jobs ADD CHECK (n > 0)",
    "ALTER TABLE jobs ADD UNIQUE (note)",
    "ALTER TABLE jobs ADD CONSTRAINT once EXCLUDE USING gist (note WITH =)",
    "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE jobs SET SCHEMA elsewhere",
    "ALTER TYPE kind RENAME VALUE 'a' TO 'b'",
    "CREATE UNIQUE INDEX once ON jobs (note)",
    "CREATE TRIGGER t BEFORE INSERT ON jobs EXECUTE FUNCTION f()",
    "CREATE TABLE later (id int); DROP TABLE later",
    "CREATE TABLE later (id int); ALTER TABLE jobs DROP COLUMN note",
    "DO $$ BEGIN EXECUTE 'anything'; END $$",
    "LOCK TABLE jobs",
    "SOMETHING that nobody has thought of",
)


@pytest.mark.parametrize("migration", ADDS)
def test_what_only_adds_is_let_through(migration: str) -> None:
    assert breaks(migration) == []


@pytest.mark.parametrize("migration", BREAKS)
def test_what_may_break_the_version_before_is_named(migration: str) -> None:
    assert len(breaks(migration)) == 1


spaces = st.text(" \n\t", min_size=1, max_size=4)
comments = st.sampled_from(["", "-- ALTER TABLE jobs\n", "/* DROP; */", "/* it's\n */ "])


@given(st.sampled_from(ADDS + BREAKS), spaces, comments, st.booleans())
def test_spaces_comments_and_case_decide_nothing(
    migration: str, space: str, comment: str, lower: bool
) -> None:
    other = (
        migration
        if migration.startswith("--") or "$$" in migration
        else (f"{space}{comment}".join(migration.split(" ")))
    )
    other = f"{comment}{space}{other.lower() if lower else other}{space};{space}{comment}"
    assert bool(breaks(other)) == bool(breaks(migration))


@given(st.lists(st.sampled_from(ADDS[:10] + BREAKS[:20]), max_size=6))
def test_each_statement_is_judged_by_itself(migrations: list[str]) -> None:
    """But for what is done to a table that the same migration made."""
    whole = ";\n".join(migrations)
    assert len(list(statements(whole))) == len(migrations)
    assert breaks(whole) == [each for one in migrations for each in breaks(one)]


def test_a_contract_says_since_when_nothing_uses_what_goes() -> None:
    text = "-- contract: unused since 0.2.10: jobs.note, read last by 0.2.9\nALTER TABLE …"
    assert contracts(text) == [(0, 2, 10)]
    assert contracts("-- contract: unused since 0.2.0:\n") == [], "and says what"
    assert contracts("-- contract: nobody needs it\n") == []


# ---- entries

OLD: dict[str, Any] = {
    "message": {
        "required": ["user_id"],
        "properties": {
            "user_id": {"type": "string", "maxLength": 128},
            "role": {"type": "string", "enum": ["user", "tool"]},
        },
    },
    "settled": {
        "required": ["v", "event"],
        "properties": {"v": {"type": "string", "const": "1"}, "event": {"type": "string"}},
    },
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    new = deepcopy(OLD)
    inside = new
    for name in path[:-1]:
        inside = inside[name]
    if to is None:
        del inside[path[-1]]
    else:
        inside[path[-1]] = to
    return new


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed("settled", "properties", "more", to={"type": "string"}),
        changed("settled", "required", to=["v", "event", "more"]),
        changed("message", "required", to=[]),
        changed("message", "properties", "more", to={"type": "string"}),
        changed("message", "properties", "user_id", "maxLength", to=256),
        changed("message", "properties", "user_id", "description", to="other words"),
        changed("message", "properties", "role", "enum", to=["user", "tool", "system"]),
        {**OLD, "more": OLD["settled"]},
    ],
)
def test_an_entry_may_gain(new: dict[str, Any]) -> None:
    assert broken(OLD, new) == []


@pytest.mark.parametrize(
    "new",
    [
        {"message": OLD["message"]},
        changed("settled", "properties", "event", to=None),
        changed("settled", "required", to=["v"]),
        changed("settled", "properties", "v", "const", to="2"),
        changed("message", "required", to=["user_id", "role"]),
        changed("message", "properties", "role", to=None),
        changed("message", "properties", "user_id", "maxLength", to=64),
        changed("message", "properties", "user_id", "pattern", to="^a"),
        changed("message", "properties", "user_id", "enum", to=["ana"]),
        changed("message", "properties", "role", "enum", to=["user"]),
        changed("message", "properties", "role", "type", to="integer"),
    ],
)
def test_an_entry_loses_nothing(new: dict[str, Any]) -> None:
    assert len(broken(OLD, new)) == 1
