"""Events: what happened, live and resumable, nothing missed whatever order commits come in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.event_store import Position
from tests.integration.test_gateway_app import Api, code, serve

INSERT = """INSERT INTO events (tenant_id, user_id, event, fact_id, trace_id)
            VALUES (%s, %s, %s, gen_random_uuid(), gen_random_uuid())"""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection


async def seen(api: Api, after: str = "0", **params: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every event up to now: its id and its data."""
    query = {"after": after, "follow": False, **params}
    answer = await api.client.get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parsed(answer.text)


def parsed(stream: str) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line[1:])
        if "data" in fields:
            data = json.loads(fields["data"])
            assert fields["event"] == data["event"]
            events.append((fields["id"], data))
    return events


async def write(connection: psycopg.AsyncConnection, event: str, tenant: str = "default") -> None:
    await connection.execute(INSERT, (tenant, "ana", event))


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_position_reads_as_it_was_written(xid: int, seq: int) -> None:
    assert Position.parse(str(Position(xid, seq))) == Position(xid, seq)


async def test_a_reader_that_comes_back_goes_on_where_it_was(api: Api, writer: Any) -> None:
    """Each event once, in order, over any number of readings."""
    await write(writer, "fact.settled")
    [(first, data)] = await seen(api)
    assert data["user_id"] == "ana"
    assert await seen(api, after=first) == []
    await write(writer, "fact.merged")
    await write(writer, "fact.superseded")
    names = [data["event"] for _, data in await seen(api, after=first)]
    assert names == ["fact.merged", "fact.superseded"]
    header = await api.client.get(
        "/v1/events", params={"follow": False}, headers={"Last-Event-ID": first}
    )
    assert [data["event"] for _, data in parsed(header.text)] == names


async def test_what_commits_late_is_not_missed(api: Api, writer: Any, database_url: str) -> None:
    """An event numbered earlier and committed later is still behind the reader, not before."""
    async with await psycopg.AsyncConnection.connect(database_url) as slow:
        await write(slow, "fact.slow")  # has its number, is not committed
        await write(writer, "fact.quick")
        early = await seen(api)
        await slow.commit()
    position = early[-1][0] if early else "0"
    late = await seen(api, after=position)
    assert sorted(data["event"] for _, data in early + late) == ["fact.quick", "fact.slow"]


async def test_nothing_is_missed_or_repeated_under_concurrent_commits(
    api: Api, database_url: str
) -> None:
    """Eight writers whose transactions overlap, one reader that resumes all the time."""
    writers, each = 8, 25

    async def keep_writing(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            for index in range(each):
                await write(connection, f"fact.{number}-{index}")
                await asyncio.sleep(0.001 * (number % 3))
                await (connection.rollback() if index % 5 == 4 else connection.commit())

    writing = asyncio.gather(*(keep_writing(number) for number in range(writers)))
    found: list[str] = []
    position = "0"
    while True:
        over = writing.done()
        for event_id, data in await seen(api, after=position):
            position = event_id
            found.append(data["event"])
        if over:
            break
    expected = {f"fact.{n}-{i}" for n in range(writers) for i in range(each) if i % 5 != 4}
    assert len(found) == len(set(found))
    assert set(found) == expected


async def test_a_stream_that_follows_shows_what_happens(api: Api, writer: Any) -> None:
    """Live, without an id: from now on. It ends when the process stops."""
    await write(writer, "fact.before")

    async def follow() -> str:
        return (await api.client.get("/v1/events")).text  # the transport hands it over at the end

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.5)
    for _ in range(10):  # whichever come before it listens are not its own
        await write(writer, "fact.live")
        await asyncio.sleep(0.3)
    api.app.state.gateway.stopping.set()
    names = [data["event"] for _, data in parsed(await asyncio.wait_for(following, 60))]
    assert set(names) == {"fact.live"}


async def test_what_is_wrong_with_a_query_is_said_once(api: Api) -> None:
    """Its parameters are read twice: by the route, and by what finds where to begin."""
    answer = await api.client.get("/v1/events?limit=3")
    assert [one["field"] for one in answer.json()["error"]["details"]] == ["limit"]


async def test_events_are_their_tenants_own(api: Api, writer: Any) -> None:
    await write(writer, "fact.settled")
    await write(writer, "fact.settled", tenant="other")
    assert len(await seen(api)) == 1
    assert await seen(api, user_id="bob") == []


async def test_a_fact_is_shown_until_it_is_forgotten(api: Api) -> None:
    await api.fact("Lives in Lisbon")
    [(_, data)] = await seen(api)
    assert data["fact"]["content"] == "Lives in Lisbon"
    await api.sql("UPDATE memory_facts SET standing = 'forgotten'")
    [(_, data)] = await seen(api)
    assert data["fact"] is None


@pytest.mark.parametrize("after", ["x", "1-", "-1", "1-2-3", "9" * 30, "\u0661"])
async def test_what_is_no_id_of_ours_is_refused(api: Api, after: str) -> None:
    answer = await api.client.get("/v1/events", params={"after": after})
    assert (answer.status_code, code(answer)) == (422, "invalid_request")
