"""How large a body a caller may send, and how long that may take.

ASGI middleware, since a chunked body has no length to look at. How many requests a minute: `rates`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.errors import response

_TOLD = "memoire.told"
_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}
_ANNOUNCES = {b"content-length", b"transfer-encoding"}
_JSON = (b"content-type", b"application/json")
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


class RequestGuard:
    """Refuses bodies that are too large or too slow, takes every body for JSON, adds headers."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, client_seconds: float = 30.0) -> None:
        self._app = app
        self._max = max_body_bytes
        self._seconds = client_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told: list[tuple[bytes, bytes]] = []
        scope = {**scope, _TOLD: told}
        guarded = _with_headers(send, told)
        if not _is_text(scope):
            refusal = response("invalid_request", "The path or the query is not UTF-8.")
            await refusal(scope, receive, guarded)
            return
        if not _has_body(scope):
            await self._app(scope, receive, guarded)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(scope, receive)
        except TimeoutError:
            message = f"The body did not arrive within {self._seconds:g} seconds."
            await _refuse("request_timeout", message)(scope, receive, guarded)
            return
        if body is None:
            message = f"The body is larger than {self._max} bytes."
            await _refuse("payload_too_large", message)(scope, receive, guarded)
            return
        await self._app(_as_json(scope), _replay(body, receive), guarded)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the whole body; None as soon as it is known to be too large."""
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max:
            return None
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""  # the caller is gone: nobody reads the answer
            part = message.get("body", b"")
            size += len(part)
            if size > self._max:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


def _is_text(scope: Scope) -> bool:
    """Whether path and query are UTF-8: else two users' ids would be read as one."""
    written = scope.get("raw_path") or b""
    try:
        unquote_to_bytes(written + b"?" + scope["query_string"]).decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_body(scope: Scope) -> bool:
    """Whether a body may come: with some methods always, with the others if it is announced."""
    return scope["method"] in _WITH_BODY or any(name in _ANNOUNCES for name, _ in scope["headers"])


def _refuse(code: str, message: str) -> ASGIApp:
    """Say so and hang up: the rest of the body is not read."""
    return response(code, message, headers={"Connection": "close"})


def tell(scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Add headers to whatever answers this request, a refusal among them."""
    told = scope.get(_TOLD)
    if told is not None:
        told.extend((name.lower().encode(), value.encode()) for name, value in headers.items())


def _as_json(scope: Scope) -> Scope:
    """Every body here is JSON, whatever its label says."""
    headers = [(key, value) for key, value in scope["headers"] if key != b"content-type"]
    return {**scope, "headers": [*headers, _JSON]}


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _with_headers(send: Send, told: Iterable[tuple[bytes, bytes]]) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_SECURITY, *told]}
        await send(message)

    return guarded
