"""A day's quotas: exact among any number who store at once, and a retry never counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from services.extractor.intake import Intake
from shared.delivery import Entry
from shared.failures.store import RetryPolicy
from shared.intake.admission import store_within
from shared.intake.messages import IncomingMessage, Limits, Message, accept
from shared.quotas import store
from shared.quotas.quotas import Quotas
from shared.settings import Settings
from shared.topology import MESSAGES
from tests.databases import TestedDatabase
from tests.integration.test_gateway_app import code, eventually, serve


def _message(name: str, tenant: str = "acme", content: str = "x") -> Message:
    said = IncomingMessage(user_id="ana", role="user", content=content, message_id=name)
    return accept(said, tenant)


async def _store(db: TestedDatabase, quotas: Quotas, messages: Sequence[Message]) -> list[str]:
    tenants = {message.tenant for message in messages}
    async with db.of(*tenants).transaction() as tx:
        return list((await store_within(tx, messages, 100, quotas)).outcomes)


async def _used(db: TestedDatabase) -> int:
    async with db.everyone.autocommit() as tx:
        return int(await tx.value("SELECT coalesce(sum(used), 0) FROM quota_days", {}))


@pytest.mark.parametrize("limit", [25, 1_003])
async def test_all_together_store_exactly_the_quota(db: TestedDatabase, limit: int) -> None:
    """Many processes, each in its own row of the counter, with duplicates among their messages."""
    processes = [Quotas(db, messages_per_day=limit) for _ in range(6)]
    step = limit // 10

    async def send(number: int, quotas: Quotas) -> list[str]:
        names = range(number * step, (number + 2) * step)  # half of them are the next one's too
        return await _store(db, quotas, [_message(f"m{name}") for name in names])

    answers = await asyncio.gather(*(send(n, processes[n % 6]) for n in range(16)))
    accepted = sum(outcomes.count("accepted") for outcomes in answers)
    async with db.everyone.autocommit() as tx:
        stored = await tx.value("SELECT count(*) FROM chat_logs", {})
    assert accepted == stored == await _used(db) == limit
    again = await _store(db, processes[0], [_message(f"m{n}") for n in range(17 * step)])
    assert again.count("duplicate") == limit
    assert again.count("over_quota") == 17 * step - limit
    assert await _used(db) == limit


async def test_who_waited_for_a_row_in_vain_keeps_it_from_nobody(db: TestedDatabase) -> None:
    """One waits for a row that is being filled, another holds those before it: both get on."""
    limit, key = 1_600, ("acme", "messages_per_day")

    async def take(at: int, number: int) -> int:
        async with db.of("acme").transaction() as tx:
            return sum((await store.take(tx, *key, number, limit, at)).values())

    async def waiting(number: int) -> bool:
        async with db.everyone.autocommit() as tx:
            asked = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            return bool(await tx.value(asked, {}) == number)

    assert await take(0, 100) == 100  # the first row has no more room
    async with db.of("acme").transaction() as tx:
        await store.take(tx, *key, 100, limit, 5)
        in_vain = asyncio.create_task(take(5, 1))
        await eventually(lambda: waiting(1))
        of_all = asyncio.create_task(take(0, 1))
        await eventually(lambda: waiting(2))
    async with asyncio.timeout(60):
        assert await asyncio.gather(in_vain, of_all) == [1, 1]
    assert await _used(db) == 202


async def test_only_what_is_new_counts_and_others_pay_nothing(db: TestedDatabase) -> None:
    quotas = Quotas(db, messages_per_day=2)
    assert await _store(db, quotas, [_message("1"), _message("1")]) == ["accepted", "duplicate"]
    assert await _store(db, quotas, [_message("1", content="y")]) == ["conflict"]
    assert await _used(db) == 1
    mixed = [_message("1"), _message("2"), _message("3"), _message("3", tenant="other")]
    outcomes = await _store(db, quotas, mixed)
    assert outcomes == ["duplicate", "accepted", "over_quota", "accepted"]
    free = Quotas(db)
    assert await _store(db, free, [_message("4")]) == ["accepted"]
    assert await _used(db) == 3


async def test_what_retention_removed_counts_no_more_when_it_comes_again(
    db: TestedDatabase,
) -> None:
    """An old export is answered as any retry is, when nothing is left of the quota."""
    quotas = Quotas(db, messages_per_day=2)
    old, new = _message("old"), _message("new")
    assert await _store(db, quotas, [old, new]) == ["accepted", "accepted"]
    async with db.everyone.transaction() as tx:
        await tx.execute(
            "WITH gone AS (DELETE FROM chat_logs WHERE id = %(id)s RETURNING *)"
            " INSERT INTO removed_messages (tenant_id, user_id, id, session_id)"
            " SELECT tenant_id, user_id, id, session_id FROM gone",
            {"id": old.id},
        )
    assert await _store(db, quotas, [old, new]) == ["duplicate", "duplicate"]
    assert await _store(db, quotas, [old, _message("more")]) == ["duplicate", "over_quota"]
    assert await _used(db) == 2


async def test_over_http_a_used_up_quota_is_429_until_the_next_day(database_url: str) -> None:
    async with serve(database_url, None, tenant_messages_per_day=3, tenant_facts_per_day=1) as api:
        for name in ("1", "2"):
            assert (await api.ingest(content="hi", message_id=name)).status_code == 202
        message = {"user_id": "ana", "role": "user", "content": "hi"}
        batch = await api.post("/v1/ingest/batch", {"messages": [message] * 2})
        assert batch.status_code == 429
        assert (await api.ingest(content="hi", message_id="3")).status_code == 202
        refused = await api.ingest(content="hi", message_id="4")
        assert (refused.status_code, code(refused)) == (429, "rate_limited")
        assert refused.json()["error"]["details"][0]["field"] == "messages_per_day"
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        retry = await api.ingest(content="hi", message_id="3")
        assert retry.json()["status"] == "duplicate"
        once = await api.post("/v1/ingest", message, headers={"Idempotency-Key": "k"})
        assert once.status_code == 429
        stated = {"content": "Lives in Lisbon", "message_id": "f1"}
        facts = [await api.post("/v1/users/ana/facts", stated) for _ in range(2)]
        assert [fact.json()["status"] for fact in facts] == ["accepted", "duplicate"]
        other = await api.post("/v1/users/ana/facts", {"content": "Likes tea"})
        assert other.json()["error"]["details"][0]["field"] == "facts_per_day"
        assert len(await api.sql("SELECT 1 FROM memory_facts")) == 1


@pytest.mark.parametrize("unreadable", ["own_limits", "take"])
async def test_what_cannot_be_counted_is_not_stored(database_url: str, unreadable: str) -> None:
    """A quota that nobody can read or count in stops what it limits, until it can be again."""

    async def away(*_: Any) -> None:
        raise psycopg.OperationalError("away")

    message = {"user_id": "ana", "role": "user", "content": "hi"}
    asked = (
        ("/v1/ingest", message),
        ("/v1/ingest/batch", {"messages": [message]}),
        ("/v1/users/ana/facts", {"content": "Lives in Lisbon"}),
    )
    async with serve(database_url, None, tenant_messages_per_day=9, tenant_facts_per_day=9) as api:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, unreadable, away)
            for path, body in asked:
                assert (await api.post(path, body)).status_code == 503, path
        assert not await api.sql("SELECT id FROM chat_logs UNION SELECT id FROM memory_facts")
        assert [(await api.post(path, body)).status_code for path, body in asked] == [202] * 3


async def test_over_redis_what_finds_no_room_is_a_dead_letter(db: TestedDatabase) -> None:
    intake = Intake(
        db,
        limits=Limits(),
        window=100,
        policy=RetryPolicy.of(Settings()),
        stage="extractor",
        quotas=Quotas(db, messages_per_day=3),
    )
    said = {b"user_id": b"ana", b"role": b"user", b"content": b"hi"}
    await intake.take([Entry(MESSAGES, f"1700000000000-{n}", said) for n in range(5)])
    async with db.everyone.autocommit() as tx:
        dead = await tx.rows("SELECT error, payload FROM failures WHERE dead_at IS NOT NULL", {})
        assert await tx.value("SELECT count(*) FROM chat_logs", {}) == 3
    assert len(dead) == 2
    assert "messages_per_day" in dead[0]["error"]
    assert dead[0]["payload"]["content"] == "hi"
