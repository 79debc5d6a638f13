"""Secrets stay where they belong, and what a key did is noted without holding it up."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import structlog

from services.gateway import auth
from shared.clock import utc_now
from tests.integration.test_gateway_app import ADMIN, Api, serve


async def _canaries(api: Api) -> list[str]:
    """Secrets that work, that end, that nobody has; none of them is a word of anything else."""
    shown = (await api.post("/v1/keys", {"name": "n", "user_id": "ana"})).json()["key"]
    ended = await api.key("admin", expires_at=utc_now() - timedelta(seconds=1))
    return [await api.key("admin"), shown, ended, auth.new_key().text, "mem_x_canary", ADMIN]


async def _use_everywhere(api: Api, key: str) -> list[Any]:
    """Good and bad requests with a key where keys belong, and in places where they do not."""
    mine = {"X-API-Key": key}
    answers = []
    for headers in (mine, {"Authorization": f"Bearer {key}", "X-API-Key": ""}):
        answers += [
            await api.client.get("/v1/users", headers=headers),
            await api.client.get("/v1/keys?limit=none", headers=headers),
            await api.post("/v1/ingest", {"user_id": "ana"}, headers=headers),
            await api.client.post("/v1/ingest", content="{", headers=headers),
            await api.client.get(f"/v1/facts/{key}", headers=headers),
            await api.client.get(f"/v1/traces/{key}", headers=headers),
            await api.client.delete(f"/v1/keys/{key}", headers=headers),
            await api.post("/v1/keys", {"name": "n", "scope": key}, headers=headers),
            await api.client.get("/v1/events", params={"after": key}, headers=headers),
        ]
    return answers


async def test_no_secret_is_ever_in_a_log_an_error_or_the_database(
    database_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every logger at its most talkative, and failures that nobody foresaw among the requests."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the tests' own client
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    said: list[str] = []

    def listen(_: Any, __: str, event: Any) -> Any:
        said.append(repr(event))
        return event

    kept = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.processors.format_exc_info, listen, *kept])
    try:
        async with serve(database_url, None) as api:
            keys = await _canaries(api)
            answers = [answer for key in keys for answer in await _use_everywhere(api, key)]
            for broken in (psycopg.OperationalError("away"), RuntimeError("a bug")):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(api.gateway.keyring, "_remembered", {})
                    patch.setattr(auth.key_store, "key_by_id", _raising(broken))
                    answers += [a for key in keys for a in await _use_everywhere(api, key)]
            dumped = await api.sql("SELECT to_jsonb(k) AS row FROM api_keys k")
    finally:
        structlog.configure(processors=kept)
    assert {answer.status_code for answer in answers} >= {200, 400, 401, 404, 422, 500, 503}
    heard = "\n".join([*said, caplog.text, *capfd.readouterr(), json.dumps(dumped, default=str)])
    heard += "\n".join(answer.text + repr(answer.headers) for answer in answers)
    assert "request failed" in heard
    for key in keys:
        secret = key.split("_", 2)[2] if key.startswith("mem_") else key
        assert heard.find(secret) == -1


def _raising(error: Exception) -> Any:
    async def fail(*_: Any) -> None:
        raise error

    return fail


def test_what_holds_a_secret_does_not_show_it() -> None:
    made = auth.new_key()
    assert made.text not in repr(made)
    assert str(made.secret_sha256) not in repr(made)


async def test_last_use_is_noted_in_batches_at_most_once_a_minute(database_url: str) -> None:
    now = utc_now()
    async with serve(database_url, None) as api:
        keyring = api.gateway.keyring
        keyring._clock = lambda: now
        made = (await api.post("/v1/keys", {"name": "n"})).json()
        assert made["last_used_at"] is None

        async def used() -> Any:
            await api.client.get("/v1/users", headers={"X-API-Key": made["key"]})
            await keyring.note_uses()
            [key] = (await api.get("/v1/keys")).json()["keys"]
            return key["last_used_at"]

        first = await used()
        assert first is not None
        now += timedelta(seconds=59)
        assert await used() == first
        now += timedelta(seconds=1)
        assert await used() > first


async def test_an_outage_costs_no_request_and_the_note_is_written_later(database_url: str) -> None:
    async with serve(database_url, None) as api:
        made = (await api.post("/v1/keys", {"name": "n"})).json()
        await api.client.get("/v1/users", headers={"X-API-Key": made["key"]})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auth.key_store, "note_uses", _raising(psycopg.OperationalError("away")))
            await api.gateway.keyring.note_uses()
        await api.gateway.keyring.note_uses()
        [key] = (await api.get("/v1/keys")).json()["keys"]
        assert key["last_used_at"] is not None


async def test_a_stream_and_a_wait_end_when_their_key_is_revoked(database_url: str) -> None:
    """Also where another process revoked it; nobody is told anything afterwards."""
    async with serve(database_url, None) as api:
        key = await api.key("read")
        headers = {"X-API-Key": key}
        trace = (await api.ingest(content="hi")).json()["trace_id"]
        stream = asyncio.create_task(api.client.get("/v1/events", headers=headers))
        waiting = asyncio.create_task(
            api.client.get(f"/v1/traces/{trace}?wait=settled&timeout=8", headers=headers)
        )
        await asyncio.sleep(0.5)
        await api.sql("UPDATE api_keys SET revoked_at = now()")
        async with asyncio.timeout(60):
            assert (await stream).status_code == 200
            assert (await waiting).status_code == 401


async def test_who_ended_is_decided_by_one_clock(database_url: str) -> None:
    """A gateway whose clock is an hour behind refuses a key that was just revoked."""
    async with serve(database_url, None) as api:
        api.gateway.keyring._clock = lambda: utc_now() - timedelta(hours=1)
        key = await api.key("read")
        await api.sql("UPDATE api_keys SET revoked_at = now()")
        answer = await api.client.get("/v1/users", headers={"X-API-Key": key})
        assert answer.status_code == 401
