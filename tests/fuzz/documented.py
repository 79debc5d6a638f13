"""schemathesis with all its checks against a real `memoire up`: `make fuzz`.

Starts an instance on a folder of its own, and exits as schemathesis does. What follows the module's name
goes to schemathesis: `python -m tests.fuzz.documented --seed 2 --max-examples 200`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.instance import running
from tests.fuzz.malformed import NO_LIMITS

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_USUAL = ("--seed=1", "--max-examples=40")


def fuzz(url: str, key: str, more: Sequence[str] = (), folder: Path | None = None) -> int:
    """Check every route of the document that this server gives; 0 when nothing failed."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={_HERE / 'schemathesis.toml'}",
        "run",
        f"{url}/openapi.json",
        f"--header=X-API-Key: {key}",
        "--checks=all",
        "--no-color",
        "--generation-database=none",
        *more,
    ]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}  # it imports our hooks by name
    return subprocess.run(command, check=False, cwd=folder or _ROOT, env=environment).returncode


def main(more: Sequence[str]) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="memoire-fuzz-") as folder,
        running(Path(folder) / "data", **NO_LIMITS) as instance,
    ):
        return fuzz(instance.url, instance.key, more or _USUAL, Path(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
