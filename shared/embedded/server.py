"""What both embedded servers share: a lock on their files, one child process, one URL.

Knows nothing of PostgreSQL or Valkey; each says in `_start` how it comes up.
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from shared.embedded.errors import EmbeddedServerError
from shared.embedded.folder import FolderLock, private_folder
from shared.embedded.processes import end

if TYPE_CHECKING:
    from subprocess import Popen


class EmbeddedServer(ABC):
    """One server over `<data_dir>/<name>`, started from the main thread (see `spawn`).

    `durable=False` is for tests: it is quicker and gives up surviving a crash of the machine.
    """

    name: ClassVar[str]
    # Signals that end it, mildest first, each with its seconds of patience.
    stop_signals: ClassVar[Sequence[tuple[signal.Signals, float]]]

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._folder = self._data_dir / self.name
        self._durable = durable
        self._lock = FolderLock(self._data_dir / f"{self.name}.lock")
        self._process: Popen[bytes] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where clients connect; the same from `start` to `stop`, however often it dies."""
        if self._url is None:
            raise EmbeddedServerError(f"{self.name} is not started")
        return self._url

    @property
    def pid(self) -> int | None:
        """The server's pid while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def poll(self) -> int | None:
        """None while it lives, else how it ended (as Popen.poll); -1 before a start."""
        return self._process.poll() if self._process else -1

    def start(self) -> str:
        """Start, wait until it serves, return the URL. Alive already: nothing to do.

        A failed restart keeps lock and URL, so that it can be tried again.
        """
        if self.pid is not None:
            return self.url
        private_folder(self._data_dir)
        self._lock.acquire()
        try:
            self._url = self._start()
        except BaseException:
            self._end()
            if self._url is None:
                self._lock.release()
            raise
        return self._url

    def restart_if_dead(self) -> bool:
        """Start again, at the same URL, if it died; whether that was needed."""
        if self.poll() is None:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """End it, mildly first; calling it twice, or before a start, is fine."""
        self._end()
        self._clean_up()
        self._url = None
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _start(self) -> str:
        """Bring it up under the lock, keep the child in `_process`, return the URL."""

    @abstractmethod
    def _clean_up(self) -> None:
        """Remove what only a running server needs."""

    def _end(self) -> None:
        if self._process is not None:
            end(self._process, self.stop_signals)
            self._process = None
