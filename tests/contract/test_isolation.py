"""Every table of tenants' rows is closed to who names no tenant, and the roles can be relied on."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from shared.roles import APP, GATE, OPERATOR, ROLES

UNTENANTED = {"embedding_spaces", "provider_pauses", "schedules", "schema_migrations"}
"""The tables that say nothing of any tenant. A new one needs a reason to be here."""

CLOSED = (
    "CASE WHEN (tenant_id = ANY (( SELECT memoire_tenants() AS memoire_tenants)::text[]))"
    " THEN true ELSE false END"
)

AT_THE_GATE = {
    "api_keys": {
        "SELECT": {
            *("id", "tenant_id", "name", "scope", "user_id", "secret_sha256"),
            *("expires_at", "revoked_at", "last_used_at"),
        },
        "UPDATE": {"last_used_at"},
    },
    "tenant_limits": {
        "SELECT": {
            *("tenant_id", "requests_per_minute", "key_requests_per_minute"),
            *("messages_per_day", "facts_per_day"),
        }
    },
    "budgets": {"SELECT": {"tenant_id", "tokens_per_day", "money_per_day"}},
    "budget_days": {"SELECT": {"tenant_id", "day", "refused_at"}},
    "failures": {"SELECT": {"stage", "dead_at", "dropped_at"}},
    "erasures": {"SELECT": {"tenant_id", "user_sha256", "scope", "requested_at"}},
}
"""What may be known before a tenant is: nobody's words, and nobody's users."""


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _tables(owner: psycopg.Connection) -> dict[str, bool]:
    """Every table, and whether its rows are tenants'."""
    rows = owner.execute(
        """SELECT t.table_name, EXISTS (SELECT FROM information_schema.columns c
                                         WHERE c.table_schema = t.table_schema
                                           AND c.table_name = t.table_name
                                           AND c.column_name = 'tenant_id')
             FROM information_schema.tables t
            WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'"""
    )
    return dict(rows.fetchall())


def test_a_table_is_a_tenants_or_is_known_to_be_nobodys(owner: psycopg.Connection) -> None:
    """A new table either has a `tenant_id` or says here why not."""
    assert {name for name, tenanted in _tables(owner).items() if not tenanted} == UNTENANTED


def test_every_table_of_tenants_rows_is_closed(owner: psycopg.Connection) -> None:
    """Row-level security, forced, by one policy for who names tenants and one for operators."""
    for name, tenanted in _tables(owner).items():
        security = owner.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass",
            (name,),
        ).fetchone()
        assert security == (tenanted, tenanted), name
        policies = owner.execute(
            "SELECT policyname, permissive, roles::text[], cmd, qual, with_check FROM pg_policies"
            " WHERE schemaname = 'public' AND tablename = %s",
            (name,),
        )
        found = {
            policy[0]: (*policy[1:4], policy[4] and " ".join(policy[4].split()), policy[5])
            for policy in policies
        }
        if not tenanted:
            assert found == {}, name
            continue
        assert found.pop("of_tenants") == ("PERMISSIVE", [APP], "ALL", CLOSED, None), name
        assert found.pop("of_operators") == ("PERMISSIVE", [OPERATOR], "ALL", "true", None), name
        for policy in found.values():
            assert policy[1] == [GATE], f"{name}: a policy for somebody else"
        assert bool(found) == (name in AT_THE_GATE), name


def test_the_roles_can_do_no_more_than_they_should(owner: psycopg.Connection) -> None:
    """None logs in, owns, bypasses, or becomes another; none may empty a table, past its policies."""
    for role in ROLES:
        flags = owner.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles"
            " WHERE rolname = %s",
            (role,),
        ).fetchone()
        assert flags == (False,) * 5, role
        owned = owner.execute(
            "SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", (role,)
        ).fetchone()
        assert owned == (0,), role
        for other in set(ROLES) - {role}:
            member = owner.execute("SELECT pg_has_role(%s, %s, 'MEMBER')", (role, other)).fetchone()
            assert member == (False,), f"{role} may become {other}"
        for name in _tables(owner):
            for privilege in ("TRUNCATE", "REFERENCES", "TRIGGER"):
                may = owner.execute(
                    "SELECT has_table_privilege(%s, %s, %s)", (role, name, privilege)
                ).fetchone()
                assert may == (False,), f"{role}: {privilege} on {name}"


def test_the_gate_opens_these_columns_and_no_others(owner: psycopg.Connection) -> None:
    """What a gateway knows before it knows who asks."""
    rows = owner.execute(
        "SELECT table_name, privilege_type, column_name FROM information_schema.column_privileges"
        " WHERE table_schema = 'public' AND grantee = %s AND table_name <> 'provider_pauses'",
        (GATE,),
    )
    found: dict[str, dict[str, set[str]]] = {}
    for table, privilege, column in rows:
        found.setdefault(table, {}).setdefault(privilege, set()).add(column)
    assert found == AT_THE_GATE


def test_nothing_in_the_schema_acts_as_its_owner(owner: psycopg.Connection) -> None:
    """No function is SECURITY DEFINER and there is no view: both would see past the policies."""
    definers = owner.execute(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    ).fetchall()
    views = owner.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('v', 'm')"
        " AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert (definers, views) == ([], [])


def test_a_table_made_later_is_closed_by_the_next_migration(owner: psycopg.Connection) -> None:
    """Until then the gap is told; a partition is a table like any other."""
    owner.execute(
        "CREATE TABLE notes (tenant_id text, words text) PARTITION BY HASH (tenant_id);"
        "CREATE TABLE notes_0 PARTITION OF notes FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
    )
    assert owner.execute("SELECT memoire_open_table()").fetchone() == ("notes",)
    assert owner.execute("SELECT memoire_isolate()").fetchone() == (None,)
    assert owner.execute("SELECT memoire_open_table()").fetchone() == (None,)
    owner.execute("INSERT INTO notes VALUES ('a', 'hers')")
    owner.execute(f"SET ROLE {APP}".encode())
    for name in (b"notes", b"notes_0"):
        assert owner.execute(b"SELECT * FROM " + name).fetchall() == []
