"""The run of thousands of messages, as a process beside the other tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

TEST = "test_thousands_of_messages_survive_every_kind_of_fault"
SEED = os.environ.get("CHAOS_SEED", "7")
_running: list[subprocess.Popen[str]] = []


def begin() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--profile", "ci", "--seed", SEED]
    _running.append(
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    )


def report(within_seconds: float) -> tuple[dict[str, Any], str]:
    """Wait for the run; its report and whatever else it said."""
    [process] = _running
    said, _ = process.communicate(timeout=within_seconds)
    *examples, line = said.strip().splitlines()
    return json.loads(line), "\n".join(examples)


def end() -> None:
    """Leave nothing behind, not even the processes of a run that was given up."""
    for process in _running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(30)
