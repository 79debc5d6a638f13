"""The command line against real processes: everything a user types in the first hour."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from shared.embedded.processes import birth

STARTED_WITHIN = 60.0
SEEN_WITHIN = 150.0
MEMOIRE = [sys.executable, "-P", "-m", "services.cli"]
LAST_LINE = "Ctrl-C stops everything."

pytestmark = pytest.mark.long


def environment(**more: str) -> dict[str, str]:
    """Ours without any setting of Mémoire or key of a model."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MEMOIRE_", "OPENAI_"))}
    return ours | more


def eventually(condition: Callable[[], Any], within: float = SEEN_WITHIN) -> Any:
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)
    return found


class Instance:
    """One `memoire up` on a data folder, and the commands that find it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.output = data.parent / f"{data.name}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*MEMOIRE, "up", "--data", str(data), "--port", "0"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=data.parent,
            )
        eventually(lambda: LAST_LINE in self.printed or self.process.poll(), STARTED_WITHIN)
        assert LAST_LINE in self.printed, self.printed

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def run(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Run a command that finds this instance; its standard output."""
        done = subprocess.run(
            [*MEMOIRE, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment(MEMOIRE_DATA_DIR=str(self.data)),
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))

    def pids(self) -> list[int]:
        running = json.loads((self.data / "runtime.json").read_text())["pids"]
        return [self.process.pid, *(pid for pids in running.values() for pid in pids)]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def up(data: Path) -> Iterator[Instance]:
    instance = Instance(data)
    try:
        yield instance
    finally:
        if instance.process.poll() is None:
            instance.end()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with up(tmp_path_factory.mktemp("cli") / "data") as started:
        yield started


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Two good lines and two bad ones."""
    file = tmp_path / "chats.jsonl"
    file.write_text(
        '{"content": "I live in Lisbon and I play the cello"}\n'
        "not json\n"
        '{"content": "I am a vegetarian", "timestamp": "2026-01-02T10:00:00Z"}\n'
        '{"content": "hello", "role": "robot"}\n'
    )
    return file


def printed_request(printed: str, path: str) -> httpx.Response:
    """Do what a printed curl line does."""
    (line,) = [line for line in printed.splitlines() if "curl" in line and path in line]
    words = shlex.split(line)
    headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
    return httpx.post(words[2], headers=headers, content=words[-1], trust_env=False)


def test_up_prints_lines_that_work_when_they_are_copied(instance: Instance):
    """The first curl line stores a memory, the second finds it, the third goes through Redis."""
    assert printed_request(instance.printed, "/v1/ingest").status_code == 202
    asked = eventually(
        lambda: printed_request(instance.printed, "/v1/recall").json()["relevant_facts"]
    )
    assert "Lisbon" in asked[0]["content"]

    (line,) = [line for line in instance.printed.splitlines() if "XADD" in line]
    words = shlex.split(line)
    with redis.Redis.from_url(words[2]) as client:
        client.execute_command(*words[3:])
    eventually(lambda: "cello" in instance.run("recall", "ana", "Which instrument?"))


def test_ingest_reports_bad_lines_and_a_second_run_adds_nothing(instance: Instance, chats: Path):
    first = instance.run("ingest", str(chats), "--user", "ines", "--wait", code=1)
    assert "2 accepted, 0 already there, 2 bad lines, all settled" in first
    assert "line 2: not JSON" in first
    assert "line 4: role" in first
    again = instance.run("ingest", "-", "--user", "ines", stdin=chats.read_text(), code=1)
    assert "0 accepted, 2 already there" in again

    answer = instance.json("recall", "ines", "Where does she live?")
    assert answer["relevant_facts"][0]["value"] == "Lisbon"
    assert "Lisbon" in instance.run("recall", "ines", "Where does she live?", "--explain")


def test_status_shows_every_stage(instance: Instance):
    status = eventually(lambda: settled_status(instance))
    assert set(status["stages"]) == {
        "extractor",
        "embedder",
        "deduper",
        "superseder",
        "maintenance",
    }
    assert status["stages"]["extractor"]["stream"] == "memoire:messages"
    for stage in status["stages"].values():
        assert {"stream", "length", "pending", "open", "oldest_seconds", "dead", "pids"} <= set(
            stage
        )
        assert len(stage["pids"]) == 1
    assert status["gateway_url"] in instance.printed
    assert "healthy" in instance.run("status")


def settled_status(instance: Instance) -> Any:
    status = instance.json("status")
    return status if all(stage["open"] == 0 for stage in status["stages"].values()) else None


def test_dead_letters_are_listed_and_dropped(instance: Instance):
    """An entry nobody can read is parked, seen, redriven, dead again and dropped."""
    with redis.Redis.from_url(instance.json("status")["redis_url"]) as client:
        client.xadd("memoire:messages", {"user_id": "ana", "role": "user"})
    (letter,) = eventually(lambda: dead_letters(instance))
    assert letter["stage"] == "extractor"
    assert "content" in letter["error"]
    assert "1 redriven" in instance.run("dead", "redrive", "--id", letter["id"])
    eventually(lambda: dead_letters(instance) and dead_letters(instance)[0]["id"] != letter["id"])
    assert "poison" in instance.run("dead", "list")
    assert "say which" in instance.run("dead", "drop", code=2)
    assert "1 dropped" in instance.run("dead", "drop", "--stage", "extractor")
    assert dead_letters(instance) == []


def dead_letters(instance: Instance) -> Any:
    return instance.json("dead", "list")["dead_letters"]


def test_a_key_is_made_used_rotated_and_revoked(instance: Instance):
    made = instance.json("keys", "create", "my-app", "--scope", "write")
    (listed,) = [key for key in instance.json("keys", "list")["keys"] if key["name"] == "my-app"]
    assert "key" not in listed
    assert knows(instance, made["key"]) == 0
    rotated = instance.json("keys", "rotate", made["id"])
    assert knows(instance, rotated["key"]) == 0
    instance.run("keys", "revoke", rotated["id"])
    assert knows(instance, rotated["key"]) == 1
    assert "my-app" in instance.run("keys", "list")


def test_a_slot_is_set_listed_and_removed(instance: Instance):
    """The instance of the other tests is left as it was."""
    made = json.loads(instance.run("slots", "set", "parking_spot", "--synonym", "Parking Space"))
    assert (made["source"], made["synonyms"]) == ("tenant", ["parking_space"])
    (own,) = instance.json("slots", "list", "--source", "tenant")["slots"]
    assert own == made
    assert "home_city" in instance.run("slots", "list")
    instance.run("slots", "remove", "parking_spot")
    assert instance.json("slots", "list", "--source", "tenant")["slots"] == []


def knows(instance: Instance, key: str) -> int:
    """The exit code of a recall by somebody who has the address and a key, and no data folder."""
    url = json.loads((instance.data / "runtime.json").read_text())["gateway_url"]
    environ = environment(MEMOIRE_URL=url, MEMOIRE_API_KEY=key, MEMOIRE_DATA_DIR="/nowhere")
    return subprocess.run(
        [*MEMOIRE, "recall", "ana", "city"], env=environ, capture_output=True, check=False
    ).returncode


def test_a_killed_process_is_started_again(instance: Instance):
    killed = instance.json("status")["stages"]["extractor"]["pids"][0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: "extractor was killed by SIGKILL" in instance.printed)
    eventually(lambda: revived(instance, killed))


def revived(instance: Instance, killed: int) -> bool:
    pids = json.loads((instance.data / "runtime.json").read_text())["pids"].get("extractor", [])
    return len(pids) == 1 and pids != [killed]


def test_a_folder_and_a_port_belong_to_one_instance(instance: Instance, tmp_path: Path):
    assert "is in use by another" in instance.run("up", "--port", "0", code=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = instance.run("up", "--data", str(tmp_path / "other"), "--port", port, code=1)
    assert f"cannot listen on 127.0.0.1:{port}" in refused
    assert not (tmp_path / "other").exists()


def test_nothing_running_is_said_so(tmp_path: Path):
    for command in (["status"], ["recall", "ana", "x"], ["dead", "list"]):
        done = subprocess.run(
            [*MEMOIRE, *command, "--data", str(tmp_path)],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, command
        assert "memoire up" in done.stderr


def test_ctrl_c_leaves_nothing_and_the_next_start_remembers(tmp_path: Path):
    with up(tmp_path / "data") as first:
        first.run("ingest", "-", "--user", "ana", "--wait", stdin='{"content": "I live in Lisbon"}')
        key = (first.data / "admin.key").read_text()
        assert (first.data / "admin.key").stat().st_mode & 0o777 == 0o600
        pids = first.pids()
        assert first.end(signal.SIGINT) == 0
        assert not [pid for pid in pids if birth(pid)]
        assert "nothing runs" in first.run("status", code=3)
    with up(tmp_path / "data") as second:
        assert (second.data / "admin.key").read_text() == key
        assert "Lisbon" in second.run("recall", "ana", "Where does she live?")
        assert second.end(signal.SIGTERM) == 0
