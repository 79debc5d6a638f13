"""Cuts clients that send the head of a request too slowly, or too much of it.

uvicorn waits for the rest of a head for ever and keeps all of it: a few thousand connections that
send a byte now and then would fill any server. Bodies are `limits`' business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.errors import response

_STATUS = {"headers_too_large": b"431 Request Header Fields Too Large"}
_STATUS |= {"request_timeout": b"408 Request Timeout", "invalid_request": b"400 Bad Request"}


class _Impatient(HttpToolsProtocol):
    head_seconds = 30.0
    most_head_bytes = 32_768

    _timer: asyncio.TimerHandle | None = None
    _arrived = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        waited = self._timer is not None
        super().data_received(data)
        if waited and self._timer is not None:  # the head is not complete yet
            self._arrived += len(data)
            if self._arrived > self.most_head_bytes:
                self._head_bytes = self._arrived
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be a request of ours in the shape of every failure, and hang up."""
        if self._head_bytes > self.most_head_bytes:
            self._cut("headers_too_large", f"The head is over {self.most_head_bytes} bytes.")
        else:
            self._cut("invalid_request", msg)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._arrived = self._head_bytes = 0
        self._timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        reason = f"The head did not arrive within {self.head_seconds:g} seconds."
        self._cut("request_timeout", reason)

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.most_head_bytes:
            raise ValueError("the head is too large")  # the parser stops, and a 400 would be sent

    def _cut(self, code: str, message: str) -> None:
        self._stop_waiting()
        body = bytes(response(code, message).body)
        lines = [
            b"HTTP/1.1 " + _STATUS[code],
            b"content-type: application/json",
            b"content-length: " + str(len(body)).encode(),
            b"connection: close",
            b"\r\n",
        ]
        if self.cycle is None or self.cycle.response_complete:  # else it would end up in an answer
            self.transport.write(b"\r\n".join(lines) + body)
        self.transport.close()


def impatient(head_seconds: float, most_head_bytes: int) -> type[asyncio.Protocol]:
    """Build uvicorn's protocol with this much patience."""
    limits: dict[str, Any] = {"head_seconds": head_seconds, "most_head_bytes": most_head_bytes}
    return type("Impatient", (_Impatient,), limits)
