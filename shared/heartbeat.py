"""Whether a process still turns: a file that its event loop touches, and how old that file is.

It says nothing of PostgreSQL, Redis or a model: while one of them is away, a restart helps nobody.
Probes ask every few seconds (`python -m shared.heartbeat`), so nothing heavy is imported here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.errors import ConfigurationError

VARIABLE = "MEMOIRE_HEARTBEAT_FILE"
BEAT_SECONDS = 2.0
STALE_AFTER_SECONDS = 30.0


@asynccontextmanager
async def beating(path: Path | None) -> AsyncIterator[None]:
    """Touch the file every two seconds while the block runs; without one, do nothing.

    Raises ConfigurationError where it cannot be written: its probe would never succeed.
    """
    if path is None:
        yield
        return
    try:
        path.touch()
    except OSError as error:
        raise ConfigurationError(f"{VARIABLE} {path} cannot be written: {error}") from error
    beats = asyncio.create_task(_beat(path), name="heartbeat")
    try:
        yield
    finally:
        beats.cancel()
        path.unlink(missing_ok=True)


async def _beat(path: Path) -> None:
    while True:
        path.touch()
        await asyncio.sleep(BEAT_SECONDS)


def problem_with(path: Path) -> str | None:
    """Why the process that touches this file is not alive; None if it is."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError as error:
        return f"no heartbeat: {error}"
    if age > STALE_AFTER_SECONDS:
        return f"its last heartbeat was {age:.0f} s ago"
    return None


def main() -> int:
    """Ask about the file that the environment names: 0 alive, 1 not, 2 no file is named."""
    path = os.environ.get(VARIABLE)
    problem = problem_with(Path(path)) if path else f"{VARIABLE} is not set"
    if problem:
        sys.stderr.write(problem + "\n")
    return 0 if problem is None else 1 if path else 2


if __name__ == "__main__":
    sys.exit(main())
