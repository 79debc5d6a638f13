"""Keeps the processes of one instance running, and ends them in order.

One thread and one loop: every child must be forked by the main thread (PDEATHSIG), and a
signal must find the loop in a known place. What is run is injected.
"""

import contextlib
import os
import select
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol

from services.console.children import Backoff, Child, Program, describe_exit
from services.console.runtime import Runtime, remove_runtime, write_runtime
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.processes import birth, wait_until

TICK_SECONDS = 0.1
# A closed terminal (SIGHUP) ends the instance as Ctrl-C does.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Server(Protocol):
    """What is started before the children and stopped after them: an embedded server."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def restart_if_dead(self) -> bool: ...
    def stop(self) -> None: ...


class Supervisor:
    """Runs `programs` beside `servers`, which are already started, in the order of start.

    `on_line(label, line)` receives what the children print and what happens to them
    (label `supervisor`). The caller holds the data folder's lock.
    """

    def __init__(
        self,
        data_dir: Path,
        programs: Sequence[Program],
        *,
        servers: Sequence[Server] = (),
        gateway_url: str,
        database_url: str,
        redis_url: str,
        on_line: Callable[[str, str], None] | None = None,
        grace_seconds: float = 10.0,
    ) -> None:
        self._data_dir = data_dir
        self._children = [Child(program, label, data_dir) for label, program in _labelled(programs)]
        self._servers = [Watched(server) for server in servers]
        self._urls = {
            "gateway_url": gateway_url,
            "database_url": database_url,
            "redis_url": redis_url,
        }
        self._on_line = on_line
        self._grace_seconds = grace_seconds
        self._stopping = False
        self._ending = False
        self._hurried = False

    def run(self) -> None:
        """Until a stop signal or `request_stop`; then end everything, children first.

        A second signal interrupts a server's long recovery (KeyboardInterrupt) or cuts the
        children's grace short; everything is ended then, too.
        """
        with self._signals() as wake_up:
            try:
                while not self._stopping:
                    self.step()
                    select.select([wake_up], [], [], TICK_SECONDS)
                    _drain(wake_up)
            finally:
                self.stop()

    def request_stop(self) -> None:
        self._stopping = True

    def step(self) -> None:
        """Look once at everybody: servers first, for the children need them."""
        changed = [watched.revive(self._say) for watched in self._servers]
        changed += [self._note_death(child) for child in self._children]
        if all(watched.server.poll() is None for watched in self._servers):
            changed += [child.start_if_due() for child in self._children]
        if any(changed):
            self._publish()
        self._forward()

    def stop(self) -> None:
        """Children SIGTERM, after the grace SIGKILL; then the servers, last started first.

        The stack ends everything that is left even if a step raises, as printing does once
        the terminal is gone.
        """
        self._ending = True
        with contextlib.ExitStack() as stack:
            stack.callback(remove_runtime, self._data_dir)
            for watched in self._servers:
                stack.callback(watched.server.stop)
            for child in self._children:
                stack.callback(child.kill)
            for child in self._children:
                child.send(signal.SIGTERM)
            wait_until(lambda: self._hurried or not self._living(), self._grace_seconds)
            for child in self._living():
                self._say(f"{child.label} does not end in time and is killed")
            self._forward()

    def _living(self) -> list[Child]:
        return [child for child in self._children if child.pid is not None]

    def _note_death(self, child: Child) -> bool:
        death = child.note_death()
        if death:
            self._say(f"{child.label} {death}")
        return death is not None

    def _publish(self) -> None:
        pids: dict[str, list[int]] = defaultdict(list)
        for watched in self._servers:
            if watched.server.pid is not None:
                pids[watched.server.name].append(watched.server.pid)
        for child in self._children:
            if child.pid is not None:
                pids[child.program.name].append(child.pid)
        me = os.getpid()
        runtime = Runtime(
            supervisor_pid=me, supervisor_birth=birth(me) or "", pids=dict(pids), **self._urls
        )
        write_runtime(self._data_dir, runtime)

    def _forward(self) -> None:
        if self._on_line is None:
            return
        for child in self._children:
            for line in child.new_lines():
                self._on_line(child.label, line)

    def _say(self, line: str) -> None:
        if self._on_line is not None:
            self._on_line("supervisor", line)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """Handlers while we run, and a descriptor that wakes `select` at any signal.

        SIGCHLD is among them, so that a death is seen at once; its handler does nothing.
        """
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        former = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        former_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(former_writer)
            for number, handler in former.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending:
            self._hurried = True
        elif self._stopping:
            raise KeyboardInterrupt
        self._stopping = True


class Watched:
    """A server with the backoff of its restarts."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._backoff = Backoff()
        self._alive_since = time.monotonic()
        self._next_try = 0.0

    def revive(self, say: Callable[[str], None]) -> bool:
        """Restart it if it is dead and its wait is over; whether it has a new pid."""
        code = self.server.poll()
        if code is None or time.monotonic() < self._next_try:
            return False
        say(f"{self.server.name} {describe_exit(code)}; starting it again")
        self._next_try = time.monotonic() + self._backoff.after(
            time.monotonic() - self._alive_since
        )
        try:
            self.server.restart_if_dead()
        except EmbeddedServerError as error:
            say(str(error))
            return False
        self._alive_since = time.monotonic()
        return True


def _labelled(programs: Sequence[Program]) -> Iterator[tuple[str, Program]]:
    """`extractor`, `extractor-2`, …: a log for each copy."""
    seen: Counter[str] = Counter()
    for program in programs:
        seen[program.name] += 1
        number = seen[program.name]
        yield program.name if number == 1 else f"{program.name}-{number}", program


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass
