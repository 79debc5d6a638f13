"""Starting, finding and ending operating-system processes so that none is left behind.

Knows nothing about PostgreSQL or Valkey. Linux ties a child's life to its parent's with
PR_SET_PDEATHSIG; elsewhere a killed parent's children are found again by their title.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from shared.embedded.account import Account

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.01


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    death_signal: signal.Signals,
    env: Mapping[str, str],
    cwd: Path | None = None,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, its output appended to `log`.

    When this process dies, even by kill -9, the child gets `death_signal` (Linux). The
    kernel counts the death of the *thread* that forked, so only the main thread may call
    this: a worker thread's end would shut the child down for no visible reason. A group of
    its own keeps Ctrl-C at the terminal with the parent, which then stops in order.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("spawn from the main thread: PDEATHSIG follows the forking thread")
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the commands are our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            process_group=0,
            preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509 - main thread, see above
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child runs between fork and exec.

    Popen runs it after its setuid, which is needed: changing the uid clears the setting.
    The exec that follows keeps it, as the binaries are neither set-uid nor carry
    capabilities.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask_kernel() -> None:
        # Python's own handler, inherited until the exec, would swallow the signal.
        signal.signal(death_signal, signal.SIG_DFL)
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked: nobody will tell us
            os._exit(1)

    return ask_kernel


def wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Whether `condition` came true in time; asked at least once."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(process: subprocess.Popen[bytes], steps: Iterable[tuple[signal.Signals, float]]) -> None:
    """End our own child: each signal in turn, each with its seconds of patience."""
    for step, patience_seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(step)
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def folder_tag(folder: Path) -> str:
    """A name for `folder` that its server carries in its process title.

    Device and inode, not the path: a copied folder, or the same path in a container, is
    another folder, and its processes must not be taken for ours.
    """
    status = folder.stat()
    return f"memoire-{status.st_dev:x}-{status.st_ino:016x}"


def tagged(tag: str, programs: tuple[str, ...]) -> list[int]:
    """Pids of living processes of `programs` whose command line carries `tag`.

    The command line is readable by everybody; the more precise /proc/<pid>/cwd is not, for
    root in a container without CAP_SYS_PTRACE.
    """
    return [
        pid
        for pid, command in _command_lines()
        if tag in command and Path(command.split(maxsplit=1)[0]).name.startswith(programs)
    ]


def _command_lines() -> Iterable[tuple[int, str]]:
    if not Path("/proc/self/cmdline").exists():
        listing = subprocess.run(
            ["/bin/ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                raw = (entry / "cmdline").read_bytes()
            except OSError:  # it ended while we were looking
                continue
            yield int(entry.name), raw.replace(b"\0", b" ").decode(errors="replace")


def end_tagged(
    tag: str, programs: tuple[str, ...], steps: Iterable[tuple[signal.Signals, float]]
) -> bool:
    """End what a dead parent left behind, found by title; True when none is left.

    Only for the holder of the folder's lock: for anybody else these are somebody's servers.
    """
    for step, patience_seconds in steps:
        for pid in tagged(tag, programs):
            try:
                os.kill(pid, step)
            except ProcessLookupError:
                continue
        if wait_until(lambda: not tagged(tag, programs), patience_seconds):
            return True
    return False


def birth(pid: int) -> str | None:
    """When process `pid` was born, in its system's own notation; None if it is not alive.

    Pid and birth together name a process for good: pids alone are used again, in a
    container within seconds. A zombie counts as dead.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in parentheses, may itself hold spaces and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    listing = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, for the text of an error."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
