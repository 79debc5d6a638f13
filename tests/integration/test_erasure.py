"""Erasing a user: everything goes, what was under way comes to nothing, and nothing returns."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from redis.asyncio import Redis

from shared.erasure.tables import AT_ONCE, BY_BATCH, LAST, OWN
from shared.erasure.work import Eraser
from shared.errors import PoisonError
from shared.failures.store import RetryPolicy, RowRef, fail_rows
from tests.chaos.test_crash_points import POINTS
from tests.integration.test_gateway_app import Api, code, eventually, serve
from tests.integration.test_jobs import Died

CANARY = "Zanzibar-7719"
MARKS = {"recall_marks", "message_marks"}
"""Swept now and then: how many there are says nothing."""


@pytest.fixture
async def api(database_url: str, redis: Redis) -> AsyncIterator[Api]:
    async with serve(database_url, redis) as served:
        yield served


async def told(api: Api, user: str = "ana") -> None:
    """A user with something in many tables, a canary in each text."""
    for number in range(5):
        await api.ingest(
            user_id=user, content=f"{CANARY} {number}", message_id=f"m{number}", session_id="s"
        )
    fact = await api.fact(f"Lives in {CANARY}", user=user, slot="home_city", value=CANARY)
    await api.fact(f"Loves {CANARY}", user=user)
    await api.fact(f"Hates {CANARY}", user=user, until="extracted")
    await api.post(f"/v1/users/{user}/facts", {"content": f"Is {CANARY}", "message_id": "f1"})
    await api.client.delete(f"/v1/facts/{fact}", params={"reason": CANARY})
    await api.post(f"/v1/users/{user}/consolidate")
    await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, user_id, attempts, error_class, error,"
        " payload, dead_at) VALUES (gen_random_uuid(), 'extractor', 'x' || %(u)s, 'default', %(u)s, 1,"
        " 'poison', 'no', %(p)s::jsonb, now()) RETURNING 1",
        u=user,
        p=f'{{"content": "{CANARY}"}}',
    )


async def left_of(api: Api, user: str = "ana") -> dict[str, int]:
    """Rows that name a user, by table."""
    left = {}
    for table in (*AT_ONCE, *BY_BATCH, *LAST, *OWN):
        [found] = await api.sql(
            f"SELECT count(*) AS n FROM {table} WHERE user_id = %(u)s",
            u=user,
        )
        left[table] = found["n"]
    return {table: number for table, number in left.items() if number}


async def canaries(api: Api) -> list[str]:
    """Tables in which the canary stands anywhere."""
    tables = await api.sql(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
    )
    found = []
    for table in sorted(row["relname"] for row in tables):
        rows = await api.sql(
            f'SELECT 1 FROM "{table}" AS t WHERE t::text LIKE %(like)s LIMIT 1', like=f"%{CANARY}%"
        )
        found += [table] if rows else []
    return found


async def erased(api: Api, user: str = "ana") -> dict[str, Any]:
    answer = await api.client.delete(f"/v1/users/{user}")
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---- every table


def test_every_table_about_users_is_erased(database_url: str) -> None:
    """A table with a `user_id` that nobody named would keep what was erased."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE a.attname = 'user_id' AND NOT a.attisdropped AND c.relkind = 'r'"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for (name,) in rows} == {*AT_ONCE, *BY_BATCH, *LAST, *OWN}


