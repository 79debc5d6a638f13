"""A profile is marked stale in the transaction that retires one of its sources, whatever does so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.test_gateway_acts import at, corrected, delete, patch, settle_open, undone
from tests.integration.test_gateway_app import Api, serve

Retiring = Callable[[Api, Any], Awaitable[Any]]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def supersede(api: Api, _: Any) -> None:
    await api.fact("Lives in Oslo", slot="home_city", value="Oslo", said_at=at(2022))


async def correct(api: Api, fact: Any) -> None:
    await corrected(api, fact, value="Porto")


async def relabel(api: Api, fact: Any) -> None:
    assert (await patch(api, fact, {"category": "own"})).status_code == 202


async def erase_message(api: Api, fact: Any) -> None:
    [source] = (await api.get(f"/v1/facts/{fact}")).json()["source_message_ids"]
    answer = await api.client.delete(f"/v1/users/ana/sessions/s/messages/{source}")
    assert answer.json() == {"messages": 1, "facts": 1}


async def erase_session(api: Api, _: Any) -> None:
    answer = await api.client.delete("/v1/users/ana/sessions/s/messages")
    assert answer.json()["facts"] == 1


async def stated(api: Api) -> Any:
    """A fact that rests on a message of its own, and the profile that rests on the fact."""
    message = (await api.ingest(content="I live in Rome", session_id="s")).json()["chat_log_id"]
    [row] = await api.sql("SELECT id FROM chat_logs WHERE id = %(id)s", id=message)
    home = {"slot": "home_city", "value": "Rome", "said_at": at(2020), "sources": (row["id"],)}
    return await api.fact("Lives in Rome", **home)


async def derive(api: Api, fact: Any) -> None:
    await api.sql(
        """WITH edge AS (INSERT INTO profile_edges VALUES ('default', 'ana', %(f)s, 1)
                             ON CONFLICT DO NOTHING)
           INSERT INTO profiles (tenant_id, user_id, content)
           VALUES ('default', 'ana', 'Home city: Rome')
               ON CONFLICT (tenant_id, user_id) DO UPDATE SET stale_since = NULL RETURNING 1""",
        f=fact,
    )


async def stale(api: Api) -> bool:
    return (await api.get("/v1/users/ana/conscious")).json()["profile"]["stale"]


@pytest.mark.parametrize(
    "retire", [supersede, correct, relabel, delete, erase_message, erase_session]
)
async def test_whatever_retires_a_source_marks_the_profile(api: Api, retire: Retiring) -> None:
    fact = await stated(api)
    await derive(api, fact)
    assert await stale(api) is False
    await retire(api, fact)
    assert await stale(api) is True
    words = await api.sql("SELECT content FROM profiles")
    forgotten = retire in {delete, erase_message, erase_session}
    assert words == [{"content": "" if forgotten else "Home city: Rome"}]


@pytest.mark.parametrize("act", [correct, relabel, delete])
async def test_taking_an_act_back_marks_the_profile_too(api: Api, act: Retiring) -> None:
    """Whether it rests on the fact that returns or on the one that goes."""
    fact = await stated(api)
    await act(api, fact)
    [row] = await api.sql(
        "SELECT id FROM memory_facts ORDER BY (standing = 'belief') DESC, id LIMIT 1"
    )
    await derive(api, row["id"])
    assert await stale(api) is False
    await undone(api, fact)
    await settle_open(api)
    assert await stale(api) is True


async def test_what_says_the_same_again_leaves_the_profile(api: Api) -> None:
    fact = await stated(api)
    await derive(api, fact)
    await api.fact("Lives in Rome", slot="home_city", value="Rome", said_at=at(2022))
    assert await stale(api) is False
