"""The benchmarks, each a function that prints its figures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import signature
from typing import Any

from benchmarks import upkeep
from benchmarks.cpu import memory_mb
from benchmarks.figures import quantile, show
from benchmarks.instance import Instance, free_port, running, start
from benchmarks.instrumentation import instrumentation
from benchmarks.keys import verify
from benchmarks.recall.scenarios import SMALL, recall


@contextmanager
def costing(instance: Instance, operations: int, title: str, unit: str) -> Iterator[None]:
    """Print wall time and CPU per operation of every process over the block."""
    trips = instance.round_trips()
    before, begun = instance.cpu(), time.monotonic()
    yield
    wall, after = time.monotonic() - begun, instance.cpu()
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    figures: dict[str, Any] = {
        "wall seconds": wall,
        f"{unit}s a second": operations / wall,
        f"CPU ms a {unit}, all processes": 1000 * sum(spent.values()) / operations,
    }
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        figures[f"  CPU ms a {unit}, {name}"] = 1000 * seconds / operations
    for name, count in instance.round_trips().items():
        figures[f"{name} a {unit}"] = (count - trips[name]) / operations
    show(title, figures)


def _message(user: int, session: int, number: int) -> dict[str, Any]:
    return {
        "user_id": f"u{user}",
        "session_id": f"s{session}",
        "role": "user",
        "content": f"Statement {number} of user {user} about subject {number * 7919 % 10007}",
    }


def _messages(users: int, sessions: int, total: int) -> list[dict[str, Any]]:
    return [_message(number % users, number // users % sessions, number) for number in range(total)]


# ---- 1 and 2: ingest


def ingest_single(requests: int = 4000, clients: int = 8) -> None:
    """One message a request, 8 clients, one gateway process."""
    with running(extractor="rules") as instance:
        with costing(instance, requests, "ingest, one message a request", "message"):
            _post_all(instance, clients, [[message] for message in _messages(50, 10, requests)])


def ingest_batches(messages: int = 20_000, size: int = 100) -> None:
    """Batches of 100; the pipeline behind is still, so that intake alone is measured."""
    with running(extractor="rules", window="1") as instance:
        batches = list(_chunks(_messages(50, 10, messages), size))
        with costing(instance, messages, "ingest, batches of 100", "message"):
            _post_all(instance, 2, batches)


def _chunks(messages: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(messages), size):
        yield messages[begin : begin + size]


def _post_all(instance: Instance, clients: int, batches: list[list[dict[str, Any]]]) -> None:
    """Post batches from several clients, each a process of its own pace; latencies are shown."""
    latencies: list[float] = []

    def send(mine: list[list[dict[str, Any]]]) -> None:
        with instance.client() as client:
            for batch in mine:
                begun = time.monotonic()
                if len(batch) == 1:
                    answer = client.post("/v1/ingest", json=batch[0])
                else:
                    answer = client.post("/v1/ingest/batch", json={"messages": batch})
                answer.raise_for_status()
                latencies.append(1000 * (time.monotonic() - begun))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, [batches[index::clients] for index in range(clients)]))
    show(
        "requests",
        {"p50 ms": quantile(latencies, 0.5), "p95 ms": quantile(latencies, 0.95)},
    )


# ---- 3, 4 and 5: end to end


def end_to_end(users: int = 50, sessions: int = 10, messages: int = 5_000, **settings: Any) -> None:
    """Batches in, settled facts out: chat and embedding servers over HTTP that answer at once."""
    with running(fakes=True, **settings) as instance:
        with_ = "".join(f", {name}={value}" for name, value in settings.items())
        title = f"end to end, {messages} messages, {users} users × {sessions} sessions{with_}"
        with costing(instance, messages, title, "message"):
            batches = list(_chunks(_messages(users, sessions, messages), 100))
            with instance.client() as client:
                for batch in batches:
                    client.post("/v1/ingest/batch", json={"messages": batch}).raise_for_status()
            instance.settled(messages, 600)
        _bytes(instance, messages)


def end_to_end_one_user() -> None:
    """The same for one user, whose facts grow to 10,000."""
    end_to_end(users=1, sessions=10)


def end_to_end_unseen() -> None:
    """The same as the first without metrics: the difference is what seeing costs."""
    end_to_end(metrics_port="0")


def end_to_end_scattered() -> None:
    """500 users × 10 sessions, one message each: nothing to batch by session."""
    end_to_end(users=500, sessions=10)


def scale_out(messages_each: int = 1_200) -> None:
    """1, 2 and 4 extractors with a model that takes 200 ms; each message is a call of its own.

    Each has as many messages to do, so that what a run takes at its two ends weighs the same.
    """
    paces: dict[int, float] = {}
    for extractors in (1, 2, 4):
        copies, messages = {"extractor": extractors}, extractors * messages_each
        with running(fakes=True, fakes_delay_ms=200, copies=copies) as instance:
            begun = time.monotonic()
            with costing(instance, messages, f"{extractors} extractors, 200 ms a call", "message"):
                with instance.client() as client:
                    for batch in _chunks(_messages(messages, 1, messages), 100):
                        body = {"messages": batch}
                        client.post("/v1/ingest/batch", json=body).raise_for_status()
                instance.settled(messages, 600)
            paces[extractors] = messages / (time.monotonic() - begun)
    show(
        "scale-out",
        {f"{n} extractors, times {n // 2}": paces[n] / paces[n // 2] for n in (2, 4)},
    )


def _bytes(instance: Instance, messages: int) -> None:
    [(facts, disk)] = instance.rows(
        "SELECT count(*), pg_database_size(current_database()) FROM memory_facts"
    )
    [(wal,)] = instance.rows("SELECT wal_bytes::bigint FROM pg_stat_wal")
    streams = instance.redis().info("memory")["used_memory"]
    show(
        "bytes",
        {
            "facts": facts,
            "WAL bytes a fact": wal / max(1, facts),
            "database bytes a fact": disk / max(1, facts),
            "database bytes a message": disk / messages,
            "Redis used_memory when done": streams,
        },
    )


# ---- 6 and 7: the default path


def latency_at_rest(messages: int = 60) -> None:
    """202 to recallable, rules and the local embedder, nothing else going on."""
    with running() as instance, instance.client() as client:
        waits = []
        for number in range(messages):
            body = {"user_id": f"r{number}", "role": "user", "content": "I live in Lisbon"}
            trace = client.post("/v1/ingest", json=body).json()["trace_id"]
            accepted = time.monotonic()
            client.get(f"/v1/traces/{trace}?wait=settled&timeout=20").raise_for_status()
            waits.append(1000 * (time.monotonic() - accepted))
            time.sleep(0.15)
        show(
            "at rest, 202 to recallable (rules, local embedder)",
            {
                "p50 ms": quantile(waits, 0.5),
                "p95 ms": quantile(waits, 0.95),
                "max ms": max(waits),
            },
        )


def default_path(messages: int = 6_000) -> None:
    """Rules and the local embedder at full load, beside the embedder's own pace."""
    alone = _embedder_alone()
    with running() as instance:
        statements = [
            {**message, "content": f"I have a friend named Person{number}"}
            for number, message in enumerate(_messages(50, 10, messages))
        ]
        begun = time.monotonic()
        with costing(instance, messages, "default path at full load", "message"):
            _post_all(instance, 1, list(_chunks(statements, 100)))
            instance.settled(messages, 600)
        pace = messages / (time.monotonic() - begun)
        show("embedder", {"texts a second alone": alone, "share reached": pace / alone})


