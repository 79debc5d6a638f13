"""The benchmark of recall: `memoire bench recall`, in other sizes `python -m benchmarks.recall`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import show
from benchmarks.instance import Instance, running, running_in
from benchmarks.recall.asking import Cost, Floor, recall_cost
from benchmarks.recall.corpus import Corpus
from benchmarks.recall.filling import Filling
from shared.embeddings import LOCAL_MODEL
from shared.minilm import MiniLM

_CENTRES = 300
_WARM_UP = 12


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many facts are asked about, among how many rows."""

    rows: int = 1_000_000
    large: int = 10_000
    huge: int = 100_000
    usual: int = 1_000
    clients: int = 8
    requests: int = 200

    @property
    def before(self) -> int:
        """Rows of others at first: a hundredth of what there will be."""
        return self.rows // 100

    @property
    def crowd(self) -> dict[str, int]:
        return {f"usual{number}": self.usual for number in range(self.clients)}

    @property
    def among_others(self) -> dict[str, int]:
        return {"large": self.large, "huge": self.huge, **self.crowd}


SMALL = Sizes(rows=20_000, large=2_000, huge=5_000, usual=300, requests=40)


def recall(sizes: Sizes = Sizes(), data: Path | None = None) -> None:
    """Recall over HTTP, local embedder, queries never seen before, beside the bare floor."""
    with running_in(data) if data else running() as instance:
        bench = _Bench(instance, sizes)
        bench.before_others()
        bench.one_client("large", sizes.large)
        bench.among_others()
        bench.crowd()
        bench.one_client("huge", sizes.huge, sizes.requests // 4)
        bench.while_digesting()


class _Bench:
    def __init__(self, instance: Instance, sizes: Sizes) -> None:
        self._instance = instance
        self._sizes = sizes
        self._corpus = Corpus()
        self._floor = Floor(instance, LOCAL_MODEL)
        self._alone: Cost | None = None
        self._filling = Filling(
            instance.database_url, self._corpus, LOCAL_MODEL, _centres(self._corpus)
        )

    def before_others(self) -> None:
        """Fill the database; the first user is asked about before the rows of others come."""
        if not self._known("first"):
            self._filling.fill({"first": self._sizes.usual}, self._sizes.before)
            self._alone = self._ask(["first"])
        if not self._known("large"):
            asked = self._sizes.among_others
            others = max(0, self._sizes.rows - sum(asked.values()) - self._sizes.before)
            seconds = self._filling.fill(asked, others)
            show("filling", {"rows": self._sizes.rows, "seconds": seconds})

    def one_client(self, user: str, facts: int, requests: int | None = None) -> None:
        """One user, one client, beside the floor."""
        cost = self._ask([user], requests=requests)
        show(f"{facts} facts of one user, one client", self._beside_floor(user, cost))

    def among_others(self) -> None:
        """A user of the usual size, with a hundred times the rows of others."""
        cost = self._ask(["usual0"])
        figures = self._beside_floor("usual0", cost)
        if self._alone is not None:
            figures["p50 ms before the others came"] = self._alone.p50_ms
            figures["times the p50 before"] = cost.p50_ms / self._alone.p50_ms
        show(f"{self._sizes.usual} facts of one user among {self._sizes.rows} rows", figures)

    def crowd(self) -> None:
        """Eight clients at once, each about a user of its own."""
        clients = self._sizes.clients
        cost = self._ask(list(self._sizes.crowd), clients, self._sizes.requests * 4)
        show(f"{clients} clients, {self._sizes.usual} facts each", cost.figures())

    def while_digesting(self) -> None:
        """The usual user again, while the pipeline digests other users' messages at full rate."""
        idle = self._ask(["usual1"])
        with _digesting(self._instance):
            busy = self._ask(["usual1"])
        figures = busy.figures() | {"p95 ms idle": idle.p95_ms}
        show("while the pipeline digests", figures | {"times": busy.p95_ms / idle.p95_ms})

    def _ask(self, users: Sequence[str], clients: int = 1, requests: int | None = None) -> Cost:
        count = requests or self._sizes.requests
        questions = self._questions(users[0], count + _WARM_UP * clients)
        recall_cost(self._instance, users, questions[count:], clients)
        self._instance.quiet()  # whoever was asked about twice is read into memory
        return recall_cost(self._instance, users, questions[:count], clients)

    def _beside_floor(self, user: str, cost: Cost) -> dict[str, Any]:
        questions = self._questions(user, 60)
        self._floor.cost(user, questions[:10])
        floor = self._floor.cost(user, questions[10:])
        return cost.figures() | {
            "p50 ms of the floor": floor.p50_ms,
            "p95 ms of the floor": floor.p95_ms,
            "times the floor": cost.p50_ms / floor.p50_ms,
            "CPU ms of the floor, model": floor.gateway_cpu_ms,
            "CPU ms of the floor, PostgreSQL": floor.postgres_cpu_ms,
        }

    def _questions(self, user: str, count: int) -> list[str]:
        rows = self._instance.rows(
            f"SELECT content FROM memory_facts WHERE user_id = '{user}' ORDER BY id LIMIT 2000"
        )
        return self._corpus.questions([row[0] for row in rows], count)

    def _known(self, user: str) -> bool:
        found = self._instance.rows(
            f"SELECT FROM memory_facts WHERE tenant_id = 'default' AND user_id = '{user}' LIMIT 1"
        )
        return bool(found)


def _centres(corpus: Corpus) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Where real sentences lie: the corpus' own, embedded."""
    summed = MiniLM(1).pool(corpus.sentences(_CENTRES))
    centres: np.ndarray[Any, np.dtype[np.float32]] = summed / np.linalg.norm(
        summed, axis=1, keepdims=True
    )
    return centres


@contextmanager
def _digesting(instance: Instance) -> Iterator[None]:
    """Keep the pipeline busy with batches of new messages until the block ends."""
    ended = threading.Event()

    def send() -> None:
        batch = 0
        with instance.client() as client:
            while not ended.is_set():
                messages = [
                    {
                        "user_id": f"talker{batch % 50}",
                        "session_id": f"s{batch}",
                        "role": "user",
                        "content": f"I have a friend named Person{batch}x{number}",
                    }
                    for number in range(100)
                ]
                answer = client.post("/v1/ingest/batch", json={"messages": messages})
                if answer.status_code != 503:  # else the same again
                    answer.raise_for_status()
                    batch += 1
                ended.wait(0.15)  # more than the local embedder digests on one core

    thread = threading.Thread(target=send)
    thread.start()
    try:
        ended.wait(2.0)
        yield
    finally:
        ended.set()
        thread.join()
