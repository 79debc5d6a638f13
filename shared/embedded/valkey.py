"""An embedded Valkey: one data folder, one loopback port, a password nobody else can read.

Decides port, password and settings. Never touches streams or keys.
"""

import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import redis

from shared.embedded.binaries import valkey_binary
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.folder import log_file, private_folder, write_private
from shared.embedded.processes import (
    end_tagged,
    folder_tag,
    last_lines,
    spawn,
    wait_until,
)
from shared.embedded.server import EmbeddedServer

PROGRAMS = ("valkey", "redis")
START_ATTEMPTS = 3
# Loading a large append-only file takes its time.
READY_TIMEOUT_SECONDS = 120.0
STOP = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
# Below the ephemeral ports of Linux (32768) and macOS (49152): while the server is down, a
# client's outgoing connection could be given the server's own port, and connect to itself.
PORTS = range(20_000, 32_768)

SETTINGS = """\
# Written by Mémoire at every start.
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
daemonize no
save ""
appendonly {appendonly}
appendfsync everysec
maxmemory-policy noeviction
"""


class EmbeddedValkey(EmbeddedServer):
    """Valkey over `<data_dir>/valkey`; with `durable=False` it keeps nothing on disk."""

    name = "valkey"
    stop_signals = STOP

    def _start(self) -> str:
        binary = valkey_binary()
        private_folder(self._folder)
        tag = folder_tag(self._folder)
        if not end_tagged(tag, PROGRAMS, STOP):
            raise EmbeddedServerError(f"a former Valkey on {self._folder} does not end")
        log = log_file(self._data_dir, self.name)
        password = self._kept("password", lambda: secrets.token_urlsafe(24))
        for _ in range(START_ATTEMPTS):
            port = self._choose_port()
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            self._write_settings(port, password)
            if self._launch(binary, tag, log, url):
                return url
        raise EmbeddedServerError(f"Valkey does not start ({log}):\n{last_lines(log)}")

    def _clean_up(self) -> None:
        """Nothing: port and password stay for the next run."""

    def _choose_port(self) -> int:
        """The port of the last run; another if it is taken, unless clients already know it."""
        port = int(self._kept("port", lambda: str(_free_port())))
        if self._url is None and not _is_free(port):
            port = _free_port()
            write_private(self._folder / "port", str(port))
        return port

    def _write_settings(self, port: int, password: str) -> None:
        """The password in a 0600 file, never on the command line."""
        appendonly = "yes" if self._durable else "no"
        text = SETTINGS.format(port=port, password=password, appendonly=appendonly)
        write_private(self._folder / "valkey.conf", text)

    def _launch(self, binary: Path, tag: str, log: Path, url: str) -> bool:
        """Start it in its own folder, so that no path needs quoting; whether it serves."""
        title = "{title} {listen-addr} " + tag
        self._process = process = spawn(
            [str(binary), "valkey.conf", "--proc-title-template", title],
            log=log,
            death_signal=signal.SIGTERM,
            env={"LC_ALL": "C"},
            cwd=self._folder,
        )
        with redis.Redis.from_url(url, socket_timeout=5, retry=None) as client:
            wait_until(
                lambda: process.poll() is not None or _answers(client, process.pid),
                READY_TIMEOUT_SECONDS,
            )
            return _answers(client, process.pid)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        """The content of our file `name`, made and kept the first time."""
        path = self._folder / name
        if not path.exists():
            write_private(path, make())
        return path.read_text()


def _answers(client: redis.Redis, pid: int) -> bool:
    """Whether it is our own child that answers, and has loaded its data."""
    try:
        return bool(client.info("server")["process_id"] == pid)
    except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is one of these
        return False


def _free_port() -> int:
    for _ in range(1_000):
        port = secrets.choice(PORTS)
        if _is_free(port):
            return port
    raise EmbeddedServerError(f"no free port on 127.0.0.1 between {PORTS[0]} and {PORTS[-1]}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: connections of its last life in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