def test_every_table_about_users_keeps_the_erased_out(database_url: str) -> None:
    """Each asks before a row is added; marks are only left by other rows, keys made by an admin."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger"
            " WHERE tgname LIKE 'keep_out_erased%'"
        ).fetchall()
    assert {name for (name,) in rows} == {*BY_BATCH, *LAST} - MARKS


# ---- a user


async def test_everything_about_a_user_goes(api: Api) -> None:
    await told(api)
    await told(api, "ben")
    before = await left_of(api)
    assert {"chat_logs", "memory_facts", "fact_vectors", "events", "failures", "jobs"} <= set(
        before
    )
    assert "belief_acts" in await canaries(api)
    certificate = await erased(api)
    assert await left_of(api) == {}
    assert certificate["status"] == "erased"
    assert certificate["scope"] == "user"
    assert certificate["erased"]["chat_logs"] == 5
    assert certificate["erased"]["memory_facts"] == before["memory_facts"]
    assert set(certificate["erased"]) >= set(before) - MARKS
    assert certificate["user_sha256"] == hashlib.sha256(b"default\x1fana").hexdigest()
    assert (await left_of(api, "ben")).keys() >= before.keys() - MARKS
    await erased(api, "ben")
    assert await canaries(api) == []
    for path in ("facts", "timeline", "conscious", "sessions/s/messages"):
        answer = await api.get(f"/v1/users/ana/{path}")
        assert CANARY not in answer.text
    recalled = await api.post("/v1/recall", {"user_id": "ana", "query": CANARY})
    assert recalled.json()["relevant_facts"] == []


async def test_a_certificate_can_be_read_again(api: Api) -> None:
    await told(api)
    certificate = await erased(api)
    path = f"/v1/users/ana/erasures/{certificate['erasure_id']}"
    assert (await api.get(path)).json() == certificate
    again = await erased(api)
    listed = (await api.get("/v1/users/ana/erasures", limit=1)).json()
    assert [one["erasure_id"] for one in listed["erasures"]] == [again["erasure_id"]]
    rest = (await api.get("/v1/users/ana/erasures", cursor=listed["next_cursor"])).json()
    assert rest == {"erasures": [certificate], "next_cursor": None}
    assert again["erased"] == {}
    assert (await api.get(path.replace("ana", "ben"))).status_code == 404
    assert CANARY not in str(certificate)
    for wrong in ("x", "00000000-0000-0000-0000-000000000000"):
        assert code(await api.get(f"/v1/users/ana/erasures/{wrong}")) == "not_found"


async def test_retries_of_old_messages_are_duplicates_and_new_ones_begin_anew(api: Api) -> None:
    await told(api)
    await erased(api)
    retry = await api.ingest(content=f"{CANARY} 1", message_id="m1", session_id="s")
    assert (retry.status_code, retry.json()["status"]) == (202, "duplicate")
    retry = await api.post("/v1/users/ana/facts", {"content": f"Is {CANARY}", "message_id": "f1"})
    assert (retry.status_code, retry.json()["status"]) == (202, "duplicate")
    assert await canaries(api) == []
    new = await api.ingest(content="I live in Oslo", message_id="n1", session_id="s")
    assert new.json()["status"] == "accepted"
    new = await api.post("/v1/users/ana/facts", {"content": "Likes tea", "message_id": "f2"})
    assert new.json()["status"] == "accepted"
    assert await api.fact("Lives in Oslo", slot="home_city", value="Oslo")
    shown = (await api.get("/v1/users/ana/facts")).json()["facts"]
    assert [fact["content"] for fact in shown] == ["Lives in Oslo"]
    assert set(await left_of(api)) >= {"chat_logs", "memory_facts", "users"}


async def test_while_rows_go_nothing_comes_in(api: Api) -> None:
    """Between the tombstone and the last row the answer is 503; nothing anybody adds stays."""
    await told(api)
    erasure = await api.gateway.eraser.begin("default", "ana", "test")
    for body in ({"content": "I live in Oslo"}, {"content": "Hi", "message_id": "x"}):
        answer = await api.ingest(**body)
        assert (answer.status_code, code(answer)) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    batch = {"messages": [{"user_id": u, "role": "user", "content": "Hi"} for u in ("ben", "ana")]}
    assert (await api.post("/v1/ingest/batch", batch)).status_code == 503
    keyed = {"user_id": "ana", "role": "user", "content": "Hi"}
    answer = await api.post("/v1/ingest", keyed, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 503
    stated = await api.post("/v1/users/ana/facts", {"content": "Likes tea"})
    assert (stated.status_code, code(stated)) == (503, "unavailable")
    retry = await api.ingest(content=f"{CANARY} 1", message_id="m1", session_id="s")
    assert retry.json()["status"] == "duplicate"
    assert (await api.get("/v1/users/ana/facts")).json()["facts"] == []
    await api.gateway.eraser.complete(erasure)
    assert await left_of(api) == {}
    assert (await api.ingest(content="I live in Oslo")).json()["status"] == "accepted"
    assert await api.sql("SELECT 1 FROM chat_logs WHERE user_id = 'ben'") == []


@pytest.mark.parametrize("table", sorted({*BY_BATCH} - {"chat_logs", "sessions"}))
async def test_what_a_stage_adds_too_late_is_not_there(
    api: Api, table: str, database_url: str
) -> None:
    """A copy of any row, inserted while it is erased and afterwards, adds nothing."""
    await told(api)
    [columns] = await api.sql(
        "SELECT string_agg(quote_ident(attname), ', ') AS names FROM pg_attribute"
        f" WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' AND attidentity = ''"
    )
    names = columns["names"]
    made = f"CREATE TABLE spare_rows AS SELECT {names} FROM {table} WHERE user_id = 'ana'"
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"{made}; GRANT SELECT ON spare_rows TO memoire_operator".encode())
    again = f"INSERT INTO {table} ({names}) SELECT {names} FROM spare_rows ON CONFLICT DO NOTHING"
    erasure = await api.gateway.eraser.begin("default", "ana", "test")
    await api.sql(f"DELETE FROM {table} WHERE user_id = 'ana'")
    await api.sql(again)
    assert await api.sql(f"SELECT 1 FROM {table} WHERE user_id = 'ana'") == []
    await api.gateway.eraser.complete(erasure)
    if table != "failures":
        await api.sql(again)
    assert table not in await left_of(api)


async def test_a_failure_of_an_old_row_is_not_the_new_users(api: Api) -> None:
    """Its text may quote what was worked on; one of a row that is there is recorded."""
    old = RowRef("default", "ana", UUID((await api.ingest(content="Hi")).json()["chat_log_id"]))
    await erased(api)
    new = RowRef("default", "ana", UUID((await api.ingest(content="Ho")).json()["chat_log_id"]))
    async with api.db.everyone.transaction() as tx:
        error = PoisonError(CANARY)
        await fail_rows(tx, "extractor", "chat_logs", [old, new], error, RetryPolicy())
    failures = await api.sql("SELECT subject_id FROM failures")
    assert [row["subject_id"] for row in failures] == [str(new.id)]


@pytest.mark.parametrize("point", POINTS["erasure"])
@pytest.mark.parametrize("nth", [1, 4])
async def test_an_eraser_that_dies_there_leaves_it_to_the_next(
    api: Api, redis: Redis, point: str, nth: int
) -> None:
    """Whoever resumes finds the tombstone, erases the rest and counts every row once."""
    await told(api)
    rows = await left_of(api)
    reached = 0

    def die(at: str) -> None:
        nonlocal reached
        reached += at == point
        if at == point and reached == nth:
            raise Died

    doomed = Eraser(api.db, redis, at_point=die, batch=2)
    try:
        await doomed.complete(await doomed.begin("default", "ana", "test"))
    except Died:
        pass
    else:
        assert nth > 1
    if point == "tombstone" and nth == 1:  # it was never said, so nothing has happened
        assert await left_of(api) == rows
        await Eraser(api.db, redis).begin("default", "ana", "test")
    await Eraser(api.db, redis, batch=2).resume(api.db.everyone)
    assert await left_of(api) == {}
    [row] = await api.sql("SELECT counts, finished_at FROM erasures")
    assert row["finished_at"] is not None
    counted = {table: number for table, number in row["counts"].items() if table not in MARKS}
    assert counted == {table: number for table, number in rows.items() if table not in MARKS}


async def test_without_redis_the_rows_go_and_the_rest_waits(
    database_url: str, redis: Redis
) -> None:
    async with serve(database_url, Redis(port=1), request_seconds=60) as api:
        await told(api)
        await redis.xadd("memoire:facts:settled", {"tenant": "default", "user_id": "ana"})
        answer = await api.client.delete("/v1/users/ana")
        assert answer.status_code == 202
        shown = answer.json()
        assert (shown["status"], shown["redis"]) == ("erasing", None)
        assert shown["rows_gone_at"] is not None
        assert await left_of(api) == {"erasures": 1}
        assert (await api.ingest(content="I am back")).json()["status"] == "accepted"
        assert await Eraser(api.db, redis).resume(api.db.everyone) == 1
        path = f"/v1/users/ana/erasures/{shown['erasure_id']}"
        assert (await api.get(path)).json()["redis"] == {"memoire:facts:settled": 1}
        assert set(await left_of(api)) == {"chat_logs", "message_marks", "users", "sessions"}


async def test_keys_of_the_user_open_nothing_any_more(api: Api) -> None:
    """Whoever holds one cannot begin the user anew; an app's own key, or a new one, can."""
    theirs = (await api.post("/v1/keys", {"name": "phone", "user_id": "ana"})).json()
    others = (await api.post("/v1/keys", {"name": "phone", "user_id": "ben"})).json()
    await told(api)
    keyed = {"X-API-Key": theirs["key"], "Idempotency-Key": "k"}
    body = {"user_id": "ana", "role": "user", "content": CANARY}
    assert (await api.post("/v1/ingest", body, headers=keyed)).status_code == 202
    assert "ana" in str(await api.sql("SELECT key FROM idempotency_keys"))
    certificate = await erased(api)
    assert certificate["erased"]["api_keys"] == 1
    assert certificate["erased"]["idempotency_keys"] == 1
    assert await api.sql("SELECT key FROM idempotency_keys") == []
    assert [row["id"] for row in await api.sql("SELECT id FROM api_keys")] == [UUID(others["id"])]
    body = {"user_id": "ana", "role": "user", "content": "I am back"}
    answer = await api.post("/v1/ingest", body, headers={"X-API-Key": theirs["key"]})
    assert answer.status_code == 401


