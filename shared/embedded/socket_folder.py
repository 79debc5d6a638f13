"""The folder of PostgreSQL's unix socket: private, reachable and short enough."""

import os
import stat
import tempfile
from pathlib import Path

from shared.embedded.account import Account
from shared.embedded.folder import write_private

FILES = (".s.PGSQL.5432", ".s.PGSQL.5432.lock")
# A socket's path ends at 107 bytes.
LONGEST = 107 - len("/" + FILES[0])


def usable_socket_folder(data_dir: Path, account: Account | None) -> Path:
    """A 0700 folder that belongs to the server; the same one again after a kill.

    Below the data folder where its path is short and the server can walk there, else in
    /tmp, its name kept in a note, so that a killed run leaves one folder and not many.
    """
    inside = data_dir / "run"
    if account is None and len(os.fsencode(inside)) <= LONGEST:
        inside.mkdir(mode=0o700, exist_ok=True)
        return _emptied(inside)
    note = data_dir / "postgres.socket"
    owner = account.uid if account else os.geteuid()
    if note.exists() and _is_private(Path(note.read_text()), owner):
        return _emptied(Path(note.read_text()))
    folder = Path(tempfile.mkdtemp(prefix="memoire-", dir="/tmp"))
    if account:
        os.chown(folder, account.uid, account.gid)
    write_private(note, str(folder))
    return folder


def remove_socket_folder(folder: Path) -> None:
    """Remove it and what a killed server left in it, and nothing else."""
    _emptied(folder)
    folder.rmdir()


def _is_private(folder: Path, owner: int) -> bool:
    """In /tmp anybody could have put something of this name there in the meantime."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == owner and status.st_mode == stat.S_IFDIR | 0o700


def _emptied(folder: Path) -> Path:
    """Without the lock file of a killed server.

    Its pid may be a living stranger's by now, and PostgreSQL would refuse to start.
    """
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    return folder
