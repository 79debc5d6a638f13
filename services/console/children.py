"""One supervised child: its process, its log, its backoff.

Decides when a dead child may start again. The supervisor decides when that is asked.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from shared.embedded.folder import log_file
from shared.embedded.processes import spawn

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
HEALTHY_AFTER_SECONDS = 30.0


@dataclass(frozen=True)
class Program:
    """What to run; two of the same name are two copies of one stage."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    after_seconds: float = 0.0
    """How long its first start waits: the gateway answers sooner while it has the cores alone."""


class Backoff:
    """How long the next start waits: 0.2 s doubling to 10 s, afresh after 30 s alive."""

    def __init__(self) -> None:
        self._delay_seconds = FIRST_DELAY_SECONDS

    def after(self, alive_seconds: float) -> float:
        """Seconds to wait, given how long the last life lasted."""
        if alive_seconds >= HEALTHY_AFTER_SECONDS:
            self._delay_seconds = FIRST_DELAY_SECONDS
        delay = self._delay_seconds
        self._delay_seconds = min(2 * delay, LONGEST_DELAY_SECONDS)
        return delay


class Child:
    """One program kept running; `label` names its log (`extractor`, `extractor-2`)."""

    def __init__(self, program: Program, label: str, data_dir: Path) -> None:
        self.program = program
        self.label = label
        self._data_dir = data_dir
        self._process: Popen[bytes] | None = None
        self._backoff = Backoff()
        self._started_at = 0.0
        self._start_at: float | None = time.monotonic() + program.after_seconds
        self._tail: Tail | None = None

    @property
    def pid(self) -> int | None:
        """Its pid while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start_if_due(self) -> bool:
        """Start it if its wait is over; whether it was started."""
        if self._start_at is None or time.monotonic() < self._start_at:
            return False
        log = log_file(self._data_dir, self.label)
        self._tail = Tail(log)
        self._process = spawn(
            self.program.command, log=log, death_signal=signal.SIGTERM, env=self.program.env
        )
        self._started_at, self._start_at = time.monotonic(), None
        return True

    def note_death(self) -> str | None:
        """Once per death: plan the next start and say what happened. None: nothing new.

        Leaving with 0 is a death too: a consumer whose group was deleted does that.
        """
        if self._process is None or self._start_at is not None or self._process.poll() is None:
            return None
        delay = self._backoff.after(time.monotonic() - self._started_at)
        self._start_at = time.monotonic() + delay
        return f"{describe_exit(self._process.returncode)}; starts again in {delay:.1f} s"

    def send(self, number: signal.Signals) -> None:
        """To it alone: the process knows best how its own children end."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL for it, with its children, where it has not ended; wait until it is gone."""
        if self._process is None or self._process.poll() is not None:
            return
        # Not reaped yet, so its pid, and with it the group's number, is still its own.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def new_lines(self) -> list[str]:
        """What it has written to its log since the last call."""
        return self._tail.lines() if self._tail else []


class Tail:
    """Follows a log that the child writes itself.

    A pipe would need us for every line: its last words would be lost with us, and a child
    would stand still while we wait for PostgreSQL.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def lines(self) -> list[str]:
        """Complete lines only; half a line waits for its end."""
        if not self._path.exists():
            return []
        if self._path.stat().st_size < self._position:  # somebody emptied it
            self._position = 0
        with self._path.open("rb") as file:
            file.seek(self._position)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._position += len(complete + newline)
        return complete.decode(errors="replace").splitlines()


def describe_exit(code: int) -> str:
    """`ended with 1`, `was killed by SIGKILL`."""
    return f"ended with {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