# ---- elsewhere than in rows


async def test_memory_and_caches_forget_too(api: Api, redis: Redis) -> None:
    """The gateway's hot users, its remembered queries, and the cached answer in Redis."""
    await told(api)
    keeper = api.gateway.recall.hot.keeper
    for _ in range(3):
        await api.post("/v1/recall", {"user_id": "ana", "query": CANARY})
        await keeper.loaded()
    assert [whose.user for whose in keeper._kept] == ["ana"]
    await api.get("/v1/users/ana/conscious")
    assert await redis.keys("memoire:conscious:*")
    await erased(api)
    assert not keeper._kept
    assert not api.gateway.recall._vectors._known
    assert await redis.keys("memoire:conscious:*") == []


async def test_another_gateway_hears_of_it(
    api: Api, database_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.forgetting._LOOK_SECONDS", 0.05)
    await told(api)
    async with serve(database_url, redis) as other:
        keeper = other.gateway.recall.hot.keeper
        for _ in range(3):
            await other.post("/v1/recall", {"user_id": "ana", "query": CANARY})
            await keeper.loaded()
        assert keeper._kept
        await erased(api)

        async def forgotten() -> bool:
            return not keeper._kept

        assert await eventually(forgotten)


async def test_nobody_else_is_erased(api: Api) -> None:
    """A user of the same name in another tenant, and one whose name begins alike, stay whole."""
    await told(api)
    await told(api, "ana2")
    theirs = {"X-API-Key": await api.key("write", tenant="acme")}
    for content in ("I live in Rome", "I like tea"):
        body = {"user_id": "ana", "role": "user", "content": content}
        await api.client.post("/v1/ingest", json=body, headers=theirs)
    before = await left_of(api, "ana2")
    await erased(api)
    assert await left_of(api, "ana2") == before
    shown = await api.client.get("/v1/users/ana/sessions/default/messages", headers=theirs)
    assert len(shown.json()["messages"]) == 2
    listed = await api.client.get("/v1/users/ana/erasures", headers=theirs)
    assert listed.json() == {"erasures": [], "next_cursor": None}


# ---- a session, a message


async def test_a_session_is_erased_with_a_certificate(api: Api) -> None:
    """Its messages, what rests on them and its letters; a new message begins it anew."""
    await told(api)
    await api.sql(
        'UPDATE failures SET payload = payload || \'{"session_id": "s"}\''
        " WHERE payload IS NOT NULL RETURNING 1"
    )
    answer = await api.client.delete("/v1/users/ana/sessions/s")
    certificate = answer.json()
    assert (answer.status_code, certificate["scope"]) == (200, "session")
    assert certificate["status"] == "erased"
    assert certificate["erased"] == {"chat_logs": 5, "failures": 1}
    assert (await api.get("/v1/users/ana/sessions/s/messages")).json()["messages"] == []
    assert await api.sql("SELECT 1 FROM failures WHERE payload IS NOT NULL") == []
    retry = await api.ingest(content=f"{CANARY} 1", message_id="m1", session_id="s")
    assert retry.json()["status"] == "duplicate"
    new = await api.ingest(content="I like tea", message_id="n1", session_id="s")
    assert new.json()["status"] == "accepted"
    path = f"/v1/users/ana/erasures/{certificate['erasure_id']}"
    assert (await api.get(path)).json() == certificate
    [row] = await api.sql("SELECT user_id FROM erasures")
    assert row["user_id"] is None


async def test_a_session_nobody_has_heard_of_can_be_erased(api: Api) -> None:
    """What is on its way from Redis for it is then never taken in."""
    answer = await api.client.delete("/v1/users/ana/sessions/new")
    assert (answer.status_code, answer.json()["erased"]) == (200, {})


async def test_erasing_a_message_leaves_a_certificate(api: Api) -> None:
    first = (await api.ingest(content="Hi", session_id="s")).json()["chat_log_id"]
    await api.ingest(content="Ho", session_id="s")
    answer = await api.client.delete(f"/v1/users/ana/sessions/s/messages/{first}")
    assert answer.json() == {"messages": 1, "facts": 0}
    await api.client.delete("/v1/users/ana/sessions/s/messages")
    listed = (await api.get("/v1/users/ana/erasures")).json()["erasures"]
    assert [(one["scope"], one["erased"]) for one in listed] == [
        ("session", {"chat_logs": 1}),
        ("message", {"chat_logs": 1}),
    ]
