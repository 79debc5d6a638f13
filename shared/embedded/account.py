"""As whom PostgreSQL runs: it refuses root, so root lends it an unprivileged account."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.errors import EmbeddedServerError

# `nobody` last: it is shared with other programs, the first two are not.
CANDIDATES = ("memoire", "postgres", "nobody")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


def lent_account(*folders: Path) -> Account | None:
    """The account root lends to the server; None where we are not root and need none.

    The owner of an existing folder comes first: data made before `sudo` stays usable, and
    data made under one account is never opened under another.
    """
    if os.geteuid() != 0:
        return None
    for folder in folders:
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and none of the accounts "
        f"{', '.join(CANDIDATES)} exists: create one (useradd --system memoire), "
        "run as an ordinary user, or set MEMOIRE_DATABASE_URL"
    )


def can_read(account: Account, path: Path) -> bool:
    """Whether `account` reaches `path` through all its parents and may read it, by mode bits."""
    parents = all(_allows(account, parent, 0o1) for parent in path.resolve().parents)
    return parents and _allows(account, path, 0o4)


def _allows(account: Account, path: Path, bit: int) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & bit << 6)
    if status.st_gid == account.gid:
        return bool(status.st_mode & bit << 3)
    return bool(status.st_mode & bit)
