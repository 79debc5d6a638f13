"""Tenants are kept apart by the database: walked over every table, and every route there is.

Tables come from the schema and routes from the OpenAPI document. A new table is walked by itself; a
new route too, and where it answers a stranger anything but 404 it fails here until it is said what.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import Any

import psycopg
import pytest
from fastapi.routing import APIRoute
from psycopg import errors, sql

from shared.db import Transaction
from shared.roles import GATE
from shared.sql import Queries
from tests.databases import TestedDatabase
from tests.integration import test_gateway_app
from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_user_keys import NOBODY, about, nobodys, operations

SECRET = "coriander"
ANA, CHAT = "ana-of-acme", "chat-of-acme"

ANSWERS_A_STRANGER: dict[tuple[str, str], int] = {
    # what is the stranger's own: stored for its tenant, under the same names
    ("POST", "/v1/ingest"): 202,
    ("POST", "/v1/ingest/batch"): 202,
    ("POST", "/v1/users/{user_id}/facts"): 202,
    ("POST", "/v1/users/{user_id}/optimize"): 202,
    ("POST", "/v1/users/{user_id}/decay"): 202,
    ("POST", "/v1/users/{user_id}/consolidate"): 202,
    ("POST", "/v1/users/{user_id}/forget"): 200,
    ("DELETE", "/v1/users/{user_id}"): 200,
    ("DELETE", "/v1/users/{user_id}/sessions/{session_id}"): 200,
    ("POST", "/v1/users/{user_id}/import"): 202,
    ("PUT", "/v1/slots/{name}"): 200,
    ("DELETE", "/v1/slots/{name}"): 204,
    ("POST", "/v1/keys"): 201,
    # lists, which are empty
    ("POST", "/v1/recall"): 200,
    ("POST", "/v1/context"): 200,
    ("GET", "/v1/users"): 200,
    ("GET", "/v1/users/{user_id}/facts"): 200,
    ("GET", "/v1/users/{user_id}/timeline"): 200,
    ("GET", "/v1/users/{user_id}/sessions/{session_id}/messages"): 200,
    ("GET", "/v1/users/{user_id}/conscious"): 200,
    ("GET", "/v1/slots"): 200,
    ("GET", "/v1/quarantine"): 200,
    ("GET", "/v1/keys"): 200,
    ("GET", "/v1/dead-letters"): 200,
    ("GET", "/v1/dead-letters/summary"): 200,
    ("GET", "/v1/dead-letters/dropped"): 200,
    ("GET", "/v1/events"): 200,
    ("GET", "/v1/usage"): 200,
    ("POST", "/v1/dead-letters/redrive"): 202,
    ("GET", "/v1/users/{user_id}/erasures"): 200,
    ("POST", "/v1/dead-letters/drop"): 202,
}
"""Every other route answers 404 to whoever has another tenant's ids."""

BY_THE_CLOCK = (
    ("services.gateway", "key_by_id"),
    ("shared.quotas", "own_limits"),
    ("shared.tenant_slots", "slots_of_tenants"),
    *(("shared.spaces", name) for name in Queries("shared.spaces")),
)
"""What is read again when some seconds are over, whatever is asked."""

FOR_EVERYBODY = {
    *("/v1/health", "/v1/health/live", "/v1/health/ready", "/health", "/health/live"),
    *("/health/ready", "/docs", "/openapi.json"),
}

