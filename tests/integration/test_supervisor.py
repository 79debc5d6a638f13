"""The supervisor keeps its children running, ends them in order and leaves none behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis

from services.console.children import Backoff, Child, Program, Tail
from services.console.runtime import read_runtime, runtime_path
from services.console.supervisor import Supervisor
from shared.embedded.processes import birth, folder_tag, tagged, wait_until

WAIT_SECONDS = 60

# Says it is up, and on SIGTERM writes its name to the file `order`, then leaves.
POLITE = """
import os, signal, sys
def leave(*_):
    with open("order", "a") as file: file.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", os.getpid(), flush=True)
while True: signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()
"""
FAILING = 'print("failing", flush=True); raise SystemExit(3)'


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class FakeServer:
    """Dies when told to, and writes its stop into the same file as the children."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid: int | None = 1
        self.starts = 0

    def poll(self) -> int | None:
        return None if self.pid else -9

    def restart_if_dead(self) -> bool:
        self.starts += 1
        self.pid = 2
        return True

    def stop(self) -> None:
        with Path("order").open("a") as file:
            file.write(f"{self.name}\n")


def program(script: str, name: str = "stage") -> Program:
    return Program(name, [sys.executable, "-c", script, name], dict(os.environ))


class Watched:
    """A supervisor in this process, stepped by the test; `lines` is what it reported."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.lines: list[tuple[str, str]] = []
        self.supervisor: Supervisor | None = None

    def start(self, *programs: Program, **options: object) -> Supervisor:
        self.supervisor = Supervisor(
            self.folder,
            programs,
            gateway_url="http://g",
            database_url="postgresql://d",
            redis_url="redis://r",
            on_line=lambda label, line: self.lines.append((label, line)),
            **options,
        )
        return self.supervisor

    def until(self, condition: Callable[[], bool]) -> None:
        def stepped() -> bool:
            self.supervisor.step()
            return condition()

        assert wait_until(stepped, WAIT_SECONDS), self.lines

    def count(self, label: str, beginning: str) -> int:
        return sum(name == label and line.startswith(beginning) for name, line in self.lines)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.supervisor.stop()


def test_a_killed_child_starts_again_and_the_runtime_names_its_new_pid(watched: Watched) -> None:
    watched.start(program(POLITE))
    watched.until(lambda: watched.count("stage", "up") == 1)
    (former,) = read_runtime(watched.folder).pids["stage"]
    os.kill(former, signal.SIGKILL)
    watched.until(lambda: watched.count("stage", "up") == 2)
    (present,) = read_runtime(watched.folder).pids["stage"]
    assert present != former
    assert ("supervisor", "stage was killed by SIGKILL; starts again in 0.2 s") in watched.lines


def test_a_child_that_keeps_failing_is_started_ever_more_slowly(watched: Watched) -> None:
    watched.start(program(FAILING), program(POLITE, "other"))
    watched.until(lambda: watched.count("supervisor", "stage ended with 3") == 3)
    said = [line for label, line in watched.lines if line.startswith("stage")]
    assert [line.rpartition("in ")[2] for line in said] == ["0.2 s", "0.4 s", "0.8 s"]
    assert watched.count("other", "up") == 1


def test_the_wait_is_bounded_and_forgotten_after_a_healthy_life() -> None:
    backoff = Backoff()
    waits = [backoff.after(1) for _ in range(8)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert backoff.after(30) == 0.2


def test_copies_share_a_name_and_have_logs_of_their_own(watched: Watched) -> None:
    watched.start(program(POLITE), program(POLITE))
    watched.until(lambda: watched.count("stage", "up") == watched.count("stage-2", "up") == 1)
    pids = read_runtime(watched.folder).pids["stage"]
    logs = [watched.folder / "logs" / f"{label}.log" for label in ("stage", "stage-2")]
    assert [log.read_text() for log in logs] == [f"up {pid}\n" for pid in pids]


def test_children_end_first_then_valkey_then_postgres(watched: Watched) -> None:
    servers = [FakeServer("postgres"), FakeServer("valkey")]
    supervisor = watched.start(program(POLITE, "gateway"), program(POLITE), servers=servers)
    watched.until(lambda: watched.count("gateway", "up") == watched.count("stage", "up") == 1)
    assert runtime_path(watched.folder).exists()
    supervisor.stop()
    order = Path("order").read_text().split()
    assert sorted(order[:2]) == ["gateway", "stage"]
    assert order[2:] == ["valkey", "postgres"]
    assert not runtime_path(watched.folder).exists()


def test_a_child_that_ignores_the_stop_is_killed_after_the_grace(watched: Watched) -> None:
    supervisor = watched.start(program(STUBBORN), grace_seconds=0.2)
    watched.until(lambda: watched.count("stage", "up") == 1)
    (pid,) = read_runtime(watched.folder).pids["stage"]
    supervisor.stop()
    assert birth(pid) is None
    assert ("supervisor", "stage does not end in time and is killed") in watched.lines


def test_servers_are_ended_although_nobody_can_be_told(tmp_path: Path) -> None:
    """The terminal is gone: printing raises."""

    def broken(label: str, line: str) -> None:
        raise BrokenPipeError

    supervisor = Supervisor(
        tmp_path,
        [program(STUBBORN)],
        servers=[FakeServer("postgres")],
        gateway_url="",
        database_url="",
        redis_url="",
        on_line=broken,
        grace_seconds=0.1,
    )

    def stepped_until_it_breaks() -> bool:
        try:
            supervisor.step()
        except BrokenPipeError:
            return True
        return False

    assert wait_until(stepped_until_it_breaks, WAIT_SECONDS)
    (pid,) = read_runtime(tmp_path).pids["stage"]
    with pytest.raises(BrokenPipeError):
        supervisor.stop()
    assert birth(pid) is None
    assert Path("order").read_text() == "postgres\n"


def test_a_dead_server_is_restarted_before_any_child(watched: Watched) -> None:
    server = FakeServer("valkey")
    server.pid = None
    watched.start(program(POLITE), servers=[server])
    watched.until(lambda: watched.count("stage", "up") == 1)
    assert server.starts == 1
    assert watched.lines[0] == ("supervisor", "valkey was killed by SIGKILL; starting it again")
    assert read_runtime(watched.folder).pids["valkey"] == [2]


def test_the_runtime_file_is_private_and_stale_once_its_supervisor_is_dead(
    watched: Watched,
) -> None:
    assert read_runtime(watched.folder) is None
    watched.start(program(POLITE))
    watched.until(lambda: watched.count("stage", "up") == 1)
    path = runtime_path(watched.folder)
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert content["supervisor_pid"] == os.getpid()
    content["supervisor_birth"] = "1"  # the pid of a dead one, used again by us
    path.write_text(json.dumps(content))
    assert read_runtime(watched.folder) is None
    path.write_text("{")
    assert read_runtime(watched.folder) is None


def test_a_large_log_is_moved_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "logs/stage.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    child = Child(program(POLITE), "stage", tmp_path)
    child.start_if_due()
    assert wait_until(lambda: child.new_lines() == [f"up {child.pid}"], WAIT_SECONDS)
    child.kill()
    assert (tmp_path / "logs/stage.log.1").stat().st_size == 11 * 1024 * 1024


def test_a_line_is_reported_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    tail = Tail(log)
    with log.open("a") as file:
        file.write("one\nhal")
        file.flush()
        assert tail.lines() == ["one"]
        file.write("f\n")
        file.flush()
        assert tail.lines() == ["half"]
    assert tail.lines() == []


RUN = """
import os, signal, sys
from pathlib import Path
from services.console.children import Program
from services.console.supervisor import Supervisor
from shared.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
folder = Path(sys.argv[1])
program = Program("stage", [sys.executable, "-c", sys.argv[2], "stage"], dict(os.environ))
with DataFolder(folder), EmbeddedPostgres(folder) as postgres, EmbeddedValkey(folder) as valkey:
    Supervisor(
        folder, [program, program], servers=[postgres, valkey], gateway_url="http://g",
        database_url=postgres.url, redis_url=valkey.url, grace_seconds=90,
    ).run()
