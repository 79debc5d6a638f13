"""Retention: what is past its window goes, in batches; what rests on it stays, and nothing returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.maintenance.retention.work import Retention
from shared.retention import store
from shared.retention.store import Windows
from shared.settings import Settings
from tests.integration.test_gateway_acts import at
from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_jobs import Died


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


def retention(api: Api, *, batch: int = 1_000, at_point: Any = None, **days: int) -> Retention:
    more = {} if at_point is None else {"at_point": at_point}
    return Retention(api.db.everyone, Settings(**days), batch=batch, **more)


async def said(api: Api, content: str, *, days_ago: int = 0, **more: Any) -> UUID:
    """Ingest a message that was extracted so many days ago; returns its id."""
    body = {"content": content, "session_id": "s", **more}
    answer = (await api.ingest(**body)).json()["chat_log_id"]
    await api.sql(
        """UPDATE chat_logs SET state = 'extracted', extracted_at = now(), announced_at = now(),
                  recorded_at = now() - %(days)s * interval '1 day' WHERE id = %(id)s RETURNING 1""",
        id=answer,
        days=days_ago,
    )
    return UUID(answer)


async def contents(api: Api) -> list[str]:
    found = (await api.get("/v1/users/ana/sessions/s/messages")).json()["messages"]
    return [message["content"] for message in found]


# ---- messages


async def test_old_messages_go_and_their_facts_stay(api: Api) -> None:
    """Before and after, through HTTP: the fact keeps its quote, and its source says what became of it."""
    message = await said(api, "I live in Rome", days_ago=40)
    await said(api, "I like tea", days_ago=2)
    fact = await api.fact(
        "Lives in Rome", slot="home_city", value="Rome", said_at=at(2024), sources=(message,)
    )
    before = (await api.get(f"/v1/facts/{fact}/source")).json()
    assert [one["content"] for one in before["messages"]] == ["I live in Rome"]
    assert before["removed"] == []
    assert await contents(api) == ["I live in Rome", "I like tea"]
    assert await retention(api, retain_message_days=30).turn() == {"messages": 1}
    assert await contents(api) == ["I like tea"]
    after = (await api.get(f"/v1/facts/{fact}/source")).json()
    assert after["messages"] == []
    assert [one["id"] for one in after["removed"]] == [str(message)]
    shown = (await api.get("/v1/users/ana/facts")).json()["facts"]
    assert [one["content"] for one in shown] == ["Lives in Rome"]
    assert shown[0]["source_message_ids"] == [str(message)]
    assert await retention(api, retain_message_days=30).turn() == {}


async def test_without_a_window_nothing_goes(api: Api) -> None:
    await said(api, "I live in Rome", days_ago=4_000)
    assert await retention(api).turn() == {}
    assert await contents(api) == ["I live in Rome"]


async def test_a_tenant_has_a_window_of_its_own(api: Api) -> None:
    """0 keeps for ever, whatever the settings say; a shorter one counts too."""
    await said(api, "I live in Rome", days_ago=40)
    async with api.db.everyone.transaction() as tx:
        await store.set_windows(tx, "default", Windows(message_days=0))
    assert await retention(api, retain_message_days=30).turn() == {}
    async with api.db.everyone.transaction() as tx:
        await store.set_windows(tx, "default", Windows(message_days=20))
    assert await retention(api).turn() == {"messages": 1}


async def test_what_still_needs_work_never_goes(api: Api) -> None:
    await api.ingest(content="I live in Rome", session_id="s")
    await api.sql("UPDATE chat_logs SET recorded_at = '2000-01-01' RETURNING 1")
    assert await retention(api, retain_message_days=1).turn() == {}


async def test_a_removed_message_does_not_come_again(api: Api) -> None:
    """Sent again, with the same words or others, it is a duplicate: no words of it are left to compare."""
    message = await said(api, "I live in Rome", days_ago=40, message_id="m1")
    await retention(api, retain_message_days=30).turn()
    for content in ("I live in Rome", "I live in Oslo"):
        answer = await api.ingest(content=content, session_id="s", message_id="m1")
        assert (answer.status_code, answer.json()["status"]) == (202, "duplicate")
        assert answer.json()["chat_log_id"] == str(message)
    assert await api.sql("SELECT id FROM chat_logs") == []


async def test_forgetting_a_session_finds_facts_of_removed_messages(api: Api) -> None:
    message = await said(api, "I live in Rome", days_ago=40)
    fact = await api.fact(
        "Lives in Rome", slot="home_city", value="Rome", said_at=at(2024), sources=(message,)
    )
    await retention(api, retain_message_days=30).turn()
    answer = await api.client.delete("/v1/users/ana/sessions/s/messages")
    assert answer.json() == {"messages": 1, "facts": 1}
    assert (await api.get(f"/v1/facts/{fact}")).json()["status"] == "forgotten"


async def test_answers_go_with_the_last_of_their_messages(api: Api) -> None:
    """Whose model read a message stays known; what it answered about it does not stay."""
    message = await said(api, "I live in Rome", days_ago=40)
    await api.sql(
        """WITH made AS (
               INSERT INTO extractions (tenant_id, user_id, id, session_id, state, lease_until, worker,
                                        extractor, model, answer)
               VALUES ('default', 'ana', %(id)s, 's', 'done', now(), 'w', 'llm', 'm', '{"facts": []}'))
           UPDATE chat_logs SET extraction_id = %(id)s WHERE id = %(message)s RETURNING 1""",
        id=UUID(int=7),
        message=message,
    )
    await retention(api, retain_message_days=30).turn()
    assert await api.sql("SELECT model, answer FROM extractions") == [
        {"model": "m", "answer": None}
    ]


async def test_messages_of_an_open_replay_stay(api: Api) -> None:
    """It has read them, or is about to; when it is promoted or dropped they go."""
    await said(api, "I live in Rome", days_ago=40)
    await api.sql(
        "INSERT INTO replays (tenant_id, user_id, generation, state)"
        " VALUES ('default', 'ana', 2, 'ready') RETURNING 1"
    )
    assert await retention(api, retain_message_days=30).turn() == {}
    await api.sql("UPDATE replays SET state = 'dropped' RETURNING 1")
    assert await retention(api, retain_message_days=30).turn() == {"messages": 1}


@pytest.mark.parametrize("point", ["removed", "kept"])
async def test_killed_between_batches_it_goes_on(api: Api, point: str) -> None:
    """A batch is removed and remembered, or neither."""
    for number in range(7):
        await said(api, f"I like tea {number}", days_ago=40)
    reached = 0

    def die(here: str) -> None:
        nonlocal reached
        reached += here == point
        if reached == 2:
            raise Died

    with pytest.raises(Died):
        await retention(api, retain_message_days=30, batch=2, at_point=die).turn()
    [left] = await api.sql(
        "SELECT (SELECT count(*) FROM chat_logs) AS here,"
        "       (SELECT count(*) FROM removed_messages) AS noted"
    )
    assert left["here"] + left["noted"] == 7
    assert left["here"] == (5 if point == "removed" else 3)
    await retention(api, retain_message_days=30, batch=2).turn()
    assert await api.sql("SELECT count(*) AS n FROM chat_logs") == [{"n": 0}]


async def test_only_one_removes_at_a_time(api: Api) -> None:
    await said(api, "I live in Rome", days_ago=40)
    async with api.db.everyone.transaction() as tx:
        await tx.execute("SELECT pg_try_advisory_xact_lock(1835364215, 4)")
        assert await retention(api, retain_message_days=30).turn() == {}
    assert await retention(api, retain_message_days=30).turn() == {"messages": 1}


# ---- superseded facts


async def age(api: Api, *facts: Any, days: int = 400) -> None:
    await api.sql(
        "UPDATE memory_facts SET recorded_at = now() - %(days)s * interval '1 day'"
        " WHERE id = ANY(%(ids)s) RETURNING 1",
        ids=list(facts),
        days=days,
    )


async def test_superseded_facts_go_and_beliefs_stay(api: Api) -> None:
    """Before and after, through HTTP: the past is forgotten as asked, the present is as it was."""
    home = {"slot": "home_city"}
    rome = await api.fact("Lives in Rome", value="Rome", said_at=at(2020), **home)
    oslo = await api.fact("Lives in Oslo", value="Oslo", said_at=at(2022), **home)
    await age(api, rome, oslo)
    assert await retention(api, retain_superseded_days=365).turn() == {"facts": 1}
    assert (await api.get(f"/v1/facts/{rome}")).status_code == 404
    shown = (await api.client.get("/v1/users/ana/facts", params={"view": "all"})).json()["facts"]
    assert [one["content"] for one in shown] == ["Lives in Oslo"]
    assert shown[0]["valid_from"] is not None
    [event] = await api.sql("SELECT event, data FROM events WHERE event = 'fact.removed'")
    assert event["data"] == {"by": "retention"}


async def test_superseded_yesterday_is_not_superseded_long_ago(api: Api) -> None:
    home = {"slot": "home_city"}
    rome = await api.fact("Lives in Rome", value="Rome", said_at=at(2020), **home)
    await api.fact("Lives in Oslo", value="Oslo", said_at=at(2022), **home)
    await age(api, rome)
    await retention(api, retain_superseded_days=365).turn()
    assert (await api.get(f"/v1/facts/{rome}")).status_code == 200


# ---- what else grows


async def test_a_reader_of_events_that_are_gone_is_told(api: Api) -> None:
    """One that was away too long hears so, and can begin anew; one that was not goes on."""
    first = await api.fact("Likes tea", said_at=at(2024))
    await api.sql(
        "INSERT INTO events (tenant_id, user_id, event, fact_id, at) VALUES"
        " ('default', 'ana', 'fact.settled', %(f)s, now() - interval '100 days') RETURNING 1",
        f=first,
    )
    [gone] = await api.sql("SELECT xid::text AS xid, seq FROM events ORDER BY seq DESC LIMIT 1")
    await api.sql("DELETE FROM events WHERE seq < %(seq)s RETURNING 1", seq=gone["seq"])
    assert await retention(api, event_days=30).turn() == {"events": 1}
    old = await _events(api, f"{int(gone['xid']) - 1}-0")
    assert old.status_code == 422
    [why] = old.json()["error"]["details"]
    assert why["field"] == "after"
    assert "removed" in why["reason"]
    for after in ("0", f"{gone['xid']}-{gone['seq']}"):
        assert (await _events(api, after)).status_code == 200


async def _events(api: Api, after: str) -> Any:
    return await api.client.get("/v1/events", params={"after": after, "follow": False})


async def test_old_keys_and_failures_go(api: Api) -> None:
    """An Idempotency-Key is remembered for a month; dead letters stay until they are dropped."""
    await api.sql(
        "INSERT INTO idempotency_keys (tenant_id, key, body_sha256, ids, created_at) VALUES"
        " ('default', 'old', '', '{}', now() - interval '31 days'),"
        " ('default', 'new', '', '{}', now()) RETURNING 1"
    )
    await api.sql(
        """INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,
                                 next_attempt_at, dead_at, dropped_at)
           SELECT gen_random_uuid(), 'embedder', name, 'default', 1, 'x', 'x', due, dead, dropped
             FROM (VALUES ('dead', NULL, now() - interval '90 days', NULL::timestamptz),
                          ('dropped', NULL, now() - interval '90 days', now() - interval '60 days'),
                          ('went on', now() - interval '60 days', NULL::timestamptz, NULL),
                          ('due', now() + interval '1 minute', NULL, NULL))
                  AS t(name, due, dead, dropped) RETURNING 1"""
    )
    assert await retention(api).turn() == {"keys": 1, "failures": 2}
    assert await api.sql("SELECT key FROM idempotency_keys") == [{"key": "new"}]
    left = await api.sql("SELECT subject_id FROM failures ORDER BY subject_id")
    assert [row["subject_id"] for row in left] == ["dead", "due"]


def test_windows_stand_beside_the_settings() -> None:
    default = Windows(30, 0)
    assert Windows().beside(default) == default
    assert Windows(0, 7).beside(default) == Windows(0, 7)
    assert datetime.now(UTC)


async def test_what_one_tenant_has_to_remove_holds_up_no_other(api: Api) -> None:
    """Batches take turns: a process that dies after two has been at both tenants'."""
    for number in range(8):
        await said(api, f"I like tea {number}", days_ago=40)
    await api.sql("INSERT INTO tenants VALUES ('other') RETURNING 1")
    await api.sql(
        "UPDATE chat_logs SET tenant_id = 'other' WHERE content < 'I like tea 4' RETURNING 1"
    )
    batches = 0

    def die(here: str) -> None:
        nonlocal batches
        batches += here == "kept"
        if batches == 2:
            raise Died

    with pytest.raises(Died):
        await retention(api, retain_message_days=30, batch=1, at_point=die).turn()
    left = await api.sql("SELECT tenant_id, count(*) AS n FROM chat_logs GROUP BY 1 ORDER BY 1")
    assert {row["tenant_id"] for row in left if row["n"] < 4} >= {"default", "other"}
