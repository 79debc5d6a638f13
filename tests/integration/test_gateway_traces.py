"""Traces: how far something has come, and waiting until it has settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.integration.test_gateway_app import Api, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def _extracted(api: Api, row: str) -> None:
    await api.sql(
        "UPDATE chat_logs SET state = 'extracted', extracted_at = now() WHERE id = %(id)s",
        id=UUID(row),
    )


def _stages(trace: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["state"] for stage in trace["stages"]}


async def test_a_message_moves_from_open_to_settled(api: Api) -> None:
    sent = (await api.ingest(content="I moved to Lisbon")).json()
    path = f"/v1/traces/{sent['trace_id']}"
    trace = (await api.get(path)).json()
    fields = {
        "trace_id",
        "chat_log_id",
        "status",
        "stages",
        "facts",
        "failures",
        "extraction",
        "job",
    }
    assert set(trace) == fields
    assert (trace["status"], trace["chat_log_id"]) == ("open", sent["chat_log_id"])
    stages = ["extractor", "embedder", "deduper", "superseder"]
    assert _stages(trace) == dict.fromkeys(stages, "pending")

    source = (UUID(sent["chat_log_id"]),)
    await api.fact("Lives in Lisbon", until="embedded", sources=source)
    await _extracted(api, sent["chat_log_id"])
    trace = (await api.get(path)).json()
    assert trace["status"] == "open"
    assert list(_stages(trace).values()) == ["done", "done", "pending", "pending"]
    assert trace["stages"][0]["at"] and trace["stages"][0]["attempts"] == 1
    assert [fact["status"] for fact in trace["facts"]] == [None]

    await api.sql(
        "UPDATE memory_facts SET state = 'settled', standing = 'belief', canonical_id = id"
    )
    trace = (await api.get(path)).json()
    assert trace["status"] == "settled"
    assert set(_stages(trace).values()) == {"done"}


async def test_a_message_without_facts_is_settled_once_extracted(api: Api) -> None:
    sent = (await api.ingest(content="hello")).json()
    await _extracted(api, sent["chat_log_id"])
    trace = (await api.get(f"/v1/traces/{sent['trace_id']}?wait=settled")).json()
    assert (trace["status"], trace["facts"]) == ("settled", [])
    assert set(_stages(trace).values()) == {"done"}


async def test_a_trace_says_who_extracted_and_what_was_dropped(api: Api) -> None:
    """Of the whole call, its session's other messages included; a call without facts says 0."""
    sent = (await api.ingest(content="hello")).json()
    path = f"/v1/traces/{sent['trace_id']}"
    assert (await api.get(path)).json()["extraction"] is None
    await api.sql(
        "INSERT INTO extractions (tenant_id, user_id, id, session_id, state, lease_until, worker,"
        " extractor, model, prompt, facts, dropped) SELECT tenant_id, user_id, gen_random_uuid(),"
        " session_id, 'done', now(), 'w', 'llm', 'm', 'extract.v2', 0, %(dropped)s::jsonb"
        " FROM chat_logs",
        dropped='{"quote_not_found": 2}',
    )
    await api.sql("UPDATE chat_logs SET extraction_id = (SELECT id FROM extractions)")
    await _extracted(api, sent["chat_log_id"])
    trace = (await api.get(path)).json()
    assert (trace["status"], trace["facts"]) == ("settled", [])
    assert trace["extraction"] == {
        "extractor": "llm",
        "model": "m",
        "prompt": "extract.v2",
        "facts": 0,
        "dropped": {"quote_not_found": 2},
    }


