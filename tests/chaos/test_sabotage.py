"""The harness is tested too: with a part of the product switched off, its promise is seen broken.

Each test does the same twice: as shipped it finds no harm, sabotaged it must.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from shared.embedded import EmbeddedPostgres
from shared.events import RowsBell
from shared.migrate import migrate
from shared.topology import COMPARED, MESSAGES
from tests.chaos.provider import Provider
from tests.chaos.sabotage import RINGS
from tests.chaos.workbench import Workbench, story, until
from tests.chaos.world import Said

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(400)]


def switched_off(sabotage: str) -> Any:
    """Run a test as shipped, and with a part switched off."""
    return pytest.mark.parametrize("off", [(), (sabotage,)], ids=["as-shipped", sabotage])


def patience(off: tuple[str, ...]) -> float:
    """How long to wait for what must come to pass; sabotaged, it never does."""
    return 5.0 if off else 180.0


@switched_off("no_claim")
async def test_a_bell_heard_twice_settles_once(bench: Workbench, off: tuple[str, ...]) -> None:
    """The claim (`WHERE state = mine`) is all that keeps a second delivery from taking effect."""
    bench.start_all(without=["superseder"])
    bench.start("superseder", *off)
    await bench.store(story(5, 6))
    assert await bench.settled()
    ring_each(bench)
    assert await bench.settled()
    assert bool(bench.audit().double) == bool(off), bench.audit().examples


@switched_off("no_sweep")
async def test_a_lost_bell_is_rung_again(bench: Workbench, off: tuple[str, ...]) -> None:
    bench.start_all(without=["sweeper"])
    bench.start("sweeper", *off)
    await bench.store(story(6, 6), ring=False)
    assert await bench.settled(patience(off)) != bool(off)
    assert bool(bench.audit().lost) == bool(off), bench.audit().examples


@switched_off("sweep_whatever_is_open")
async def test_a_slow_consumer_is_not_rung_at(bench: Workbench, off: tuple[str, ...]) -> None:
    """Two sweepers watch a backlog that is older than their patience, and ring nothing again."""
    patient = {"MEMOIRE_LOST_AFTER_SECONDS": "8", "MEMOIRE_LEASE_SECONDS": "60"}
    bench.start_all("slow_embedder", without=["sweeper"], MEMOIRE_READ_BATCH="1", **patient)
    for _ in range(2):
        bench.start("sweeper", "counted_sweep", *off, **patient)
    await bench.store(story(7, 24, users=24))
    assert await bench.settled(180)
    with bench.redis() as redis:
        rung = int(redis.get(RINGS) or 0)  # type: ignore[arg-type]
    assert bool(rung) == bool(off), f"{rung} bells rung again"


@switched_off("no_claimer")
async def test_what_a_dead_worker_held_is_taken_over(
    bench: Workbench, off: tuple[str, ...]
) -> None:
    bench.start_all(without=["superseder"])
    doomed = bench.start("superseder", "hangs_at_commit")
    await bench.store(story(8, 6))
    assert await until(lambda: pending(bench, COMPARED, "superseder"), 180)
    doomed.kill()
    bench.start("superseder", *off)
    assert await bench.settled(patience(off)) != bool(off)
    assert bool(bench.audit().lost) == bool(off), bench.audit().examples


@switched_off("no_lease_renewal")
async def test_a_living_call_is_never_doubled(bench: Workbench, off: tuple[str, ...]) -> None:
    """A call three leases long is paid for once."""
    bench.provider.delay_seconds = 12.0
    bench.start_all(without=["extractor"])
    for _ in range(2):
        bench.start("extractor", *off, MEMOIRE_LEASE_SECONDS="4")
    await bench.store(story(9, 3, users=1))
    assert await bench.settled(180)
    paid = bench.query("SELECT count(*) FROM extractions WHERE answer IS NOT NULL")[0][0]
    assert await until(lambda: bench.provider.under_way == 0, 60)
    assert bool(bench.provider.paid_calls - paid) == bool(off)
    assert bench.audit().clean, "paid twice, but never committed twice"


@switched_off("no_user_lock")
async def test_two_superseders_never_fold_past_each_other(
    bench: Workbench, off: tuple[str, ...]
) -> None:
    """Many facts of one attribute settle at two workers at once; the last word is the law's."""
    bench.start_all(without=["superseder"])
    await bench.store([one_city(number) for number in range(48)])
    statement = "SELECT count(*) FROM memory_facts WHERE state = 'compared'"
    assert await until(lambda: bench.query(statement)[0][0] == 48, 180)
    with bench.redis() as redis:
        redis.delete(COMPARED)
    ring_each(bench)
    for _ in range(2):
        bench.start("superseder", "slow_fold", *off, MEMOIRE_READ_BATCH="1")
    assert await bench.settled(180)
    assert bool(bench.audit().wrong) == bool(off), bench.audit().examples


@switched_off("no_durable_intake")
async def test_an_acknowledged_entry_survives_a_crash_of_postgresql(
    tmp_path: Path, redis_url: str, off: tuple[str, ...]
) -> None:
    """PostgreSQL is killed the moment Redis has let go of the messages."""
    provider = Provider(delay_seconds=600)  # so that no paid answer's commit flushes the log
    await provider.start()
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        migrate(postgres.url)
        bench = Workbench(postgres.url, redis_url, provider)
        bench.start("extractor", *off)
        for turn in range(6):
            bench.add([one_city(50 * turn + number) for number in range(50)])
            assert await until(lambda: not waiting_messages(redis_url), 180)
            assert postgres.pid
            os.kill(postgres.pid, signal.SIGKILL)
            assert await until(lambda: postgres.poll() is not None, 60)
            postgres.restart_if_dead()
        lost = bench.audit().lost["no row"]
        await bench.stop_all()
    await provider.stop()
    assert bool(lost) == bool(off), f"{lost} acknowledged messages have no row"


# ---- making and looking


def one_city(number: int) -> Said:
    city = ("Oslo", "Quito", "Lisbon", "Dallas")[number % 4]
    user = f"u{number // 8 % 6}"
    content = f"home_city={city} holds current from {2000 + number % 20} [{number}]"
    return Said(number, "default", user, "s", content, None, f"m{number}", "redis")


def ring_each(bench: Workbench) -> None:
    """Ring the superseder's bell for every fact there is, one by one, user by user."""
    rows = bench.query("SELECT user_id, id, announced_at FROM memory_facts ORDER BY user_id, id")
    with bench.redis() as redis:
        for user, fact, at in rows:
            bell: Any = RowsBell("default", user, (fact,), at).encode()
            redis.xadd(COMPARED, bell)


def pending(bench: Workbench, stream: str, group: str) -> int:
    with bench.redis() as redis:
        if not redis.exists(stream):
            return 0
        found: Any = redis.xpending(stream, group)
        return int(found["pending"])


def waiting_messages(redis_url: str) -> bool:
    """Whether the stream still holds messages, not bells alone."""
    with Redis.from_url(redis_url) as redis:
        entries: Any = redis.xrange(MESSAGES)
        return any(b"content" in fields for _, fields in entries)
