"""An embedded PostgreSQL: one data folder, one unix socket, restarted after any kill.

Decides where the cluster lives, as whom it runs and when it is ready. Never touches the
schema: extensions and tables belong to the migrations.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from shared.embedded.account import Account, lent_account
from shared.embedded.binaries import PostgresBinaries, postgres_binaries
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.folder import log_file, write_private
from shared.embedded.postgres_settings import (
    access_text,
    identity_text,
    machine_memory_bytes,
    settings_text,
)
from shared.embedded.processes import (
    end_tagged,
    folder_tag,
    last_lines,
    spawn,
    tagged,
    wait_until,
)
from shared.embedded.server import EmbeddedServer
from shared.embedded.socket_folder import remove_socket_folder, usable_socket_folder

DATABASE = "memoire"
PROGRAM = ("postgres",)
RETRY_PAUSE_SECONDS = 0.3
START_ATTEMPTS = 3
# Recovery replays at most `max_wal_size`; a slow disk needs minutes for that.
READY_TIMEOUT_SECONDS = 180.0

STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
# Backends of a dead postmaster only hold its shared memory, which recovery throws away.
END_ORPHANS = ((signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0))


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL over `<data_dir>/postgres`, with a database `memoire` owned by a superuser.

    The URL serves psycopg and every libpq program.
    """

    name = "postgres"
    stop_signals = STOP

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir, durable=durable)
        self._account: Account | None = None
        self._socket_folder: Path | None = None

    def _start(self) -> str:
        self._account = lent_account(self._folder, self._data_dir)
        binaries = postgres_binaries(self._data_dir, self._account)
        log = log_file(self._data_dir, self.name)
        if not (self._folder / "PG_VERSION").exists():
            self._initialize(binaries, log)
        self._require_same_major(binaries)
        self._clear_leftovers()
        self._socket_folder = usable_socket_folder(self._data_dir, self._account)
        self._write_settings(self._socket_folder)
        self._launch(binaries, log)
        url = f"postgresql://memoire@/{DATABASE}?host={quote(str(self._socket_folder), safe='/')}"
        _create_database(url)
        return url

    def _clean_up(self) -> None:
        if self._socket_folder is not None:
            remove_socket_folder(self._socket_folder)
            self._socket_folder = None

    def _initialize(self, binaries: PostgresBinaries, log: Path) -> None:
        """Run initdb in a draft folder, renamed when complete: a kill leaves no half cluster.

        Without `-E UTF8` initdb refuses the builtin provider, which exists since 17.
        """
        draft = self._folder.with_name("postgres.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self._account:
            os.chown(draft, self._account.uid, self._account.gid)
        locale = ["--locale=C"]
        if binaries.major >= 17:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(binaries.initdb), "-D", self._seen_by_server(draft), "-U", "memoire"]
        command += ["-E", "UTF8", *locale, "--auth=peer", *([] if self._durable else ["-N"])]
        if _wait_for(self._spawn(command, draft, log)) != 0:
            raise EmbeddedServerError(f"initdb failed ({log}):\n{last_lines(log)}")
        draft.rename(self._folder)

    def _require_same_major(self, binaries: PostgresBinaries) -> None:
        made_by = (self._folder / "PG_VERSION").read_text().strip()
        if made_by != str(binaries.major):
            raise EmbeddedServerError(
                f"{self._folder} was made by PostgreSQL {made_by}, the programs found are "
                f"{binaries.major}: use those of {made_by}, or dump and restore"
            )

    def _clear_leftovers(self) -> None:
        """Wait for, else end, what an earlier life left: we hold the lock, so it is ours.

        A postmaster whose supervisor was killed is still shutting down; backends whose
        postmaster was killed may compute on and keep the shared memory in use. And a stale
        postmaster.pid can name a living stranger (pids come back, in containers at once):
        PostgreSQL would then refuse to start.
        """
        tag = folder_tag(self._folder)
        postmaster = self._pid_file_lines()[:1]
        orphans = tagged(tag, PROGRAM)
        alive = bool(postmaster) and int(postmaster[0]) in orphans
        if orphans and not end_tagged(tag, PROGRAM, STOP if alive else END_ORPHANS):
            raise EmbeddedServerError(f"processes of a former PostgreSQL do not end: {orphans}")
        (self._folder / "postmaster.pid").unlink(missing_ok=True)

    def _write_settings(self, socket_folder: Path) -> None:
        texts = {
            "postgresql.conf": settings_text(
                machine_memory_bytes(), socket_folder=socket_folder, durable=self._durable
            ),
            "pg_hba.conf": access_text(),
            "pg_ident.conf": identity_text(pwd.getpwuid(os.geteuid()).pw_name),
        }
        owner = (self._account.uid, self._account.gid) if self._account else None
        for name, text in texts.items():
            write_private(self._folder / name, text, owner)

    def _launch(self, binaries: PostgresBinaries, log: Path) -> None:
        """Start the postmaster, more than once if it refuses.

        The kernel may need another moment to detach the shared memory of processes that
        have already vanished from the list.
        """
        command = [str(binaries.postgres), "-D", self._seen_by_server(self._folder)]
        command += ["-c", f"cluster_name={folder_tag(self._folder)}"]
        for _ in range(START_ATTEMPTS):
            self._process = self._spawn(command, self._folder, log)
            wait_until(lambda: self.pid is None or self._ready(), READY_TIMEOUT_SECONDS)
            if self._ready():
                return
            if self.pid is not None:
                break
            time.sleep(RETRY_PAUSE_SECONDS)
        raise EmbeddedServerError(f"PostgreSQL does not start ({log}):\n{last_lines(log)}")

    def _ready(self) -> bool:
        """Our own child's pid in the first line: a stale file says "ready" too."""
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7] == "ready"

    def _pid_file_lines(self) -> list[str]:
        try:
            text = (self._folder / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _spawn(self, command: list[str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        """SIGINT, PostgreSQL's fast shutdown, if we die; none of our PG* variables."""
        return spawn(
            command,
            log=log,
            death_signal=signal.SIGINT,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            cwd=cwd,
            account=self._account,
        )

    def _seen_by_server(self, folder: Path) -> str:
        """The path by which the server opens its own folder.

        Under root the account cannot walk through /root or another 0700 parent, but Popen
        changes into the folder before it drops to the account, and this link leads there
        without a walk. PostgreSQL and initdb never leave their folder.
        """
        return "/proc/self/cwd" if self._account else str(folder)


def _wait_for(process: subprocess.Popen[bytes]) -> int:
    """Its exit code; interrupted, end it with its children: initdb runs a `postgres`."""
    try:
        return process.wait()
    except BaseException:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def _create_database(url: str) -> None:
    """Once; asked at every start, since a kill may have come right after initdb."""
    with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if not known.rowcount:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
