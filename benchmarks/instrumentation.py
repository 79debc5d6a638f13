"""What seeing costs: end to end with everything told, and with nothing, turn by turn.

Each round runs every variant on a fresh instance, in an order that turns round, so that neither a
machine that grows warm nor a neighbour that comes and goes favours one. What counts is CPU a
message of all processes, against the variant without anything in the same round; the median of
the rounds is shown with all of them. The collector and whoever scrapes are not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
import uvicorn

from benchmarks.figures import show
from benchmarks.instance import Instance, free_port, running, wait_for
from shared.topology import PROCESSES

NOTHING = "nothing"
_SCRAPE_SECONDS = 5.0
_BATCH = 100
_TWENTIETH = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}


@dataclass(frozen=True, slots=True)
class Variant:
    """What is told: numbers and logs as they are by default, or not at all; and of which traces."""

    told: bool = True
    traced: bool = False
    environment: Mapping[str, str] | None = None

    def settings(self, metrics_port: int, collector: str) -> dict[str, Any]:
        told = {"metrics_port": str(metrics_port), "log_json": "true", "log_level": "info"}
        if not self.told:
            told = {"metrics_port": "0", "log_level": "error"}
        return told | ({"otlp_endpoint": collector} if self.traced else {})


VARIANTS = {
    NOTHING: Variant(told=False),
    "metrics and logs": Variant(),
    "and a twentieth of all traces": Variant(traced=True, environment=_TWENTIETH),
    "and all traces": Variant(traced=True),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: CPU of all processes, and the pace."""

    cpu_ms: float
    messages_a_second: float


def instrumentation(messages: int = 4_000, rounds: int = 3) -> None:
    """End to end with metrics and JSON logs, with traces too, and with nothing: CPU a message."""
    costs: dict[str, list[Cost]] = {name: [] for name in VARIANTS}
    with _collector() as collector:
        for number in range(rounds):
            names = list(VARIANTS)
            names = names[number % len(names) :] + names[: number % len(names)]
            for name in names if number % 2 == 0 else reversed(names):
                costs[name].append(_run(VARIANTS[name], collector, messages))
                print(f"  round {number + 1}, {name}: {costs[name][-1].cpu_ms:.3f} ms", flush=True)
    show(f"what seeing costs, {messages} messages, {rounds} rounds", dict(_figures(costs)))


def _figures(costs: Mapping[str, list[Cost]]) -> Iterator[tuple[str, Any]]:
    for name, runs in costs.items():
        each = ", ".join(f"{run.cpu_ms:.2f}" for run in runs)
        yield f"CPU ms a message, {name}", f"{median(run.cpu_ms for run in runs):.3f}  ({each})"
    for name in costs:
        if name != NOTHING:
            shares = more(costs, name)
            each = ", ".join(f"{100 * share:+.1f}" for share in shares)
            yield f"% more than {NOTHING}: {name}", f"{100 * median(shares):+.1f}  ({each})"
    for name, runs in costs.items():
        yield f"messages a second, {name}", median(run.messages_a_second for run in runs)


def more(costs: Mapping[str, list[Cost]], name: str) -> list[float]:
    """By which share a variant costs more than nothing does, in each round."""
    pairs = zip(costs[name], costs[NOTHING], strict=True)
    return [run.cpu_ms / without.cpu_ms - 1 for run, without in pairs]


def _run(variant: Variant, collector: str, messages: int) -> Cost:
    port = 20_000 + time.time_ns() % 10_000
    given = variant.settings(port, collector)
    with _environment(variant.environment or {}), running(fakes=True, **given) as instance:
        scraped = range(port, port + len(PROCESSES)) if variant.told else range(0)
        with _scraping(scraped):
            before, begun = sum(instance.cpu().values()), time.monotonic()
            _digest(instance, messages)
            wall = time.monotonic() - begun
            spent = sum(instance.cpu().values()) - before
    return Cost(1000 * spent / messages, messages / wall)


def _digest(instance: Instance, messages: int) -> None:
    """50 users with ten sessions each say something, in batches; until all of it is settled."""
    said = [
        {
            "user_id": f"u{number % 50}",
            "session_id": f"s{number // 50 % 10}",
            "role": "user",
            "content": f"Statement {number} about subject {number * 7919 % 10007}",
        }
        for number in range(messages)
    ]
    with instance.client() as client:
        for start in range(0, messages, _BATCH):
            body = {"messages": said[start : start + _BATCH]}
            client.post("/v1/ingest/batch", json=body).raise_for_status()
    instance.settled(messages, 600)


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """What OpenTelemetry's own variables say to the processes that are started meanwhile."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _scraping(ports: range) -> Iterator[None]:
    """Read every process' numbers as Prometheus does, until the block ends."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(_SCRAPE_SECONDS):
            for port in ports:
                with suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/metrics")

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


# ---- a collector that takes everything and keeps nothing


@contextmanager
def _collector() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.instrumentation", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _takes(url), 60, "the collector")
        yield url
    finally:
        process.terminate()
        process.wait()


def _takes(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.post(f"{url}/v1/traces").status_code == 200
    return False


async def _take(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/x-protobuf")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(_take, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
