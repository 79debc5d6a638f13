"""What each kind of job does, before and after, as a caller sees it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.maintenance.jobs import known_kinds
from shared.clock import utc_now
from tests.integration.test_chains import run
from tests.integration.test_gateway_app import Api, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def duplicates(api: Api) -> None:
    """Two statements that comparison never saw side by side."""
    await api.fact("Likes hiking in the mountains", said_at=utc_now() - timedelta(days=2))
    await api.fact("Likes hiking in the mountains.", said_at=utc_now() - timedelta(days=1))


async def a_name_and_a_size(api: Api) -> None:
    await api.fact("Is called Ana", slot="name", value="Ana")
    await api.fact("Wears size 38", slot="shoe_size", value="38")


async def a_book_of_years_ago(api: Api) -> None:
    long_ago = utc_now() - timedelta(days=2_000)
    await api.fact("Reads Dune", slot="currently_reading", value="Dune", said_at=long_ago)
    await api.fact("Likes tea", category="user_preference")


async def listed(api: Api) -> list[str]:
    facts = (await api.get("/v1/users/ana/facts")).json()["facts"]
    return sorted(fact["content"] for fact in facts)


async def always_known(api: Api) -> list[str]:
    essential = (await api.get("/v1/users/ana/conscious")).json()["essential"]
    return [fact["content"] for fact in essential]


@dataclass(frozen=True, slots=True)
class Example:
    given: Callable[[Api], Awaitable[None]]
    shown: Callable[[Api], Awaitable[list[str]]]
    before: list[str]
    after: list[str]
    event: str
    did: dict[str, Any]


EXAMPLES = {
    "consolidate": Example(
        duplicates,
        listed,
        ["Likes hiking in the mountains", "Likes hiking in the mountains."],
        ["Likes hiking in the mountains"],
        "fact.merged",
        {"merged": 1, "profile": "written"},
    ),
    "optimize": Example(
        a_name_and_a_size,
        always_known,
        [],
        ["Is called Ana"],
        "fact.promoted",
        {"promoted": 1, "demoted": 0, "model_calls": 0},
    ),
    "decay": Example(
        a_book_of_years_ago,
        listed,
        ["Likes tea", "Reads Dune"],
        ["Likes tea"],
        "fact.faded",
        {"faded": 1, "revived": 0},
    ),
}


@pytest.mark.parametrize("kind", known_kinds())
async def test_a_kind_of_job_before_and_after(api: Api, kind: str) -> None:
    """Its trace tells what it did, and the history of the fact concerned names the trace."""
    example = EXAMPLES[kind]
    await example.given(api)
    assert await example.shown(api) == example.before
    result = await run(api, kind)
    assert await example.shown(api) == example.after
    assert example.did.items() <= result.items()
    everything = (await api.get("/v1/users/ana/facts", view="all")).json()["facts"]
    told = [
        event
        for fact in everything
        for event in (await api.get(f"/v1/facts/{fact['id']}/history")).json()["events"]
        if event["event"] == example.event
    ]
    [event] = told
    assert event["data"]["kind"] == kind
    trace = (await api.get(f"/v1/traces/{event['data']['job']}")).json()
    assert trace["job"]["result"] == result
    assert not example.did.items() <= (await run(api, kind)).items()
    assert await example.shown(api) == example.after
