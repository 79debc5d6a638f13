"""The whole product on one machine: servers, schema, admin key, and a supervisor of all processes.

Decides where each part finds the others. `up` and `demo` run what is built here.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from services.console.children import Program
from services.console.errors import explained
from services.console.ports import listening_port, url_of
from services.console.supervisor import Server, Supervisor
from shared.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from shared.embedded.folder import write_private
from shared.migrate import migrate, refuse_unisolated
from shared.settings import Settings
from shared.topology import PROCESSES

OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Instance:
    """A built instance: its servers run, its processes start with `supervisor.run()`."""

    settings: Settings
    gateway_url: str
    redis_url: str
    admin_key: str
    supervisor: Supervisor

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir


@contextmanager
def built_instance(
    settings: Settings,
    *,
    on_line: OnLine,
    copies: Mapping[str, int] | None = None,
    kind: type[Supervisor] = Supervisor,
) -> Iterator[Instance]:
    """Start servers, migrate, and build the supervisor; leaving the block ends the servers.

    Raises CommandError: the port or the data folder is taken, or a server does not start.
    """
    port = listening_port(settings.host, settings.port)
    with explained(), _interruptible(), ExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir)).path
        servers: list[Server] = []
        settings = _with_servers(settings, folder, servers, stack)
        key = settings.admin_key.get_secret_value() if settings.admin_key else kept_key(folder)
        settings = settings.model_copy(
            update={"port": port, "data_dir": folder, "admin_key": SecretStr(key)}
        )
        database_url, redis_url = settings.database_url or "", settings.redis_url or ""
        migrate(database_url)
        if settings.row_security:
            refuse_unisolated(database_url)
        supervisor = kind(
            folder,
            programs(settings, key, copies or {}),
            servers=servers,
            gateway_url=url_of(settings.host, port),
            database_url=database_url,
            redis_url=redis_url,
            on_line=on_line,
            grace_seconds=settings.stop_grace_seconds,
        )
        yield Instance(settings, url_of(settings.host, port), redis_url, key, supervisor)


def _with_servers(
    settings: Settings, folder: Path, servers: list[Server], stack: ExitStack
) -> Settings:
    """The settings with both URLs, from servers of our own where none was given."""
    urls: dict[str, str] = {}
    for name, kind in (("database_url", EmbeddedPostgres), ("redis_url", EmbeddedValkey)):
        if getattr(settings, name) is None:
            server = stack.enter_context(kind(folder))
            servers.append(server)
            urls[name] = server.url
    return settings.model_copy(update=urls)


_STAGES_AFTER_SECONDS = 0.8
_HIGHEST_PORT = 65_535


def programs(settings: Settings, key: str, copies: Mapping[str, int]) -> list[Program]:
    """Every process, each as often as asked for, with the environment it finds the others by."""
    env = {
        **os.environ,
        "MEMOIRE_DATABASE_URL": settings.database_url or "",
        "MEMOIRE_REDIS_URL": settings.redis_url or "",
        "MEMOIRE_DATA_DIR": str(settings.data_dir),
        "MEMOIRE_HOST": settings.host,
        "MEMOIRE_PORT": str(settings.port),
        "MEMOIRE_ADMIN_KEY": key,
        "MEMOIRE_EXTRACTOR": settings.extractor,
        "MEMOIRE_EMBEDDINGS": settings.embeddings,
    }
    started = [name for name in PROCESSES for _ in range(copies.get(name, 1))]
    return [
        # -P: a folder called `services` where the user stands must not become ours.
        Program(
            name,
            [sys.executable, "-P", "-m", "services.cli", "run", name],
            {**env, "MEMOIRE_METRICS_PORT": str(_metrics_port(settings, place))},
            after_seconds=0.0 if name == "gateway" else _STAGES_AFTER_SECONDS,
        )
        for place, name in enumerate(started)
    ]


def _metrics_port(settings: Settings, place: int) -> int:
    """A port of its own for each process, in the order of their start; 0 where there are none."""
    port = settings.metrics_port + place
    return port if settings.metrics_port and port <= _HIGHEST_PORT else 0


def key_path(data_dir: Path) -> Path:
    return data_dir / "admin.key"


def kept_key(data_dir: Path) -> str:
    """The folder's admin key: made once, 0600, the same after every restart."""
    path = key_path(data_dir)
    if not path.exists():
        write_private(path, f"mem_{secrets.token_urlsafe(24)}\n")
    return path.read_text().strip()


@contextmanager
def _interruptible() -> Iterator[None]:
    """While we start: SIGTERM ends us as Ctrl-C does, through every `finally`."""
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # an interrupted migration is no news
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
