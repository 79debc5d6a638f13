"""`memoire demo`: everything started, a conversation played through it, everything ended.

The supervisor runs in the main thread, as it must; the story is told from a thread beside it, by a
client that knows nothing but the public HTTP API.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.console.client import Client
from services.console.demo_screen import DemoScreen
from services.console.demo_story import Story
from services.console.environment import read_settings
from services.console.errors import FAILED, CommandError
from services.console.instance import Instance, built_instance
from services.console.ready import wait_until_ready
from services.console.supervisor import Supervisor
from shared.embedded.processes import last_lines
from shared.settings import Settings

READY_WITHIN_SECONDS = 60.0
INTERRUPTED = 130


def demo(data_dir: Path | None) -> int:
    """Play the demonstration; the exit code: 0, 1 when it went wrong, 130 after Ctrl-C."""
    screen = DemoScreen()
    started_at = time.monotonic()
    with _folder(data_dir) as folder:
        screen.opening()
        with built_instance(
            _settings(folder), on_line=screen.on_line, kind=StoppingSupervisor
        ) as instance:
            telling = Telling(instance, screen, started_at)
            telling.start()
            instance.supervisor.run()
            exit_code = telling.end()
        if exit_code == FAILED:
            screen.failed(telling.problem, _tails(folder))
    return exit_code


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    """The folder that was named, or one that is removed at the end."""
    if data_dir is not None:
        yield data_dir
        return
    folder = Path(tempfile.mkdtemp(prefix="memoire-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path) -> Settings:
    """Servers of its own, whatever the environment names, and no paid model."""
    return read_settings(data_dir=folder).model_copy(
        update={
            "database_url": None,
            "redis_url": None,
            "admin_key": None,
            "host": "127.0.0.1",
            "port": 0,
            "extractor": "rules",
            "embeddings": "local",
        }
    )


class StoppingSupervisor(Supervisor):
    """Tells a thread beside it that the end has begun."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping = threading.Event()

    def stop(self) -> None:
        self.stopping.set()
        super().stop()


class Telling(threading.Thread):
    """Tells the story, then asks the supervisor to stop; a signal may come first."""

    def __init__(self, instance: Instance, screen: DemoScreen, started_at: float) -> None:
        super().__init__(name="story", daemon=True)
        assert isinstance(instance.supervisor, StoppingSupervisor)
        self._instance = instance
        self._stopping = instance.supervisor.stopping
        self._screen = screen
        self._started_at = started_at
        self._exit_code = INTERRUPTED
        self.problem = ""

    def run(self) -> None:
        try:
            self._tell()
            self._exit_code = 0
        except Exception as error:
            if self._stopping.is_set():  # the servers are being stopped under us
                return
            self.problem = str(error) or type(error).__name__
            self._exit_code = FAILED
            if not isinstance(error, CommandError):
                raise
        finally:
            self._instance.supervisor.request_stop()

    def _tell(self) -> None:
        url = self._instance.gateway_url
        if not wait_until_ready(url, READY_WITHIN_SECONDS, self._stopping):
            raise CommandError(f"the gateway at {url} was not ready in {READY_WITHIN_SECONDS} s")
        self._screen.ready(self._instance, time.monotonic() - self._started_at)
        with Client(url, self._instance.admin_key) as client:
            Story(client, self._screen).tell()
        self._screen.closing(time.monotonic() - self._started_at)

    def end(self) -> int:
        """After the supervisor: how it went."""
        self.join(timeout=5)
        return self._exit_code


def _tails(folder: Path) -> dict[str, str]:
    """The last lines of every log that holds something."""
    logs = sorted((folder / "logs").glob("*.log"))
    return {log.stem: last_lines(log) for log in logs if log.stat().st_size}
