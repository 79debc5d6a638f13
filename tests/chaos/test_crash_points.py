"""A process dies before and after each step of each stage: every message takes effect once."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from shared.topology import STAGES
from tests.chaos.crashing import DIED
from tests.chaos.workbench import Workbench, story, until

pytestmark = pytest.mark.timeout(400)

_ROOT = Path(__file__).parents[2]
_DELIVERY = ("read", "announce", "acknowledge", "acknowledged")
POINTS = {
    "extractor": (
        *("reserve", "claim", "think", "commit"),
        *("begin", "moved", "written", "saved", "committed"),
    ),
    "embedder": ("think", "commit"),
    "deduper": ("think", "commit", "begin", "moved", "written", "committed"),
    "superseder": ("commit", "begin", "moved", "written", "saved", "committed"),
    "maintenance": ("commit", "begin", "moved", "written", "saved", "committed"),
    "gateway": ("commit", "committed", "ring", "rung"),
    "sweeper": ("locked", "marked", "announce", "announced"),
    "retention": ("removed", "kept"),
    "erasure": ("tombstone", "begun", "batch", "erased", "cleared", "end", "ended"),
}
"""Each is after one step and before the next. The embedder writes in one statement. Those of retention,
which runs in the sweeper's process, are tried in tests/integration/test_retention.py; those of erasures,
which begin in the gateway and are resumed by the sweeper, in tests/integration/test_erasure.py."""

SCHEDULER_POINTS = ("scheduled", "schedule_kept")
"""Those of the sweeper's scheduler: before the commit of what it asks for, and behind it."""

EVERY_POINT = [(stage, point) for stage in STAGES for point in (*_DELIVERY, *POINTS[stage])] + [
    ("intake", point) for point in _DELIVERY
]
SEEDS = range(1, 1 + int(os.environ.get("CHAOS_SEEDS", "1")))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("stage", "point"), EVERY_POINT)
async def test_a_process_that_dies_there_loses_and_doubles_nothing(
    bench: Workbench, stage: str, point: str, seed: int
) -> None:
    """Of several messages, some are in its hands when it dies; its successor has them all."""
    process = "extractor" if stage == "intake" else stage
    messages = story(seed, 4 + seed % 5)
    bench.start_all(without=[process])
    doomed = bench.start(process, crash_at=point)
    if stage == "intake":
        bench.add(messages)
    else:
        await bench.store(messages)
    if stage == "maintenance":
        bench.ask_for_a_job(messages[0].user)
    assert await bench.died(doomed) == DIED, "it never came to that point"
    bench.start(process)
    assert await bench.settled(), bench.audit().examples
    findings = bench.audit()
    assert findings.clean, findings.examples


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", [False, True], ids=["single", "batch"])
@pytest.mark.parametrize("point", POINTS["gateway"])
async def test_a_gateway_that_dies_there_has_lost_nothing_it_accepted(
    bench: Workbench, point: str, batch: bool, seed: int
) -> None:
    """Who got no 202 sends again, to its successor; nothing is stored twice."""
    messages = story(seed, 4 + seed % 5)
    bench.start_all()
    doomed = bench.start("gateway", crash_at=point)
    sending = asyncio.create_task(bench.post(messages, batch=batch))
    assert await bench.died(doomed) == DIED, "it never came to that point"
    bench.start("gateway")
    async with asyncio.timeout(90):
        await sending
    assert await bench.settled(), bench.audit().examples
    findings = bench.audit()
    assert findings.clean, findings.examples


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("point", POINTS["sweeper"])
async def test_a_sweeper_that_dies_there_leaves_it_to_the_next(
    bench: Workbench, point: str, seed: int
) -> None:
    """Bells were lost; whoever sweeps next finds what the dead one did not ring for."""
    bench.start_all(without=["sweeper"])
    doomed = bench.start("sweeper", crash_at=point)
    await bench.store(story(seed, 4 + seed % 5), ring=False)
    assert await bench.died(doomed) == DIED, "it never came to that point"
    bench.start("sweeper")
    assert await bench.settled(), bench.audit().examples
    findings = bench.audit()
    assert findings.clean, findings.examples


@pytest.mark.parametrize("point", SCHEDULER_POINTS)
async def test_a_scheduler_that_dies_there_asks_once(bench: Workbench, point: str) -> None:
    """Its successor goes on with the round: each user's job is asked for, and done, once."""
    messages = story(1, 6)
    bench.start_all(without=["sweeper"])
    await bench.store(messages)
    assert await bench.settled()
    bench.query(
        """INSERT INTO schedules (kind, slot) VALUES ('consolidate', now() - interval '2 hours')
           RETURNING kind"""
    )
    assert await bench.died(bench.start("sweeper", crash_at=point)) == DIED
    bench.start("sweeper")
    users = {said.user for said in messages}
    over = "SELECT 1 FROM schedules WHERE finished_at IS NOT NULL"
    assert await until(lambda: bench.query(over), 90.0)
    assert await bench.settled()
    made = "SELECT user_id, count(*) FROM jobs WHERE due_slot IS NOT NULL GROUP BY user_id"
    assert dict(bench.query(made)) == dict.fromkeys(users, 1)
    findings = bench.audit()
    assert findings.clean, findings.examples


def test_every_point_of_the_product_is_one_to_die_at() -> None:
    """A point that is added to the product and not to the list above would not be tried."""
    services = _ROOT / "services"
    assert _points_in(_ROOT / "shared") == {*_DELIVERY, *POINTS["erasure"]}
    assert _points_in(_ROOT / "shared" / "erasure") == set(POINTS["erasure"])
    for stage in STAGES:
        # Those of retention are tried in tests/integration/test_retention.py.
        more = (*SCHEDULER_POINTS, *POINTS["retention"]) if stage == "maintenance" else ()
        assert _points_in(services / stage) == {*POINTS[stage], *more}, stage
    assert _points_in(services / "gateway") == set(POINTS["gateway"])
    assert _points_in(services / "maintenance", "sweeper.py") == set(POINTS["sweeper"])


def _points_in(folder: Path, only: str | None = None) -> set[str]:
    """The points of a stage's process; a command dies in its own tests."""
    files = (
        path
        for path in folder.rglob("*.py")
        if path.parent.name not in ("replay", "migration") and (path.name == (only or path.name))
        and (only or path.name != "sweeper.py")
    )  # fmt: skip
    found = (re.findall(r'at_point\("(\w+)"\)', path.read_text()) for path in files)
    return {point for points in found for point in points}
