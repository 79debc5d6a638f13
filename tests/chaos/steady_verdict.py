"""What the samples of a steady load say (pure): flat or not, bounded or not, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.chaos.trend import Trend, after_warm_up, trend
from tests.chaos.vitals import Vitals

MOST_GROWTH_PER_HOUR = 0.05
NOISE_KILOBYTES = 2_048.0
"""Less than this within one run is the allocator's, not a leak that anybody could tell."""
FILLED_KILOBYTES = {"deduper": 110_000.0}
"""What a stage remembers on purpose, up to a bound that an hour may not reach: see its `memory`."""
LEAST_MINUTES = 30.0
"""A shorter run sees caches fill, and cannot tell that from a leak."""
VACUUM_SHARE = 0.2
"""PostgreSQL lets a fifth of a table die before it cleans up …"""
VACUUM_SLACK = 5_000
"""… and looks once a minute: what a small, busy table gathers meanwhile."""


def judge(samples: Sequence[Vitals]) -> dict[str, Any]:
    """Say what grew, who was started again, and which tables kept too many dead tuples."""
    memory = {name: memory_of(samples, name) for name in steadfast(samples)}
    growing = sorted(name for name, one in memory.items() if leaks(samples, name, one))
    files = {name: trend_of(samples, name, "files") for name in memory}
    dead = dead_tuples(samples)
    return {
        "growth_per_hour": {n: round(one.share_per_hour, 4) for n, one in memory.items()},
        "growing": growing,
        "started_again": sorted(everybody(samples) - memory.keys()),
        "more_files": sorted(n for n, one in files.items() if not one.flat(0.05, noise=3)),
        "connections": max(one.connections for one in samples),
        "dead_tuples": {n: most for n, (most, _) in dead.items() if most},
        "unbounded": sorted(n for n, (most, allowed) in dead.items() if most > allowed),
        "longest_stream": max(sum(one.streams.values()) for one in samples),
    }


def leaks(samples: Sequence[Vitals], name: str, memory: Trend) -> bool:
    """Whether it grows, and by more than what it may remember."""
    if memory.flat(MOST_GROWTH_PER_HOUR, NOISE_KILOBYTES):
        return False
    first = next(one.processes[name].anonymous for one in samples if name in one.processes)
    return memory.highest - first > FILLED_KILOBYTES.get(name.rpartition("-")[0], 0.0)


def everybody(samples: Sequence[Vitals]) -> set[str]:
    return {name for one in samples for name in one.processes}


def steadfast(samples: Sequence[Vitals]) -> list[str]:
    """Who was the same process in every sample after the warm-up."""
    late = samples[after_warm_up([one.at for one in samples]) :]
    lives: dict[str, set[int]] = {}
    for one in late:
        for name in everybody(samples):
            process = one.processes.get(name)
            lives.setdefault(name, set()).add(process.pid if process else 0)
    return sorted(name for name, pids in lives.items() if len(pids) == 1 and 0 not in pids)


def memory_of(samples: Sequence[Vitals], name: str) -> Trend:
    return trend_of(samples, name, "anonymous")


def trend_of(samples: Sequence[Vitals], name: str, what: str) -> Trend:
    """Fit one number of one process, over the samples in which it lives."""
    living = [(one.at, one.processes[name]) for one in samples if name in one.processes]
    return trend([at for at, _ in living], [float(getattr(p, what)) for _, p in living])


def dead_tuples(samples: Sequence[Vitals]) -> dict[str, tuple[int, int]]:
    """Of each table: the most dead tuples after the warm-up, and how many were allowed just then."""
    found: dict[str, tuple[int, int]] = {}
    for one in samples[after_warm_up([one.at for one in samples]) :]:
        for name, table in one.tables.items():
            allowed = int(2 * VACUUM_SHARE * table["live"]) + VACUUM_SLACK
            now = (table["dead"], allowed)
            found[name] = max(found.get(name, now), now, key=lambda each: each[0] - each[1])
    return found


def table(samples: Sequence[Vitals]) -> str:
    """A line for each process: megabytes after the warm-up and at the end, growth, files, CPU."""
    lines = [
        f"{'process':<16} {'MB then':>8} {'MB last':>8} {'%/hour':>7} {'files':>6} {'CPU s':>7}"
    ]
    for name in steadfast(samples):
        memory, last = memory_of(samples, name), samples[-1].processes[name]
        lines.append(
            f"{name:<16} {memory.first / 1024:>8.1f} {memory.last / 1024:>8.1f} "
            f"{100 * memory.share_per_hour:>7.1f} {last.files:>6} {last.cpu_seconds:>7.0f}"
        )
    lines.append(f"{'table':<16} {'live':>8} {'dead':>8} {'most dead':>9} {'vacuums':>7} {'MB':>7}")
    dead = dead_tuples(samples)
    for name, one in sorted(samples[-1].tables.items(), key=lambda each: -each[1]["bytes"]):
        if one["live"] or one["dead"]:
            lines.append(
                f"{name:<16} {one['live']:>8} {one['dead']:>8} {dead[name][0]:>9} "
                f"{one['vacuums']:>7} {one['bytes'] / 1_048_576:>7.1f}"
            )
    return "\n".join(lines)