VARYING = (
    (re.compile(r"mem_[0-9a-f]{32}_[\w-]+"), "<key>"),
    (re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b\d+-\d+\b"), "<position>"),
    (re.compile(r"\d+\.\d+"), "<seconds>"),
)
"""What differs between any two answers."""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """Without users kept in memory, who would be read whenever there is time."""
    async with serve(database_url, None, recall_memory_mb=0) as served:
        yield served


# ---- every route


async def _acmes(api: Api) -> dict[str, str]:
    """A tenant's memory, by the names of the routes' parameters."""
    headers = {"X-API-Key": await api.key("admin", "acme")}
    said = await api.post(
        "/v1/ingest",
        {"user_id": ANA, "role": "user", "content": f"I hate {SECRET}", "session_id": CHAT},
        headers=headers,
    )
    fact = await api.fact(f"Hates {SECRET}", user=ANA, tenant="acme", slot="allergy", value=SECRET)
    await api.fact(f"Parks at {SECRET}", user=ANA, tenant="acme", slot="own_spot", value=SECRET)
    slot = {"category": "biographical", "cardinality": "one"}
    await api.client.put("/v1/slots/own_spot", json=slot, headers=headers)
    key = (await api.post("/v1/keys", {"name": SECRET}, headers=headers)).json()
    [letter] = await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,"
        " payload, dead_at) VALUES (gen_random_uuid(), 'extractor', '1', 'acme', 5, 'poison',"
        f' \'bad\', \'{{"user_id": "{ANA}", "content": "{SECRET}"}}\', now()) RETURNING id'
    )
    await api.post(f"/v1/users/{ANA}/optimize", headers=headers)
    gone = {"user_id": ANA, "role": "user", "content": SECRET, "session_id": "gone"}
    await api.post("/v1/ingest", gone, headers=headers)
    erased = await api.client.delete(f"/v1/users/{ANA}/sessions/gone", headers=headers)
    learnt = {"source": "tool"}
    forgot = await api.post(f"/v1/users/{ANA}/forget", learnt, headers=headers)
    return {
        "act_id": forgot.json()["act_id"],
        "user_id": ANA,
        "session_id": CHAT,
        "chat_log_id": said.json()["chat_log_id"],
        "trace": said.json()["trace_id"],
        "fact_id": str(fact),
        "key_id": key["id"],
        "letter_id": str(letter["id"]),
        "erasure_id": erased.json()["erasure_id"],
        "name": "own_spot",
    }


