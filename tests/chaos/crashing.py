"""Processes forked from one that has everything imported: a stage is up in a twentieth of a second.

They are real processes with the product's own composition; they die by `os._exit` at a point, or
run with a part of the product switched off by `sabotage`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["tests.chaos.preloaded"])
DIED = 137


def start(process: str, env: Mapping[str, str], sabotages: tuple[str, ...] = ()) -> BaseProcess:
    """Start one process of the pipeline with this environment; it ends by SIGTERM or its crash."""
    child = _FORKSERVER.Process(
        target=_run, args=(process, dict(env), sabotages), name=process, daemon=True
    )
    child.start()
    return child


def stop(child: BaseProcess, within_seconds: float = 10.0) -> int | None:
    """End a process in order, or else at once; its exit code."""
    if child.is_alive():
        child.terminate()
        child.join(within_seconds)
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode


def _run(process: str, env: Mapping[str, str], sabotages: tuple[str, ...]) -> None:
    from services.composition import run_process
    from shared.observability import configure_logging
    from shared.settings import Settings
    from tests.chaos import sabotage

    os.environ.update(env)
    for name in sabotages:
        sabotage.SABOTAGES[name]()
    configure_logging("error", as_json=True, process=process)
    asyncio.run(run_process(process, Settings()))
