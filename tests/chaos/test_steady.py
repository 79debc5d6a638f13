"""The judge of a steady load is judged: a leak, a lost process and a forgotten table are seen."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import steady, steady_verdict
from tests.chaos.trend import trend
from tests.chaos.vitals import Process, Vitals

_EVERY_SECONDS = 15.0


def samples(
    memory: Callable[[int], float],
    *,
    dead: Callable[[int], int] = lambda _: 0,
    pid: Callable[[int], int] = lambda _: 7,
    count: int = 240,
) -> list[Vitals]:
    """An hour of one process and one table, a sample every quarter of a minute."""
    return [
        Vitals(
            at=number * _EVERY_SECONDS,
            processes={"embedder-1": Process(pid(number), memory(number), 0, 0, 20, 1.0)},
            tables={"facts": {"live": 10_000, "dead": dead(number), "vacuums": 0, "bytes": 0}},
        )
        for number in range(count)
    ]


def growing(memory: Callable[[int], float], **more: Callable[[int], int]) -> list[str]:
    found: list[str] = steady_verdict.judge(samples(memory, **more))["growing"]
    return found


def test_memory_that_wavers_is_flat() -> None:
    rng = random.Random(3)
    assert growing(lambda _: 80_000 + rng.uniform(-3_000, 3_000)) == []


def test_memory_that_warms_up_and_stays_is_flat() -> None:
    assert growing(lambda number: 80_000 + 20_000 * min(1.0, number / 55)) == []


def test_a_leak_of_a_kilobyte_a_second_is_seen() -> None:
    rng = random.Random(4)
    assert growing(lambda n: 60_000 + n * _EVERY_SECONDS + rng.uniform(-500, 500)) == ["embedder-1"]


def test_a_memory_of_users_may_fill_but_not_overflow() -> None:
    def stage(name: str, most: float) -> list[str]:
        told = samples(lambda number: 70_000 + most * number / 240)
        renamed = [replace(one, processes={name: one.processes["embedder-1"]}) for one in told]
        found: list[str] = steady_verdict.judge(renamed)["growing"]
        return found

    assert stage("deduper-1", 50_000) == []
    assert stage("deduper-1", 150_000) == ["deduper-1"]
    assert stage("superseder-1", 50_000) == ["superseder-1"]


def test_one_large_sample_does_not_tilt_the_slope() -> None:
    assert growing(lambda number: 80_000 + 40_000 * (number == 200)) == []


def test_a_process_that_was_started_again_is_named() -> None:
    verdict = steady_verdict.judge(samples(lambda _: 80_000, pid=lambda n: 7 if n < 200 else 8))
    assert verdict["started_again"] == ["embedder-1"]


def test_a_table_that_nobody_cleans_is_unbounded() -> None:
    bounded = steady_verdict.judge(samples(lambda _: 1, dead=lambda n: 60 * (n % 40)))
    forgotten = steady_verdict.judge(samples(lambda _: 1, dead=lambda n: 60 * n))
    assert (bounded["unbounded"], forgotten["unbounded"]) == ([], ["facts"])


def test_growth_is_told_by_the_hour() -> None:
    found = trend([0.0, 900.0, 1_800.0, 2_700.0], [5.0, 100.0, 110.0, 120.0])
    assert found.per_hour == pytest.approx(40)
    assert (found.first, found.last) == (100.0, 120.0)


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
def test_steady_load_leaves_nothing_behind(tmp_path: Path) -> None:
    """Minutes of it say little of memory (`CHAOS_STEADY_MINUTES=60` does), but of all else."""
    minutes = float(os.environ.get("CHAOS_STEADY_MINUTES", "5"))
    found = steady.measure(steady.Load(minutes=minutes), tmp_path)
    print(found)  # noqa: T201
    assert (found["lost"], found["double"], found["wrong"]) == (0, 0, 0), found
    assert (found["stream_lengths"], found["pending"]) == (0, 0)
    assert (found["started_again"], found["more_files"], found["unbounded"]) == ([], [], [])
    assert found["errors"] == []
    assert minutes < steady_verdict.LEAST_MINUTES or found["growing"] == []
