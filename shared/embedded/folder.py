"""The data folder: who may use it, where logs go, and how private files are written.

A folder belongs to one instance at a time. The proof is an flock, which the kernel drops
with its holder, and never a pid file, which a kill -9 leaves behind.
"""

import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from shared.embedded.errors import FolderInUseError

LOG_ROTATION_BYTES = 10 * 1024 * 1024


class FolderLock:
    """An exclusive flock on one file, held until `release` or the death of this process.

    The descriptor is not inherited (Python's default), so servers that outlive a killed
    supervisor by a moment do not keep its lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock or raise FolderInUseError; taking it twice is one taking."""
        if self._file is not None:
            return
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "unknown"
            file.close()
            raise FolderInUseError(
                f"{self._path.parent} is in use by another Mémoire (process {holder}): "
                "stop that one first, or give this one a folder of its own with --data"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would let two hold "it"."""
        if self._file is not None:
            self._file.close()
            self._file = None


class DataFolder:
    """One data folder (0700), held by one instance while inside the `with` block."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self._lock = FolderLock(self.path / "lock")

    def acquire(self) -> None:
        private_folder(self.path)
        self._lock.acquire()

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def private_folder(path: Path) -> Path:
    """`path`, made with mode 0700 if it was not there; an existing one keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def log_file(data_dir: Path, name: str) -> Path:
    """`<data_dir>/logs/<name>.log`, the former content moved to `.1` once it is large.

    Called only while nobody writes to it (before a start), hence no locking.
    """
    path = private_folder(data_dir / "logs") / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_ROTATION_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` atomically by a 0600 file, given to `owner` (uid, gid) where named.

    A reader sees the old or the new text, never half of it. O_EXCL and the rename follow
    no symbolic link: root writes into folders that belong to an unprivileged account.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
