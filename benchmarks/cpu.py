"""CPU seconds of processes and all their descendants, as the kernel accounts for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Mapping[str, list[int]]) -> dict[str, float]:
    """Sum user and system time by process name; ended children count with their parent."""
    children = _children()
    return {name: sum(_tree(pid, children) for pid in group) for name, group in pids.items()}


def memory_mb(pid: int) -> float:
    """Read the memory a process keeps to itself and its share of the rest (PSS), in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _tree(pid: int, children: Mapping[int, list[int]]) -> float:
    return _own(pid) + sum(_tree(child, children) for child in children.get(pid, ()))


def _own(pid: int) -> float:
    fields = _stat(pid)
    if fields is None:
        return 0.0
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / _TICKS


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children
