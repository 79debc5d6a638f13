"""Logs: structured, one line each, without message texts or secrets.

Readable at a terminal, JSON elsewhere.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(level: str, *, as_json: bool | None, process: str) -> None:
    """Set up the process' logging once, at its start."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    structlog.contextvars.bind_contextvars(process=process)
