"""A real `memoire up` on a temporary folder, with the fakes beside it when they are asked for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from benchmarks.cpu import cpu_seconds
from shared.topology import PROCESSES

_RESTING_SECONDS = 0.04  # of CPU in half a second, all processes: what they spend when idle
_LONGEST_START_SECONDS = 20.0

_START_SECONDS = 120.0  # 4 on a machine at rest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], Any], timeout_seconds: float, what: str) -> Any:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"waited {timeout_seconds} s for {what}")


@dataclass
class Instance:
    """Where a benchmark's instance is, and what it has cost so far."""

    data: Path
    url: str
    key: str = ""
    database_url: str = ""
    redis_url: str = ""
    started_seconds: float = 0.0
    _database: list[psycopg.Connection] = field(default_factory=list)

    def pids(self) -> dict[str, list[int]]:
        return dict(json.loads((self.data / "runtime.json").read_text())["pids"])

    def cpu(self) -> dict[str, float]:
        return cpu_seconds(self.pids())

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=60)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        if not self._database:
            self._database.append(psycopg.connect(self.database_url, autocommit=True))
        return self._database[0].execute(statement.encode()).fetchall()

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def quiet(self) -> None:
        """Wait until every process has started and rests: a start is no operation's cost."""
        wait_for(lambda: self.pids().keys() >= set(PROCESSES), 30, "every process")
        before = sum(self.cpu().values())
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = sum(self.cpu().values())
            if now - before < _RESTING_SECONDS:
                return
            before = now

    def round_trips(self) -> dict[str, int]:
        """Count what was asked of the two servers so far, by anybody."""
        [(transactions, wal)] = self.rows(
            "SELECT sum(xact_commit)::bigint, (SELECT wal_bytes::bigint FROM pg_stat_wal)"
            "  FROM pg_stat_database"
        )
        commands = int(self.redis().info("stats")["total_commands_processed"])
        return {"transactions": transactions, "Redis commands": commands, "WAL bytes": wal}

    def settled(self, messages: int, timeout_seconds: float) -> None:
        """Wait until that many messages are extracted and no fact is open."""
        statement = """
            SELECT (SELECT count(*) FROM chat_logs WHERE state = 'extracted'),
                   NOT EXISTS (SELECT FROM memory_facts WHERE state <> 'settled')"""
        wait_for(lambda: _done(self.rows(statement)[0], messages), timeout_seconds, "settling")


def _done(counted: tuple[Any, ...], messages: int) -> bool:
    extracted, nothing_open = counted
    time.sleep(0.2)  # seldom: counting costs PostgreSQL what is being measured
    return bool(extracted >= messages and nothing_open)


@contextmanager
def running(
    *,
    fakes: bool = False,
    fakes_delay_ms: int = 0,
    copies: Mapping[str, int] | None = None,
    **settings: str,
) -> Iterator[Instance]:
    """Start an instance from nothing; stopped and removed at the end."""
    with tempfile.TemporaryDirectory() as folder, _fakes(fakes, fakes_delay_ms) as models:
        data = Path(folder) / "data"
        with running_in(data, copies, **{**models, **settings}) as instance:
            yield instance


@contextmanager
def running_in(
    data: Path, copies: Mapping[str, int] | None = None, **settings: str
) -> Iterator[Instance]:
    """Start an instance over a folder, which is left as it is at the end."""
    port = free_port()
    instance = Instance(data, f"http://127.0.0.1:{port}")
    process = start(instance, port, copies, **settings)
    try:
        instance.quiet()
        yield instance
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def start(
    instance: Instance, port: int, copies: Mapping[str, int] | None = None, **settings: str
) -> subprocess.Popen[bytes]:
    """Start `memoire up` and wait until it answers its first ingest."""
    command = [sys.executable, "-m", "services.cli", "up"]
    command += ["--data", str(instance.data), "--port", str(port)]
    for name, count in (copies or {}).items():
        command += ["--copies", f"{name}={count}"]
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(settings)
    )
    try:
        wait_for(lambda: _first_ingest(instance), _START_SECONDS, "the first answered ingest")
    except TimeoutError:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        raise
    instance.started_seconds = time.monotonic() - begun
    runtime = wait_for(lambda: _runtime(instance), 10, "runtime.json")
    instance.database_url, instance.redis_url = runtime["database_url"], runtime["redis_url"]
    return process


def _runtime(instance: Instance) -> dict[str, Any]:
    path = instance.data / "runtime.json"
    runtime: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return runtime if "gateway" in runtime.get("pids", {}) else {}


def _first_ingest(instance: Instance) -> bool:
    key = instance.data / "admin.key"
    if not key.exists():
        return False
    instance.key = key.read_text().strip()
    body = {"user_id": "first", "role": "assistant", "content": "hello"}
    try:
        answer = httpx.post(
            f"{instance.url}/v1/ingest", json=body, headers={"X-API-Key": instance.key}
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == 202


def _environment(settings: dict[str, str]) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEMOIRE_", "OPENAI_"))
    }
    return {**clean, **{f"MEMOIRE_{name.upper()}": value for name, value in settings.items()}}


@contextmanager
def _fakes(enabled: bool, delay_ms: int) -> Iterator[dict[str, str]]:
    if not enabled:
        yield {}
        return
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fakes", str(port), str(delay_ms)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        wait_for(lambda: _answers(port), 20, "the fakes")
        yield {
            "llm_base_url": url,
            "llm_api_key": "fake",
            "embed_base_url": url,
            "embed_api_key": "fake",
            "judge": "off",  # its sentences are made up: a model's verdicts would measure the fake
        }
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True