"""


def start_instance(folder: Path, script: str = POLITE) -> subprocess.Popen[bytes]:
    """A whole instance in a process of its own, its stages up."""
    instance = subprocess.Popen([sys.executable, "-c", RUN, str(folder), script])
    assert wait_until(
        lambda: _has(folder, "stage", 2) and _has(folder, "postgres", 1), WAIT_SECONDS
    )
    logs = [folder / "logs" / f"{label}.log" for label in ("stage", "stage-2")]
    assert wait_until(lambda: all("up" in log.read_text() for log in logs), WAIT_SECONDS)
    return instance


def everybody(folder: Path) -> list[int]:
    """All processes of an instance, backends of PostgreSQL included."""
    runtime = read_runtime(folder)
    pids = {pid for several in runtime.pids.values() for pid in several}
    return [*pids, *tagged(folder_tag(folder / "postgres"), ("postgres",))]


def _has(folder: Path, name: str, count: int) -> bool:
    runtime = read_runtime(folder)
    return runtime is not None and len(runtime.pids.get(name, [])) == count


def _gone(pids: list[int]) -> bool:
    return all(birth(pid) is None for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_everything_in_order(tmp_path: Path, number: signal.Signals) -> None:
    instance = start_instance(tmp_path)
    pids = everybody(tmp_path)
    instance.send_signal(number)
    assert instance.wait(WAIT_SECONDS) == 0
    assert _gone(pids)
    assert Path("order").read_text() == "stage\nstage\n"
    assert not runtime_path(tmp_path).exists()


@pytest.mark.alone
def test_a_second_ctrl_c_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    instance = start_instance(tmp_path, STUBBORN)
    pids = everybody(tmp_path)
    instance.send_signal(signal.SIGINT)
    assert not wait_until(lambda: instance.poll() is not None, 0.3)
    instance.send_signal(signal.SIGINT)
    instance.wait(WAIT_SECONDS)  # the grace is longer
    assert _gone(pids)


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    instance = start_instance(tmp_path)
    pids, url = everybody(tmp_path), read_runtime(tmp_path).database_url
    instance.kill()
    instance.wait()
    assert wait_until(lambda: _gone(pids), WAIT_SECONDS)
    assert runtime_path(tmp_path).exists()
    assert read_runtime(tmp_path) is None
    # What a kill does leave, once per data folder and until its next start.
    shutil.rmtree(parse_qs(urlsplit(url).query)["host"][0])


def test_killed_servers_come_back_at_the_urls_the_stages_know(tmp_path: Path) -> None:
    instance = start_instance(tmp_path)
    before = read_runtime(tmp_path)
    for name in ("postgres", "valkey"):
        os.kill(before.pids[name][0], signal.SIGKILL)

    def both_are_new() -> bool:
        now = read_runtime(tmp_path)
        return all(
            now.pids.get(name, before.pids[name]) != before.pids[name]
            for name in ("postgres", "valkey")
        )

    assert wait_until(both_are_new, WAIT_SECONDS)
    after = read_runtime(tmp_path)
    assert (after.database_url, after.redis_url) == (before.database_url, before.redis_url)
    assert after.pids["stage"] == before.pids["stage"]
    with psycopg.connect(after.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert redis.Redis.from_url(after.redis_url).ping()
    instance.send_signal(signal.SIGTERM)
    assert instance.wait(WAIT_SECONDS) == 0
