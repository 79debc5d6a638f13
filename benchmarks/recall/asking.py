"""Asks a gateway over HTTP as cheaply as Python can, and the same of the bare floor.

The floor is what no exact recall can do without: embed the query, scan the user's vectors in one
statement over one connection.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from benchmarks.instance import Instance
from shared.minilm import MiniLM

_SCAN = """
SELECT fact_id FROM fact_vectors
 WHERE tenant_id = 'default' AND user_id = %(user)s AND model = %(model)s
 ORDER BY embedding <=> %(vector)s LIMIT 100"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of requests took; CPU by the kernel's account, a request."""

    p50_ms: float
    p95_ms: float
    a_second: float
    gateway_cpu_ms: float = 0.0
    postgres_cpu_ms: float = 0.0

    def figures(self) -> dict[str, Any]:
        return {
            "p50 ms": self.p50_ms,
            "p95 ms": self.p95_ms,
            "requests a second": self.a_second,
            "CPU ms a request, gateway": self.gateway_cpu_ms,
            "CPU ms a request, PostgreSQL": self.postgres_cpu_ms,
        }


class Floor:
    """The model and one connection, nothing else."""

    def __init__(self, instance: Instance, model: str) -> None:
        self._instance = instance
        self._minilm = MiniLM(1)
        self._connection = psycopg.connect(instance.database_url, autocommit=True)
        register_vector(self._connection)
        self._model = model

    def ask(self, user: str, question: str) -> None:
        summed = self._minilm.pool([question])[0]
        vector = HalfVector(summed / np.linalg.norm(summed))
        params = {"user": user, "model": self._model, "vector": vector}
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(_SCAN, params, prepare=True).fetchall()

    def cost(self, user: str, questions: Sequence[str]) -> Cost:
        """What the floor takes; its own CPU stands where the gateway's would."""
        before, own = self._instance.cpu()["postgres"], time.process_time()
        cost = _timed([lambda question: self.ask(user, question)], questions)
        spent = time.process_time() - own, self._instance.cpu()["postgres"] - before
        mine, servers = (1000 * seconds / len(questions) for seconds in spent)
        return replace(cost, gateway_cpu_ms=mine, postgres_cpu_ms=servers)


def recall_cost(
    instance: Instance, users: Sequence[str], questions: Sequence[str], clients: int = 1
) -> Cost:
    """Ask each question once, client k about user k; no question is asked twice."""
    before = instance.cpu()
    asking = [Client(instance).ask_about(users[n % len(users)]) for n in range(clients)]
    cost = _timed(asking, questions)
    after = instance.cpu()
    spent = {name: 1000 * (after[name] - before[name]) / len(questions) for name in after}
    return replace(cost, gateway_cpu_ms=spent["gateway"], postgres_cpu_ms=spent["postgres"])


class Client:
    def __init__(self, instance: Instance) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(instance.url).netloc, timeout=60)
        self._headers = {"X-API-Key": instance.key, "Content-Type": "application/json"}

    def ask_about(self, user: str) -> Callable[[str], None]:
        return lambda question: self._ask(user, question)

    def _ask(self, user: str, question: str) -> None:
        body = json.dumps({"user_id": user, "query": question})
        self._connection.request("POST", "/v1/recall", body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200 or not json.loads(text)["relevant_facts"]:
            raise RuntimeError(f"recall answered {answer.status}: {text[:200]!r}")


def _timed(asking: Sequence[Callable[[str], None]], questions: Sequence[str]) -> Cost:
    def share(number: int) -> list[float]:
        return [_milliseconds(asking[number], one) for one in questions[number :: len(asking)]]

    begun = time.monotonic()
    with ThreadPoolExecutor(len(asking)) as pool:
        taken = sorted(ms for mine in pool.map(share, range(len(asking))) for ms in mine)
    wall = time.monotonic() - begun
    return Cost(statistics.median(taken), taken[int(0.95 * len(taken))], len(taken) / wall)


def _milliseconds(ask: Callable[[str], None], question: str) -> float:
    begun = time.perf_counter()
    ask(question)
    return 1000 * (time.perf_counter() - begun)