class Walk:
    """Asks as other tenants' admins, and sees which statements that takes."""

    def __init__(self, api: Api, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._api = api
        self._names = sorted(names, key=len, reverse=True)
        self._statements: list[str] = []
        rows, execute = Transaction.rows, Transaction.execute

        by_the_clock = {Queries(package)[name] for package, name in BY_THE_CLOCK}

        def note(statement: str) -> None:
            if statement not in by_the_clock:
                self._statements.append(statement)

        async def seen_rows(tx: Transaction, statement: str, *args: Any, **more: Any) -> Any:
            note(statement)
            return await rows(tx, statement, *args, **more)

        async def seen_execute(tx: Transaction, statement: str, *args: Any) -> int:
            note(statement)
            return await execute(tx, statement, *args)

        monkeypatch.setattr(Transaction, "rows", seen_rows)
        monkeypatch.setattr(Transaction, "execute", seen_execute)

    async def ask(
        self, key: str, method: str, route: APIRoute, body: Any, ids: Mapping[str, str]
    ) -> tuple[int, str, list[str]]:
        """Status, body without what always varies, and the statements it took, in one order."""
        self._statements.clear()
        answer = await self._api.client.request(
            method,
            route.path_format.format(**ids),
            params=_query(route, ids),
            json=about(body, ids["user_id"]),
            headers={"X-API-Key": key},
        )
        text = answer.text
        for known in self._names:
            text = text.replace(known, "<named>")
        for pattern, instead in VARYING:
            text = pattern.sub(instead, text)
        return answer.status_code, text, sorted(self._statements)


def _query(route: APIRoute, ids: Mapping[str, str]) -> dict[str, str]:
    names = {param.alias for param in route.dependant.query_params} | {
        name
        for param in route.dependant.query_params
        for name in getattr(param.field_info.annotation, "model_fields", {})
    }
    query = {"follow": "false", "after": "0", "user_id": ids["user_id"], "timeout": "0"}
    return {name: value for name, value in query.items() if name in names}


async def _rows_of(api: Api, tenant: str) -> str:
    """Everything that a tenant has, in every table."""
    found = {}
    for table in await _tables(api):
        found[table] = await api.sql(
            f"SELECT to_jsonb(t) - 'last_used_at' AS row FROM {table} t"
            " WHERE tenant_id = %(tenant)s ORDER BY to_jsonb(t)::text",
            tenant=tenant,
        )
    return json.dumps(found, default=str)


async def _tables(api: Api) -> list[str]:
    rows = await api.sql(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY table_name"
    )
    return [row["table_name"] for row in rows]


async def _walk(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stranger asks with the tenant's ids, another, of the same history, with nobody's."""
    acmes, nobody = await _acmes(api), nobodys()
    names = {*acmes.values(), *nobody.values()}
    strangers = [await api.key("admin", tenant) for tenant in ("globex", "initech")]
    walk = Walk(api, names, monkeypatch)
    before = await _rows_of(api, "acme")
    asked, unknown = set(), {}
    for method, route, body in operations(api):
        if route.path in FOR_EVERYBODY:
            continue
        where = (method, route.path)
        asked.add(where)
        theirs = await walk.ask(strangers[0], method, route, body, acmes)
        nobodys_ = await walk.ask(strangers[1], method, route, body, nobody)
        assert theirs == nobodys_, where
        if theirs[0] != ANSWERS_A_STRANGER.get(where, 404):
            unknown[where] = theirs[:2]
        assert SECRET not in theirs[1], where
    assert unknown == {}, "say in ANSWERS_A_STRANGER what these may answer"
    assert asked >= ANSWERS_A_STRANGER.keys(), "a route that is gone"
    assert await _rows_of(api, "acme") == before, "a stranger changed what is not its own"


async def test_on_every_route_another_tenant_is_not_there(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ids and ids that nobody has: the same answer by the same statements, none of its rows."""
    await _walk(api, monkeypatch)


_WHERE = re.compile(r"(\b\w+\.)?\btenant_id = %\(tenant\)s")


def _forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = Queries.__getitem__
    monkeypatch.setattr(
        Queries, "__getitem__", lambda self, name: _WHERE.sub("true", remembered(self, name))
    )


async def test_a_forgotten_where_finds_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same walk, with no statement asking whose rows it reads or writes."""
    _forgetting(monkeypatch)
    await _walk(api, monkeypatch)


async def test_without_the_policies_it_would_find_everything(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk above can fail: a server that goes by the statements alone shows what they forget."""
    past = partial(TestedDatabase, role=None)
    monkeypatch.setattr(test_gateway_app, "TestedDatabase", past)
    _forgetting(monkeypatch)
    async with serve(database_url, None) as api:
        acmes = await _acmes(api)
        headers = {"X-API-Key": await api.key("admin", "globex")}
        found = await api.client.get(f"/v1/facts/{acmes['fact_id']}", headers=headers)
        assert SECRET in found.text


# ---- every table


@pytest.fixture
def tables(database_url: str) -> Iterator[list[str]]:
    """Every table of tenants' rows, each with a row of the tenants `a` and `b`."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        rows = owner.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f')"
        )
        for table, constraint in rows.fetchall():  # the rows need make no sense
            owner.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"'.encode())
        found = owner.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY table_name"
        )
        names = [str(name) for (name,) in found.fetchall()]
        for name in names:
            for tenant in ("a", "b"):
                owner.execute(*_insert(owner, name, tenant))
        owner.execute("DELETE FROM recall_marks WHERE user_id <> 'x'")  # the triggers' own
        owner.execute("DELETE FROM message_marks WHERE xid <> '1'")
        owner.execute("DELETE FROM tenants WHERE tenant_id = 'default'")  # the migrations' own
        yield names


VALUES = {
    "boolean": False,
    "bytea": b"",
    "date": "2026-01-01",
    "halfvec": "[1]",
    "jsonb": "{}",
    "timestamp with time zone": "2026-01-01T00:00:00Z",
    "ARRAY": "{}",
    "USER-DEFINED": "[1]",
    "uuid": NOBODY,
    "xid8": "1",
    "text": "x",
}


def _insert(
    owner: psycopg.Connection, table: str, tenant: str
) -> tuple[sql.Composed, dict[str, Any]]:
    """A row of this tenant with whatever the table needs; ids differ by tenant."""
    needed = owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'"
        "   AND is_identity = 'NO' AND is_nullable = 'NO'",
        (table,),
    ).fetchall()
    row = {name: VALUES.get(kind, "1") for name, kind in needed} | {"tenant_id": tenant}
    if row.get("id") == NOBODY:
        row["id"] = NOBODY[:-1] + tenant
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    return statement, row


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[TestedDatabase]:
    database = TestedDatabase(database_url, max_connections=2)
    await database.open()
    yield database
    await database.close()


async def _seen(tx: Transaction, table: str) -> list[str]:
    rows = await tx.rows(f"SELECT tenant_id FROM {table} ORDER BY tenant_id")
    return [row["tenant_id"] for row in rows]


async def test_who_names_no_tenant_has_no_rows_in_any_table(
    tables: list[str], db: TestedDatabase
) -> None:
    """Nothing to read, nothing to change; not even behind somebody who named one."""
    for table in tables:
        async with db.of("a").autocommit() as tx:
            assert await _seen(tx, table) == ["a"], table
        async with db.of().autocommit() as tx:
            assert await _seen(tx, table) == [], table
            assert await tx.execute(f"UPDATE {table} SET tenant_id = tenant_id") == 0, table
            assert await tx.execute(f"DELETE FROM {table}") == 0, table
        async with db.of("a").transaction() as tx:
            assert await _seen(tx, table) == ["a"], table
        async with db.of().transaction() as tx:
            assert await _seen(tx, table) == [], table
            assert await tx.execute(f"DELETE FROM {table}") == 0, table


async def test_who_names_a_tenant_has_its_rows_alone(
    tables: list[str], db: TestedDatabase, database_url: str
) -> None:
    """What belongs to another is neither seen nor changed, and no row becomes another's."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for table in tables:
            async with db.of("b").snapshot() as tx:
                assert await _seen(tx, table) == ["b"], table
            async with db.of("a", "b").transaction() as tx:
                assert await _seen(tx, table) == ["a", "b"], table
            statement, row = _insert(owner, table, "a")
            given = f"UPDATE {table} SET tenant_id = 'a'", {}
            for refused, params in ((statement.as_string(), row), given):
                with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                    async with db.of("b").transaction() as tx:
                        await tx.execute(refused, params)
            async with db.of("b").transaction() as tx:
                assert await tx.execute(f"DELETE FROM {table} WHERE tenant_id = 'a'") == 0, table
            async with db.everyone.autocommit() as tx:
                assert await _seen(tx, table) == ["a", "b"], table


async def test_nobody_empties_a_table(tables: list[str], db: TestedDatabase) -> None:
    """TRUNCATE asks no policy, so no role may."""
    for table in tables:
        for reach in (db.of("a"), db.everyone):
            with pytest.raises(errors.InsufficientPrivilege):
                async with reach.transaction() as tx:
                    await tx.execute(f"TRUNCATE {table}")


async def test_at_the_gate_nobodys_memory_is_there(tables: list[str], db: TestedDatabase) -> None:
    """Of each table all is refused, or some columns are open; none that a user's words are in."""
    for table in tables:
        with pytest.raises(errors.InsufficientPrivilege):
            async with db.gate() as tx:
                await tx.rows(f"SELECT * FROM {table}" if table != "failures" else _LETTERS)
        with pytest.raises(errors.InsufficientPrivilege):
            async with db.gate() as tx:
                await tx.execute(f"DELETE FROM {table}")


_LETTERS = "SELECT payload, error, subject_id FROM failures"


async def test_a_transaction_at_the_gate_comes_back_to_its_tenants(db: TestedDatabase) -> None:
    """Limits of all tenants are read on the way, under another role; then its own rows again."""
    async with db.everyone.transaction() as tx:
        for tenant in ("a", "b"):
            await tx.execute(
                "INSERT INTO tenant_limits (tenant_id, messages_per_day) VALUES (%(t)s, 1)",
                {"t": tenant},
            )
    async with db.of("a").transaction() as tx:
        async with tx.at_gate():
            assert await tx.value("SELECT current_user") == GATE
            assert await tx.value("SELECT count(tenant_id) FROM tenant_limits") == 2
            with pytest.raises(errors.InsufficientPrivilege):
                async with tx.connection.transaction():
                    await tx.rows("SELECT * FROM users")
        assert await _seen(tx, "tenant_limits") == ["a"]
    async with db.of("a").autocommit() as tx:
        with pytest.raises(RuntimeError, match="no way back"):
            async with tx.at_gate():
                pass


NAMES = [
    'a"b',
    "a,b",
    "{a}",
    "a\\b",
    "a'b",
    " ",
    "NULL",
    "ü\u2028",
    "a'; RESET ROLE; --",
    "x" * 128,
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_tenant_may_be_called_anything(db: TestedDatabase, name: str) -> None:
    """No name reaches another's rows or breaks the statement that names it."""
    async with db.of(name).transaction() as tx:
        await tx.execute("INSERT INTO tenants (tenant_id) VALUES (%(n)s)", {"n": name})
        assert await tx.value("SELECT current_user") == "memoire_app"
    for other in NAMES:
        async with db.of(other).autocommit() as tx:
            assert await _seen(tx, "tenants") == ([name] if other == name else [])
