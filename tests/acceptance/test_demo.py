"""`memoire demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MEMOIRE = [sys.executable, "-P", "-m", "services.cli", "demo"]
PATIENCE_SECONDS = 180

pytestmark = pytest.mark.long


def environment(temporary: Path) -> dict[str, str]:
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MEMOIRE_", "OPENAI_"))}
    return ours | {"TMPDIR": str(temporary), "COLUMNS": "200"}


def left_behind(temporary: Path) -> list[int]:
    """Processes of any kind whose command line or environment names the demo's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(temporary).encode() in environ:
                found.append(int(entry.name))
    return found


def test_the_demo_shows_how_beliefs_change(tmp_path: Path):
    """The move there and back, the correction, the dog that died; and nothing stays behind."""
    done = subprocess.run(
        MEMOIRE,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(done.stdout.split())
    for expected in (
        "Big news: I moved to Austin!",
        "extracted 1 fact",
        "embedded",
        "compared",
        "settled",
        "nothing to keep",
        "says the same as before",
        "✗ Sister is not Ana",
        "– Rex died",
        "planned",
        "“Where does she live?”",
        "Lives in San Francisco",
        "home_city San Francisco 2019-01-01 2025-03-15",
        "home_city Austin 2025-03-15 2025-09-08",
        "home_city San Francisco 2025-09-08 now",
        "sister Anna 2025-04-02 now",
        "17 messages",
        "Everything took",
    ):
        assert expected in shown, done.stdout
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []


def test_ctrl_c_ends_the_demo_and_cleans_up(tmp_path: Path):
    with subprocess.Popen(
        MEMOIRE, env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if line.startswith("Ready"):
                break
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
        assert demo.wait(PATIENCE_SECONDS) == 130
    assert "failed" not in rest
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []
