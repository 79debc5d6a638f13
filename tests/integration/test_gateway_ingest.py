"""Ingest: stored once, answered at once, announced when Redis can hear it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services.gateway.bells import BellRinger
from shared.embedded.valkey import EmbeddedValkey
from shared.events import SessionBell, decode_session_bell
from shared.topology import MESSAGES
from tests.integration.test_gateway_app import Api, code, eventually, serve, short_redis

AT_ONCE_SECONDS = 5.0
HUNG_SECONDS = 2 * AT_ONCE_SECONDS
"""What a request would take that waits for a Redis which hangs."""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def test_a_message_is_accepted_stored_and_announced(
    database_url: str, redis_url: str
) -> None:
    async with short_redis(redis_url) as redis, serve(database_url, redis) as api:
        answer = await api.ingest(content="I moved to Lisbon", session_id="s1")
        assert answer.status_code == 202
        body = answer.json()
        assert set(body) == {"status", "chat_log_id", "trace_id"}
        assert body["status"] == "accepted"
        assert body["trace_id"] == body["chat_log_id"].replace("-", "")
        [[_, fields]] = await eventually(lambda: redis.xrange(MESSAGES))
        bell = decode_session_bell({k.decode(): v.decode() for k, v in fields.items()})
        assert (bell.tenant, bell.user, bell.session) == ("default", "ana", "s1")
    [row] = await _rows(database_url)
    assert (row["state"], row["announced_at"]) == ("received", bell.at)


async def _rows(database_url: str) -> list[dict[str, Any]]:
    async with serve(database_url, None) as api:
        return await api.sql("SELECT state, announced_at FROM chat_logs")


async def test_a_retry_with_the_same_message_id_is_a_duplicate(api: Api) -> None:
    first = (await api.ingest(content="hi", message_id="m1")).json()
    again = (await api.ingest(content="hi", message_id="m1")).json()
    assert again == {**first, "status": "duplicate"}
    other = await api.ingest(content="bye", message_id="m1")
    assert (other.status_code, code(other)) == (409, "conflict")
    [message] = await api.sql("SELECT content FROM chat_logs")
    assert message["content"] == "hi"


async def test_another_users_message_id_is_another_message(api: Api) -> None:
    await api.ingest(content="hi", message_id="m1")
    other = await api.ingest(content="bye", message_id="m1", user_id="bob")
    assert other.json()["status"] == "accepted"


async def test_a_batch_answers_in_order(api: Api) -> None:
    messages = [
        {"user_id": "ana", "role": "user", "content": text, "message_id": name}
        for text, name in [("one", "1"), ("two", "2"), ("one", "1")]
    ]
    answer = await api.post("/v1/ingest/batch", {"messages": messages})
    assert answer.status_code == 202
    said = answer.json()["messages"]
    assert [m["status"] for m in said] == ["accepted", "accepted", "duplicate"]
    assert said[0]["chat_log_id"] == said[2]["chat_log_id"] != said[1]["chat_log_id"]


async def test_a_conflict_in_a_batch_stores_nothing_of_it(api: Api) -> None:
    await api.ingest(content="one", message_id="1")
    messages = [
        {"user_id": "ana", "role": "user", "content": "new", "message_id": "2"},
        {"user_id": "ana", "role": "user", "content": "other", "message_id": "1"},
    ]
    answer = await api.post("/v1/ingest/batch", {"messages": messages})
    assert (answer.status_code, code(answer)) == (409, "conflict")
    assert answer.json()["error"]["details"][0]["index"] == 1
    assert len(await api.sql("SELECT 1 FROM chat_logs")) == 1


async def test_a_batch_is_limited(api: Api) -> None:
    message = {"user_id": "ana", "role": "user", "content": "x"}
    for count, status in ((0, 422), (500, 202), (501, 422)):
        answer = await api.post("/v1/ingest/batch", {"messages": [message] * count})
        assert answer.status_code == status, count


async def test_an_idempotency_key_makes_a_retry_safe(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = {"user_id": "ana", "role": "user", "content": "hi"}
    first = (await api.post("/v1/ingest", body, headers=headers)).json()
    spelt = {"content": "hi", "role": "user", "session_id": "default", "user_id": "ana"}
    again = await api.post("/v1/ingest", spelt, headers=headers)
    assert again.json() == {**first, "status": "duplicate"}
    other = await api.post("/v1/ingest", {**body, "content": "bye"}, headers=headers)
    assert (other.status_code, code(other)) == (409, "conflict")
    batch = await api.post("/v1/ingest/batch", {"messages": [body]}, headers=headers)
    assert batch.status_code == 409
    assert len(await api.sql("SELECT 1 FROM chat_logs")) == 1


async def test_an_idempotency_key_of_a_failed_request_is_free_again(api: Api) -> None:
    await api.ingest(content="hi", message_id="m1")
    headers = {"Idempotency-Key": "k-2"}
    body = {"user_id": "ana", "role": "user", "content": "bye", "message_id": "m1"}
    assert (await api.post("/v1/ingest", body, headers=headers)).status_code == 409
    good = await api.post("/v1/ingest", {**body, "message_id": "m2"}, headers=headers)
    assert good.json()["status"] == "accepted"


async def test_concurrent_requests_with_one_key_store_one_message(api: Api) -> None:
    headers = {"Idempotency-Key": "race"}
    body = {"user_id": "ana", "role": "user", "content": "hi"}
    answers = await asyncio.gather(
        *(api.post("/v1/ingest", body, headers=headers) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["chat_log_id"] for answer in answers}) == 1
    assert min(answer.json()["status"] for answer in answers) == "accepted"
    assert len(await api.sql("SELECT 1 FROM chat_logs")) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x7f"])
async def test_a_strange_idempotency_key_is_refused(api: Api, key: str) -> None:
    body = {"user_id": "ana", "role": "user", "content": "hi"}
    answer = await api.post("/v1/ingest", body, headers={"Idempotency-Key": key})
    assert (answer.status_code, code(answer)) == (422, "invalid_request")


async def test_messages_read_back_in_the_order_they_were_said(api: Api) -> None:
    for second, text in [(3, "third"), (1, "first"), (2, "second")]:
        await api.ingest(
            content=text,
            timestamp=f"2026-05-01T10:00:0{second}+02:00",
            message_id=f"m{second}",
            agent_id="a1",
            speaker="Ana",
            metadata={"channel": "web"},
        )
    path = "/v1/users/ana/sessions/default/messages"
    page = (await api.get(path, limit=2)).json()
    rest = (await api.get(path, limit=2, cursor=page["next_cursor"])).json()
    messages = page["messages"] + rest["messages"]
    assert [m["content"] for m in messages] == ["first", "second", "third"]
    assert rest["next_cursor"] is None
    assert set(messages[0]) == {
        "chat_log_id",
        "session_id",
        "role",
        "content",
        "timestamp",
        "recorded_at",
        "message_id",
        "agent_id",
        "speaker",
        "metadata",
        "state",
    }
    assert messages[0]["timestamp"] == "2026-05-01T08:00:01Z"
    assert messages[0]["message_id"] == "m1"
    assert messages[0]["metadata"] == {"channel": "web"}


# ---- Redis away


@pytest.fixture
def own_valkey(tmp_path: Path) -> Any:
    with EmbeddedValkey(tmp_path / "valkey", durable=False) as server:
        yield server


@pytest.mark.alone
async def test_ingest_answers_at_once_while_redis_hangs(
    database_url: str, own_valkey: EmbeddedValkey
) -> None:
    async with (
        short_redis(own_valkey.url, HUNG_SECONDS) as redis,
        serve(database_url, redis) as api,
    ):
        await api.ingest(content="warm")
        await eventually(lambda: redis.xlen(MESSAGES))
        pid = (await redis.info("server"))["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            for count in range(8):
                took = await _seconds(api.ingest(content=f"message {count}"))
                assert took < AT_ONCE_SECONDS
                await asyncio.sleep(0.1)
            assert await _seconds(api.get("/v1/health/ready")) < HUNG_SECONDS
            assert (await api.get("/v1/health")).json()["checks"]["redis"] == "unavailable"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert len(await api.sql("SELECT 1 FROM chat_logs")) == 9

        async def heard() -> bool:
            await api.ingest(content="again")
            return await redis.xlen(MESSAGES) > 1

        await eventually(heard)


async def _seconds(request: Any) -> float:
    began = time.perf_counter()
    answer = await request
    assert answer.status_code in {200, 202}
    return time.perf_counter() - began


@pytest.mark.alone
async def test_ingest_answers_at_once_after_redis_was_killed(
    database_url: str, own_valkey: EmbeddedValkey
) -> None:
    async with (
        short_redis(own_valkey.url, HUNG_SECONDS) as redis,
        serve(database_url, redis, rate_limit_per_minute=1_000) as api,
    ):
        await api.ingest(content="warm")
        os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
        for count in range(5):
            assert await _seconds(api.ingest(content=f"message {count}")) < AT_ONCE_SECONDS


async def test_the_rate_limit_counts_and_does_not_go_away_with_redis(
    database_url: str, own_valkey: EmbeddedValkey
) -> None:
    async with (
        short_redis(own_valkey.url) as redis,
        serve(database_url, redis, rate_limit_per_minute=3) as api,
    ):
        refused = await eventually(lambda: _refused(api))
        assert code(refused) == "rate_limited"
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert (await api.get("/v1/health")).status_code == 200
        os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
        assert (await api.get("/v1/users")).status_code == 200  # counted anew, by this process
        assert code(await eventually(lambda: _refused(api))) == "rate_limited"


async def _refused(api: Api) -> Any:
    answer = await api.get("/v1/users")
    return answer if answer.status_code == 429 else None


async def test_bells_beyond_the_queue_are_dropped_and_the_rest_flushed(
    redis_url: str, redis: Redis
) -> None:
    ringer = BellRinger(redis, ring_seconds=30, flush_seconds=60)
    bell = (MESSAGES, SessionBell("default", "ana", "s", _now()))
    ringer.ring([bell] * 10_500)
    await ringer.stop()  # never started: nothing was promised
    ringer.start()
    await ringer.stop()
    assert await redis.xlen(MESSAGES) == 10_000


def _now() -> Any:
    from shared.clock import utc_now

    return utc_now()
