"""Where the servers of the instance in question are: the environment says so, or a data folder.

The environment wins: who names a server means that one, whatever else runs on this machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.console.environment import read_settings
from services.console.errors import NOT_RUNNING, CommandError
from services.console.ports import url_of
from services.console.runtime import read_runtime


@dataclass(frozen=True, slots=True)
class Servers:
    """`supervised`: a supervisor of this machine keeps its processes, by `pids`."""

    gateway_url: str
    database_url: str
    redis_url: str | None
    supervised: bool = False
    pids: dict[str, list[int]] = field(default_factory=dict)


def find_servers(data_dir: Path | None) -> Servers:
    """Raises CommandError (exit 3) when nothing is named and nothing runs here."""
    settings = read_settings(data_dir=data_dir)
    folder = settings.data_dir.expanduser().resolve()
    runtime = read_runtime(folder)
    named = settings.database_url
    if runtime and (data_dir or named in (None, runtime.database_url)):
        return Servers(
            runtime.gateway_url, runtime.database_url, runtime.redis_url, True, runtime.pids
        )
    if named and data_dir is None:
        gateway_url = url_of(settings.host, settings.port)
        return Servers(gateway_url, named, settings.redis_url)
    raise not_running(folder)


def not_running(folder: Path) -> CommandError:
    return CommandError(
        f"nothing runs on {folder}: start it with `memoire up`, name another folder with --data, "
        "or set MEMOIRE_DATABASE_URL and MEMOIRE_REDIS_URL",
        NOT_RUNNING,
    )
