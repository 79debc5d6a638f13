"""Logs: structured, one line each, without message texts or secrets.

Readable at a terminal, JSON elsewhere. While something is worked on, each line says for which
tenant and (as a hash) user, at which stage and attempt, and under which trace to look it up.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars
from structlog.typing import EventDict

from shared.metrics.catalogue import STAGE_SECONDS

_LONGEST_NAME = 128
_ERRORS = ("error", "reason")
_ANSWERED = re.compile(
    r"(the model (?:server answered \d+|server's answer makes no sense|refused"
    r"|broke off its answer)): .*"
)
_QUOTED = re.compile(r"""(?<!\w)(?:(['"`])(?:.*\1(?!\w)|.*)|«.*»?|“.*”?)""")
"""From the first quote to the last of its kind: what is quoted may have quotes in it."""


def configure_logging(level: str, *, as_json: bool | None, process: str) -> None:
    """Set up the process' logging once, at its start."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    structlog.configure(
        processors=processors(as_json=as_json),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    bind_contextvars(process=process)


def processors(*, as_json: bool) -> list[structlog.typing.Processor]:
    """What every line goes through before it is written."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_texts,
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(),
    ]


# ---- what is bound while something is worked on


class Delivered(Protocol):
    """A stream entry, as far as logs look at it."""

    @property
    def raw(self) -> dict[bytes, bytes]: ...
    @property
    def attempt(self) -> int: ...


class Worked:
    """What became of a batch: the process stopped first, unless it is said otherwise."""

    outcome = "stopped"

    def refused(self) -> None:
        self.outcome = "refused"

    def ended(self) -> None:
        if self.outcome != "refused":
            self.outcome = "done"


@contextmanager
def working(stage: str, entries: Sequence[Delivered]) -> Iterator[Worked]:
    """Time the work on some entries, and bind what its log lines say."""
    begun, worked = time.perf_counter(), Worked()
    whose = _whose(entries)
    with bound_contextvars(stage=stage, attempt=max(each.attempt for each in entries), **whose):
        try:
            yield worked
        finally:
            took = time.perf_counter() - begun
            STAGE_SECONDS.observe(took, stage=stage, outcome=worked.outcome)


def _whose(entries: Sequence[Delivered]) -> dict[str, str]:
    """Tenant and user, where all entries name the same; nothing in an entry is trusted yet."""
    said = {
        (each.raw.get(b"tenant", b"default"), each.raw.get(b"user") or each.raw.get(b"user_id"))
        for each in entries
    }
    if len(said) > 1:
        return {}
    [(tenant, user)] = said
    if user is None:
        return {"tenant": _readable(tenant)}
    return whose(_readable(tenant), _readable(user))


def _readable(said: bytes) -> str:
    return said[:_LONGEST_NAME].decode("utf-8", "replace")


def whose(tenant: str, user: str) -> dict[str, str]:
    """What logs say of a user: the tenant, and a hash that tells one user from another."""
    return {"tenant": tenant, "user": user_hash(tenant, user)}


def user_hash(tenant: str, user: str) -> str:
    """Twelve hex digits for a user: the same in every log, and no name."""
    return hashlib.sha256(f"{tenant}\x1f{user}".encode("utf-8", "replace")).hexdigest()[:12]


# ---- what is never written


def without_texts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Leave out what an error quotes: a server's answer, a row, an input may be what a user said.

    The whole error stands in `failures`, where its tenant alone can read it.
    """
    for name in _ERRORS:
        if name in event:
            event[name] = unquoted(str(event[name]))
    if (given := event.pop("exc_info", None)) and (error := _raised(given)) is not None:
        event["exception"] = "\n".join(_told(error, set()))
    return event


def unquoted(said: str) -> str:
    """An error's first line, with … for whatever it quotes or a model's server said."""
    first = said.strip().partition("\n")[0]
    return _QUOTED.sub("…", _ANSWERED.sub(r"\1: …", first))


def _raised(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    return given[1] if isinstance(given, tuple) else sys.exc_info()[1]


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Where it was raised and what led to it; of what each says, what `unquoted` leaves."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "which led to:"
    yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
    yield f"{type(error).__qualname__}: {unquoted(str(error))}"
    for one in getattr(error, "exceptions", ()):
        yield from _told(one, seen)
