"""`memoire up` as a process of its own, and what a client asks of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], Any], timeout_seconds: float, what: str) -> Any:
    """Poll until the condition holds; fails with what was waited for."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_seconds} s for {what}")


class Instance:
    """A running Mémoire on a data folder."""

    def __init__(self, data: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self.key = ""
        self.client = httpx.Client(base_url=self.url, timeout=90)

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"memoire up ended with {self.process.returncode}")
        try:
            ready = httpx.get(f"{self.url}/v1/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
        if ready:
            self.key = (self.data / "admin.key").read_text().strip()
            self.client.headers["X-API-Key"] = self.key
        return ready

    def ingest(self, content: str, user: str = "ana", **fields: Any) -> dict[str, Any]:
        body = {"user_id": user, "role": "user", "content": content, **fields}
        answer = self.client.post("/v1/ingest", json=body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def settled(self, trace: str, timeout: float = 60) -> dict[str, Any]:
        answer = self.client.get(
            f"/v1/traces/{trace}", params={"wait": "settled", "timeout": timeout}
        )
        return dict(answer.json())

    def say(self, *contents: str, user: str = "ana", **fields: Any) -> None:
        """Ingest and wait until all of it is settled."""
        traces = [self.ingest(content, user, **fields)["trace_id"] for content in contents]
        for trace in traces:
            assert self.settled(trace)["status"] == "settled"

    def recall(self, query: str, user: str = "ana", **fields: Any) -> list[dict[str, Any]]:
        body = {"user_id": user, "query": query, **fields}
        answer = self.client.post("/v1/recall", json=body)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["relevant_facts"])

    def facts(self, user: str = "ana", **params: Any) -> list[dict[str, Any]]:
        answer = self.client.get(f"/v1/users/{user}/facts", params={"limit": 100, **params})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["facts"])

    def values(self, slot: str, user: str = "ana", view: str = "current") -> list[str]:
        return sorted(fact["value"] for fact in self.facts(user, slot=slot, view=view))

    def status(self) -> dict[str, Any]:
        command = [
            sys.executable,
            "-m",
            "services.cli",
            "status",
            "--json",
            "--data",
            str(self.data),
        ]
        done = subprocess.run(command, capture_output=True, check=False, env=environment())
        return dict(json.loads(done.stdout))

    def pids(self) -> dict[str, list[int]]:
        return dict(json.loads((self.data / "runtime.json").read_text())["pids"])

    def kill(self, process: str, number: int = signal.SIGKILL) -> int:
        """Signal a process, once it runs: the gateway answers before the last of them starts."""
        pid = int(wait_for(lambda: self.pids().get(process), 90, f"a {process}")[0])
        os.kill(pid, number)
        return pid

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.status()["database_url"], autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.status()["redis_url"])


def environment(**more: str) -> dict[str, str]:
    """Pass the environment on without what would configure another instance."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEMOIRE_", "OPENAI_"))
    }
    return {**clean, "MEMOIRE_LOG_JSON": "true", **more}


@contextmanager
def running(data: Path, port: int | None = None, **settings: str) -> Iterator[Instance]:
    """Run `memoire up` on a data folder until the block ends, then stop it as Ctrl-C does."""
    port = port or free_port()
    command = [sys.executable, "-m", "services.cli", "up", "--data", str(data), "--port", str(port)]
    with (data.parent / f"{data.name}-up.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment(**settings), start_new_session=True
        )
    instance = Instance(data, port, process)
    try:
        wait_for(instance.ready, 90, "the gateway")
        yield instance
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        instance.client.close()
