"""A heartbeat: fresh while the loop turns, stale when it hangs, gone when the process ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.heartbeat import STALE_AFTER_SECONDS, VARIABLE, beating, problem_with

HEAVY = {"psycopg", "redis", "pydantic", "faststream", "numpy", "typer", "structlog"}


async def test_it_beats_while_the_block_runs(tmp_path: Path):
    """From the first moment on, and again however old the file was."""
    path = tmp_path / "alive"
    path.touch()
    os.utime(path, (0, 0))
    async with beating(path):
        assert problem_with(path) is None
    assert "no heartbeat" in (problem_with(path) or "")


def test_a_hanging_loop_is_seen(tmp_path: Path):
    """What is not touched for half a minute is not alive."""
    path = tmp_path / "alive"
    path.touch()
    late = time.time() - STALE_AFTER_SECONDS - 5
    os.utime(path, (late, late))
    assert "ago" in (problem_with(path) or "")


async def test_a_folder_that_cannot_be_written_is_an_operators_mistake(tmp_path: Path):
    """Else every probe would fail, and nobody would know why."""
    with pytest.raises(ConfigurationError, match=VARIABLE):
        async with beating(tmp_path / "missing" / "alive"):
            pass


async def test_without_a_file_nothing_is_written():
    """It is a setting that is off by default."""
    async with beating(None):
        pass


@pytest.mark.parametrize(("path", "code"), [("alive", 0), ("missing", 1), (None, 2)])
def test_a_probe_asks_with_an_exit_code(tmp_path: Path, path: str | None, code: int):
    """`python -m shared.heartbeat`, as the manifests run it."""
    (tmp_path / "alive").touch()
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if path is not None:
        env[VARIABLE] = str(tmp_path / path)
    asked = subprocess.run([sys.executable, "-m", "shared.heartbeat"], env=env, check=False)
    assert asked.returncode == code


def test_a_probe_imports_nothing_heavy():
    """It runs every few seconds beside every process."""
    script = "import sys, shared.heartbeat; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())
