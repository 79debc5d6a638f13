"""How much a caller may send: bytes in one body, requests a minute.

The body limit is ASGI middleware, since a chunked body has no length to look at. The rate limit
counts in Redis and fails open: a limiter that is away must not stop a memory.
"""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.circuit import Circuit
from services.gateway.errors import response

_WINDOW_SECONDS = 60
_COUNT_SECONDS = 0.1
_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}
_JSON = (b"content-type", b"application/json")
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


class RequestGuard:
    """Refuses bodies that are too large, takes every body for JSON, adds the security headers."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, guarded)
            return
        body = await self._read(scope, receive)
        if body is None:
            message = f"The body is larger than {self._max} bytes."
            refusal = response("payload_too_large", message, headers={"Connection": "close"})
            await refusal(scope, receive, guarded)
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


def _as_json(scope: Scope) -> Scope:
    """Every body here is JSON, whatever its label says."""
    headers = [(key, value) for key, value in scope["headers"] if key != b"content-type"]
    return {**scope, "headers": [*headers, _JSON]}


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_SECURITY]}
        await send(message)

    return guarded


class RateLimiter:
    """A fixed window of one minute per key."""

    def __init__(self, redis: Redis | None, per_minute: int) -> None:
        self._redis = redis if per_minute else None
        self._per_minute = per_minute
        self._circuit = Circuit()

    async def wait_seconds(self, key: str) -> int:
        """Count one request; 0 when it may pass, else the seconds until the next one may."""
        if self._redis is None or self._circuit.is_open:
            return 0
        now = int(time.time())
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                count = await self._count(
                    self._redis, f"memoire:rate:{key}:{now // _WINDOW_SECONDS}"
                )
        except (TimeoutError, OSError, RedisError):
            self._circuit.failed()
            return 0
        return 0 if count <= self._per_minute else _WINDOW_SECONDS - now % _WINDOW_SECONDS

    @staticmethod
    async def _count(redis: Redis, window: str) -> int:
        pipeline = redis.pipeline(transaction=False)
        pipeline.incr(window)
        pipeline.expire(window, 2 * _WINDOW_SECONDS)
        counted, _ = await pipeline.execute()
        return int(counted)