@pytest.mark.alone
async def test_waiting_ends_soon_after_settling(api: Api) -> None:
    sent = (await api.ingest(content="I moved to Lisbon")).json()
    waiting = [
        asyncio.create_task(api.get(f"/v1/traces/{sent['trace_id']}", wait="settled", timeout=60))
        for _ in range(20)
    ]
    fact = await api.fact("Lives in Lisbon", until="embedded", sources=(UUID(sent["chat_log_id"]),))
    await _extracted(api, sent["chat_log_id"])
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert not done
    await api.sql(
        "UPDATE memory_facts SET state = 'settled', standing = 'belief', canonical_id = id "
        "WHERE id = %(id)s",
        id=fact,
    )
    settled = time.perf_counter()
    first = await waiting[0]
    assert time.perf_counter() - settled < 30  # not the minute of its timeout
    assert first.json()["status"] == "settled"
    assert {(await task).json()["status"] for task in waiting} == {"settled"}


@pytest.mark.alone
async def test_waiting_ends_with_its_timeout(api: Api) -> None:
    sent = (await api.ingest(content="hi")).json()
    began = time.perf_counter()
    answer = await api.get(f"/v1/traces/{sent['trace_id']}", wait="settled", timeout=0.2)
    assert (answer.status_code, answer.json()["status"]) == (200, "open")
    assert 0.2 <= time.perf_counter() - began < 8  # not the 10 s of its default


async def test_a_dead_message_says_why_and_is_not_waited_for(api: Api) -> None:
    sent = (await api.ingest(content="hi")).json()
    await api.sql("UPDATE chat_logs SET retry_at = 'infinity'")
    await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error, dead_at)"
        " VALUES (gen_random_uuid(), 'extractor', %(s)s, 'default', 10, 'poison', 'no', now())",
        s=sent["chat_log_id"],
    )
    trace = (await api.get(f"/v1/traces/{sent['trace_id']}?wait=settled&timeout=60")).json()
    assert trace["status"] == "dead"
    assert trace["stages"][0] == {
        "stage": "extractor",
        "state": "dead",
        "at": None,
        "attempts": 10,
    }
    [failure] = trace["failures"]
    assert set(failure) == {
        "stage",
        "error_class",
        "error",
        "attempts",
        "next_attempt_at",
        "dead_at",
    }


async def test_a_dead_fact_kills_its_trace_only_when_nothing_else_moves(api: Api) -> None:
    sent = (await api.ingest(content="hi")).json()
    source = (UUID(sent["chat_log_id"]),)
    dead = await api.fact("Likes tea", until="embedded", sources=source)
    moving = await api.fact("Likes jam", until="extracted", sources=source)
    await _extracted(api, sent["chat_log_id"])
    await api.sql("UPDATE memory_facts SET retry_at = 'infinity' WHERE id = %(id)s", id=dead)
    trace = (await api.get(f"/v1/traces/{sent['trace_id']}")).json()
    assert (trace["status"], _stages(trace)["deduper"]) == ("open", "dead")
    await api.sql("DELETE FROM memory_facts WHERE id = %(id)s", id=moving)
    trace = (await api.get(f"/v1/traces/{sent['trace_id']}?wait=settled&timeout=60")).json()
    assert trace["status"] == "dead"


async def test_a_stated_fact_and_a_job_have_traces(api: Api) -> None:
    stated = (await api.post("/v1/users/ana/facts", {"content": "Likes tea"})).json()
    trace = (await api.get(f"/v1/traces/{stated['trace_id']}")).json()
    assert (trace["status"], trace["chat_log_id"]) == ("open", None)
    assert list(_stages(trace)) == ["embedder", "deduper", "superseder"]
    assert [fact["id"] for fact in trace["facts"]] == [stated["fact_id"]]
    [job] = await api.sql(
        "INSERT INTO jobs (tenant_id, user_id, id, kind) "
        "VALUES ('default', 'ana', gen_random_uuid(), 'optimize') RETURNING id"
    )
    trace = (await api.get(f"/v1/traces/{job['id'].hex}")).json()
    assert (trace["status"], _stages(trace)) == ("open", {"maintenance": "pending"})
    await api.sql("UPDATE jobs SET state = 'done', finished_at = now()")
    trace = (await api.get(f"/v1/traces/{job['id'].hex}?wait=settled")).json()
    assert trace["status"] == "settled"