def _embedder_alone() -> float:
    program = """
import asyncio, time
from shared.embeddings import LocalEmbedder
async def main():
    embedder = LocalEmbedder()
    texts = [f"Has a friend named Person{n}" for n in range(1000)]
    await embedder.embed(texts[:50])
    begun = time.monotonic()
    for start in range(0, 1000, 100):
        await embedder.embed(texts[start:start + 100])
    print(1000 / (time.monotonic() - begun))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return float(done.stdout)


# ---- 8 and 9: at rest, and starting


def idle(seconds: float = 20.0) -> None:
    """CPU and memory of every process while nothing happens."""
    with running() as instance:
        time.sleep(5)
        before = instance.cpu()
        time.sleep(seconds)
        after = instance.cpu()
        figures = {
            name: f"{100 * (after[name] - before[name]) / seconds:.2f} % CPU, "
            f"{memory_mb(pids[0]):.0f} MB"
            for name, pids in instance.pids().items()
        }
        show(f"idle over {seconds:.0f} s", figures)
        length = sum(
            instance.redis().xlen(stream)
            for stream in instance.redis().scan_iter("memoire:*", _type="stream")
            if not stream.endswith(b":settled")
        )
        show("Redis when idle", {"entries on work streams": length})


def starting() -> None:
    """`memoire up` from nothing to the first answered ingest, and again."""
    import signal  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        figures = {}
        for name in ("first time", "second time", "third time"):
            port = free_port()
            instance = Instance(Path(folder) / "data", f"http://127.0.0.1:{port}")
            process = start(instance, port)
            figures[f"{name}, seconds"] = instance.started_seconds
            process.send_signal(signal.SIGINT)
            process.wait(30)
        show("memoire up to the first answered ingest", figures)


# ---- keys


def verifying_keys(times: int = 20_000) -> None:
    """CPU of verifying a key, without the statement that reads its row once in four seconds."""
    show("keys", asyncio.run(verify(times)))


def fading() -> None:
    """What fading costs and gains, worked out on the conversations beside the checkout."""
    from benchmarks import fading as simulation  # noqa: PLC0415  it loads the embedding model

    simulation.fading()


def recall_small() -> None:
    """The same over 20,000 rows, in under a minute: shows that it runs, not what recall costs."""
    recall(SMALL)


SCENARIOS: dict[str, Callable[..., None]] = {
    "ingest": ingest_single,
    "ingest-batches": ingest_batches,
    "end-to-end": end_to_end,
    "unseen": end_to_end_unseen,
    "instrumentation": instrumentation,
    "one-user": end_to_end_one_user,
    "scattered": end_to_end_scattered,
    "scale-out": scale_out,
    "latency": latency_at_rest,
    "default-path": default_path,
    "idle": idle,
    "start": starting,
    "keys": verifying_keys,
    "fading": fading,
    "recall": recall,
    "recall-small": recall_small,
    "consolidate": upkeep.consolidate,
    "nightly": upkeep.nightly,
    "retention": upkeep.retention,
}


def run(names: Sequence[str], sizes: Mapping[str, int] | None = None) -> None:
    """Run benchmarks by name, each with the sizes it knows; raises KeyError for an unknown one."""
    for name in names or list(SCENARIOS):
        scenario = SCENARIOS[name]
        print(f"\n# memoire bench {name}: {(scenario.__doc__ or '').splitlines()[0]}")
        known = signature(scenario).parameters
        scenario(**{size: value for size, value in (sizes or {}).items() if size in known})


if __name__ == "__main__":
    run(sys.argv[1:])
