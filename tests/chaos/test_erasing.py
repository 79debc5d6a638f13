"""A gateway dies while it erases a user: the sweeper's process goes on, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from shared.erasure.tables import BY_BATCH, LAST
from tests.chaos.crashing import DIED
from tests.chaos.instance import ADMIN_KEY
from tests.chaos.test_crash_points import POINTS
from tests.chaos.workbench import Workbench, story, until

pytestmark = pytest.mark.timeout(400)

_LEFT = " + ".join(
    f"(SELECT count(*) FROM {table} WHERE user_id = '{{user}}')" for table in (*BY_BATCH, *LAST)
)


async def _ask_to_erase(bench: Workbench, user: str) -> None:
    """Ask until the gateway that is asked dies of it."""
    url = f"http://127.0.0.1:{bench.port}/v1/users/{user}"
    async with httpx.AsyncClient(headers={"X-API-Key": ADMIN_KEY}, timeout=30) as http:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await http.delete(url)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("point", sorted({*POINTS["erasure"]} - {"tombstone"}))
async def test_a_gateway_that_dies_while_erasing_leaves_it_to_the_sweeper(
    bench: Workbench, point: str
) -> None:
    messages = story(1, 12)
    user = messages[0].user
    bench.start_all()
    await bench.store(messages)
    assert await bench.settled()
    await bench.store(story(1, 24)[12:])  # these are at every stage
    doomed = bench.start("gateway", crash_at=point)
    asking = asyncio.create_task(_ask_to_erase(bench, user))
    assert await bench.died(doomed) == DIED, "it never came to that point"
    asking.cancel()
    # Who asks again just after the death may set another tombstone: that one too.
    finished = "SELECT 1 FROM erasures HAVING count(*) > 0 AND count(*) = count(finished_at)"
    assert await until(lambda: bench.query(finished), 90.0)
    assert await bench.settled()
    assert bench.query(f"SELECT {_LEFT.format(user=user)}") == [(0,)]
    assert bench.query("SELECT user_id FROM erasures WHERE user_id IS NOT NULL") == []
    kept = f"SELECT 1 FROM chat_logs WHERE user_id <> '{user}' LIMIT 1"
    assert bench.query(kept) == [(1,)]
