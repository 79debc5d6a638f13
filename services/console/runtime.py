"""`runtime.json`: how other commands find the instance that runs on a data folder.

Decides whether a file found there is still true. Never starts or stops anything.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.embedded.folder import write_private
from shared.embedded.processes import birth


class Runtime(BaseModel):
    """One running instance; `pids` by process name, one for each copy that is alive now."""

    model_config = ConfigDict(frozen=True)

    supervisor_pid: int
    # A pid is used again, in a container within seconds: with its birth it is one process.
    supervisor_birth: str
    gateway_url: str
    database_url: str
    redis_url: str
    pids: dict[str, list[int]]


def runtime_path(data_dir: Path) -> Path:
    return data_dir / "runtime.json"


def write_runtime(data_dir: Path, runtime: Runtime) -> None:
    """Replace the file atomically; 0600, since the URLs carry passwords."""
    write_private(runtime_path(data_dir), runtime.model_dump_json(indent=2) + "\n")


def read_runtime(data_dir: Path) -> Runtime | None:
    """The instance running on `data_dir`; None if there is none, or it was killed."""
    try:
        runtime = Runtime.model_validate_json(runtime_path(data_dir).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return runtime if birth(runtime.supervisor_pid) == runtime.supervisor_birth else None


def remove_runtime(data_dir: Path) -> None:
    runtime_path(data_dir).unlink(missing_ok=True)
