"""Tells of each request: counted and timed by its route's template, in its trace, in its logs.

`Observed` stands outside everything, so that what the guard refuses is counted too; `NoteRoute`
stands inside, where the router says which route it was. A path is never told, only its template.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    clear_contextvars,
    get_contextvars,
)

from shared.metrics.catalogue import HTTP_IN_PROGRESS, HTTP_REQUESTS, HTTP_SECONDS
from shared.observability import whose
from shared.tracing import spans
from shared.tracing.context import valid

UNMATCHED = "unmatched"
_GONE = 499  # nobody waits for the answer any more: no error of ours
_NOTED = "memoire.noted"
_GIVEN: ContextVar[str | None] = ContextVar("given_traceparent", default=None)


def traceparent() -> str | None:
    """The trace that what this request brings belongs to: our span's, else the caller's own."""
    return spans.current_traceparent() or _GIVEN.get()


def told_of(tenant: str, user: str | None) -> None:
    """Have the rest of this request's log lines say whose it is."""
    bind_contextvars(**({"tenant": tenant} if user is None else whose(tenant, user)))


class Noted:
    """What is found out about a request on its way."""

    route = UNMATCHED
    status = 500  # nothing was answered, or by whoever stands outside us
    answered_at: float | None = None


class Observed:
    """Counts, times and traces requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted = Noted()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted.status, noted.answered_at = message["status"], time.perf_counter()
            await send(message)

        with _own_logs(), _counted(scope["method"], noted), _traced(scope, noted):
            await self._app({**scope, _NOTED: noted}, receive, noting)


class NoteRoute:
    """Notes which route answers, behind whatever has copied the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        noted: Noted | None = scope.get(_NOTED)
        if noted is None:
            await self._app(scope, receive, send)
            return

        try:
            await self._app(scope, receive, send)
        finally:
            noted.route = getattr(scope.get("route"), "path", UNMATCHED)


@contextmanager
def _own_logs() -> Iterator[None]:
    """Forget at the end what was bound on the way."""
    before = get_contextvars()
    try:
        yield
    finally:
        clear_contextvars()
        bind_contextvars(**before)


@contextmanager
def _counted(method: str, noted: Noted) -> Iterator[None]:
    begun = time.perf_counter()
    HTTP_IN_PROGRESS.add(1)
    try:
        yield
    except asyncio.CancelledError:
        if noted.answered_at is None:
            noted.status = _GONE
        raise
    finally:
        HTTP_IN_PROGRESS.add(-1)
        took = (noted.answered_at or time.perf_counter()) - begun
        HTTP_SECONDS.observe(took, method=method, route=noted.route)
        HTTP_REQUESTS.add(method=method, route=noted.route, status=str(noted.status))


@contextmanager
def _traced(scope: Scope, noted: Noted) -> Iterator[None]:
    """A span below the caller's, if there is one; its name is known at the end."""
    given = valid(dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1"))
    token = _GIVEN.set(given)
    try:
        if spans.is_on():
            with spans.span(scope["method"], kind="server", parent=given) as made:
                try:
                    with _in_logs():
                        yield
                finally:
                    _named(made, scope["method"], noted)
        else:
            yield
    finally:
        _GIVEN.reset(token)


@contextmanager
def _in_logs() -> Iterator[None]:
    if (current := spans.current_traceparent()) is None:
        yield
        return
    with bound_contextvars(otel_trace=current[3:35]):
        yield


def _named(made: Any, method: str, noted: Noted) -> None:
    made.update_name(f"{method} {noted.route}")
    made.set_attribute("http.request.method", method)
    made.set_attribute("http.route", noted.route)
    made.set_attribute("http.response.status_code", noted.status)
