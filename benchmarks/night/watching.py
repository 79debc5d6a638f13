"""What a night costs while it lasts: a client that recalls at a steady rate, and the processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cpu import memory_mb
from benchmarks.figures import quantile
from benchmarks.instance import Instance

_SAMPLE_SECONDS = 1.0
KINDS = ("decay", "consolidate", "optimize")


@dataclass
class Recalls:
    """How long each request took, whether or not the one before it was late."""

    milliseconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {
            "recalls": len(self.milliseconds),
            "recall p50 ms": quantile(self.milliseconds, 0.5),
            "recall p95 ms": quantile(self.milliseconds, 0.95),
            "recall, longest ms": max(self.milliseconds),
        }


@contextmanager
def recalling(ask: Callable[[], None], a_second: float) -> Iterator[Recalls]:
    """One client that asks at a steady rate until the block ends; a late answer delays the next."""
    recalls, ended = Recalls(), threading.Event()

    def run() -> None:
        begun, number = time.monotonic(), 0
        while not ended.wait(max(0.0, begun + number / a_second - time.monotonic())):
            number = max(number + 1, int((time.monotonic() - begun) * a_second))
            before = time.perf_counter()
            ask()
            recalls.milliseconds.append(1000 * (time.perf_counter() - before))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield recalls
    finally:
        ended.set()
        thread.join()


class Night:
    """A round that begins now, of some kinds, and what it took until the last job was done."""

    def __init__(self, instance: Instance, kinds: Sequence[str], *, missed: bool = False) -> None:
        """`missed`: its slot was an hour ago, so everybody is due by now."""
        self._instance = instance
        self._ago = "interval '1 hour'" if missed else "interval '0'"
        self._kinds = ",".join(f"'{kind}'" for kind in kinds)
        self._pid = instance.pids()["maintenance"][0]
        self._samples: list[tuple[int, float]] = []

    def last(self, longest_seconds: float) -> dict[str, Any]:
        """Begin the round as its slot would, wait for its end, and say what it took."""
        cpu, begun = self._instance.cpu(), time.monotonic()
        slot = self._instance.rows(
            "INSERT INTO schedules (kind, slot, turn)"
            f" SELECT kind, now() - {self._ago}, -1 FROM unnest(ARRAY[{self._kinds}]) kind"
            " ON CONFLICT (kind) DO UPDATE"
            " SET slot = excluded.slot, turn = -1, finished_at = NULL RETURNING now()::text"
        )[0][0]
        while not self._over(slot):
            if time.monotonic() - begun > longest_seconds:
                raise TimeoutError(f"the night took longer than {longest_seconds:.0f} s")
            time.sleep(_SAMPLE_SECONDS)
        seconds = time.monotonic() - begun
        after = self._instance.cpu()
        spent = {name: after[name] - cpu[name] for name in after}
        return {"wall seconds": seconds, **self._costs(spent), **self._memory(), **self._did(slot)}

    def _over(self, slot: str) -> bool:
        [(done, open_jobs, unfinished)] = self._instance.rows(
            f"SELECT (SELECT count(*) FROM jobs WHERE kind IN ({self._kinds}) AND state = 'done'"
            f"           AND finished_at >= '{slot}'),"
            f"       (SELECT count(*) FROM jobs WHERE kind IN ({self._kinds}) AND state <> 'done'),"
            f"       (SELECT count(*) FROM schedules"
            f"         WHERE kind IN ({self._kinds}) AND finished_at IS NULL)"
        )
        self._samples.append((done, memory_mb(self._pid)))
        return not open_jobs and not unfinished

    def _costs(self, spent: dict[str, float]) -> dict[str, Any]:
        named = ("maintenance", "postgres", "sweeper", "gateway")
        return {f"CPU seconds, {name}": spent[name] for name in named} | {
            "CPU seconds, all": sum(spent.values())
        }

    def _memory(self) -> dict[str, Any]:
        """The process' memory when a quarter, half, … of the jobs were done."""
        jobs = self._samples[-1][0]
        at = [
            next(mb for done, mb in self._samples if done >= jobs * share)
            for share in (0, 0.25, 0.5, 0.75, 1)
        ]
        told = " / ".join(f"{mb:.0f}" for mb in at)
        return {
            "memory of maintenance at 0/25/50/75/100 %, MB": told,
            "  its peak ever, MB": _peak_mb(self._pid),
        }

    def _did(self, slot: str) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for row in self._instance.rows(_DID.format(kinds=self._kinds, slot=slot)):
            kind, jobs, took, each, changed, calls, attempts = row
            told |= {
                f"{kind}: jobs": jobs,
                f"{kind}: seconds until the last was done": float(took),
                f"{kind}: mean ms from its beginning to its end": float(each),
                f"{kind}: changes": int(changed),
                f"{kind}: model calls": int(calls),
                f"{kind}: attempts beyond the first": int(attempts),
            }
        return {
            "jobs of all kinds": sum(told[name] for name in told if name.endswith("jobs")),
            **told,
        }


_DID = """
SELECT kind, count(*), extract(epoch FROM max(finished_at) - '{slot}'::timestamptz),
       1000 * extract(epoch FROM avg(finished_at - started_at)),
       coalesce(sum(coalesce((result ->> 'changed')::int, 0)
                    + coalesce((result ->> 'promoted')::int, 0)
                    + coalesce((result ->> 'demoted')::int, 0)
                    + (coalesce(result ->> 'profile', '') = 'written')::int), 0),
       coalesce(sum((result ->> 'model_calls')::int), 0), sum(attempt - 1)
  FROM jobs WHERE kind IN ({kinds}) AND state = 'done' AND finished_at >= '{slot}'
   AND user_id LIKE 'sleeper%'
 GROUP BY kind ORDER BY kind DESC"""


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
