"""Keeps a process' numbers and serves them at `/metrics`, on a port that nothing else has.

Off, nothing is imported and nothing is kept. A port that is taken costs the metrics, never the
process. The server is a thread of its own: a loop that hangs is seen in what it still tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import structlog

from shared.metrics.catalogue import BEAT, BUILD, CATALOGUE

log = structlog.get_logger()

_BEAT_SECONDS = 1.0


@contextmanager
def kept(registry: Any, process: str | None = None) -> Iterator[None]:
    """Keep what a process tells (all there is, without one) in a registry while the block runs.

    What another process tells is left out: a 0 that nobody meant would be taken for an answer.
    """
    for metric in CATALOGUE:
        if process is None or process in metric.by:
            metric.open(registry)
            if process is not None:
                metric.begin(process)
    try:
        yield
    finally:
        for metric in CATALOGUE:
            metric.close()


@contextmanager
def served(process: str, host: str, port: int) -> Iterator[bool]:
    """Keep and serve a process' numbers while the block runs; says whether it does.

    Port 0 switches it off.
    """
    if not port:
        yield False
        return
    import prometheus_client as prometheus  # noqa: PLC0415  20 ms, where it is served

    prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series
    registry = prometheus.CollectorRegistry()
    try:
        server, thread = prometheus.start_http_server(port, host, registry)
    except OSError as error:
        log.warning("metrics are not served", host=host, port=port, error=str(error))
        yield False
        return
    prometheus.ProcessCollector(registry=registry)
    prometheus.PlatformCollector(registry=registry)
    try:
        with kept(registry, process):
            BUILD.set(1, version=version())
            log.info("metrics are served", host=host, port=port)
            yield True
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def beat() -> None:
    """Tell once a second that the event loop turns, until cancelled."""
    while True:
        BEAT.set(time.time())
        await asyncio.sleep(_BEAT_SECONDS)


def version() -> str:
    """Which version of Mémoire runs."""
    try:
        return metadata.version("memoire-streams")
    except metadata.PackageNotFoundError:
        return "unknown"
