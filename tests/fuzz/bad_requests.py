"""Malformed HTTP requests as they go over the wire, made from a seed (pure).

Each is one that the gateway must refuse: none of them may be answered with 2xx, and none with 5xx.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fuzz import bad_values

MESSAGE = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}
_ROUTES = (
    ("POST", "/v1/ingest", MESSAGE),
    ("POST", "/v1/ingest/batch", {"messages": [MESSAGE]}),
    ("POST", "/v1/recall", {"user_id": "ana", "query": "Where does she live?"}),
    ("POST", "/v1/context", {"user_id": "ana", "query": "Where does she live?"}),
    ("POST", "/v1/users/ana/facts", {"content": "Lives in Lisbon"}),
    ("POST", "/v1/users/ana/forget", {"source": "tool"}),
    ("POST", "/v1/users/ana/import", {"lines": [{"type": "user"}]}),
    ("PUT", "/v1/slots/parking_spot", {"cardinality": "one"}),
    ("POST", "/v1/keys", {"name": "app"}),
    ("POST", "/v1/dead-letters/drop", {"stage": "none", "reason": "a test"}),
)
_MEGABYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Bytes to send; `waits` is False where they end early and the sender hangs up."""

    kind: str
    data: bytes = field(repr=False)
    waits: bool = True


class BadRequests:
    """Makes one malformed request after another with this key and seed."""

    def __init__(self, key: str, seed: int) -> None:
        self._rng = Random(seed)
        self._key = key
        self._kinds: list[tuple[int, Callable[[], BadRequest]]] = [
            (30, self._wrong_field),
            (15, self._wrong_labels),
            (10, self._unknown_field),
            (10, self._broken_json),
            (6, self._deep_json),
            (6, self._not_utf8),
            (6, self._wrong_shape),
            (8, self._wrong_query),
            (8, self._wrong_path),
            (5, self._wrong_method),
            (5, self._wrong_key),
            (5, self._wrong_type_label),
            (8, self._truncated),
            (6, self._broken_framing),
            (4, self._noise),
            (2, self._too_many_headers),
            (1, self._too_large),
        ]

    def next(self) -> BadRequest:
        weights = [weight for weight, _ in self._kinds]
        [(_, make)] = self._rng.choices(self._kinds, weights)
        return make()

    def _wrong_field(self) -> BadRequest:
        rng = self._rng
        wrong: dict[str, Callable[[Random], Any]] = {
            "user_id": bad_values.identifier,
            "session_id": bad_values.identifier,
            "message_id": bad_values.identifier,
            "agent_id": bad_values.identifier,
            "speaker": bad_values.identifier,
            "role": bad_values.role,
            "content": bad_values.content,
            "timestamp": bad_values.instant,
        }
        name = rng.choice(list(wrong))
        value = rng.choice((wrong[name], bad_values.wrong_type))(rng)
        return self._message("wrong field", {**MESSAGE, name: value})

    def _wrong_labels(self) -> BadRequest:
        body = {**MESSAGE, "metadata": bad_values.labels(self._rng)}
        if isinstance(body["metadata"], str):
            body["metadata"] = 7
        return self._message("wrong metadata", body)

    def _message(self, kind: str, message: dict[str, Any]) -> BadRequest:
        """One message, or a batch of which this one is bad."""
        if self._rng.random() < 0.6:
            return self._posted(kind, "/v1/ingest", json.dumps(message).encode())
        batch = [MESSAGE] * self._rng.randrange(3) + [message]
        return self._posted(kind, "/v1/ingest/batch", json.dumps({"messages": batch}).encode())

    def _unknown_field(self) -> BadRequest:
        method, path, body = self._rng.choice(_ROUTES)
        name = self._rng.choice(("userid", "__proto__", "", "constructor", "\u0000", "x" * 10_000))
        return self._request("unknown field", method, path, json.dumps({**body, name: 1}).encode())

    def _broken_json(self) -> BadRequest:
        method, path, body = self._rng.choice(_ROUTES)
        text = json.dumps(body).encode()
        cut = text[: self._rng.randrange(1, len(text))]
        broken = self._rng.choice((cut, b"", text + b"}", b"{" + text, b"'" + text + b"'", b"NaN{"))
        return self._request("broken JSON", method, path, broken)

    def _deep_json(self) -> BadRequest:
        method, path, _ = self._rng.choice(_ROUTES)
        depth = self._rng.choice((1_000, 100_000, 400_000))
        opening = self._rng.choice((b"[", b'{"a":'))
        closing = b"]" if opening == b"[" else b"}"
        deep = opening * (depth // len(opening)) + b"1" + closing * (depth // len(opening))
        return self._request("deep JSON", method, path, deep)

    def _not_utf8(self) -> BadRequest:
        bad = self._rng.choice((b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"))
        body = b'{"user_id": "ana", "role": "user", "content": "' + bad + b'"}'
        return self._posted("bytes that are not UTF-8", "/v1/ingest", body)

    def _wrong_shape(self) -> BadRequest:
        method, path, _ = self._rng.choice(_ROUTES)
        shape = self._rng.choice((b"null", b"[]", b"1", b'"text"', b"true", b"1e999", b"[{}]"))
        return self._request("wrong shape", method, path, shape)

    def _wrong_query(self) -> BadRequest:
        query = self._rng.choice(
            ("limit=0", "limit=-1", "limit=1e9", "limit=" + "9" * 5_000, "cursor=%00", "cursor=e30",
             "cursor=" + "A" * 3_000, "cursor=%ff%fe", "known_at=soon", "as_of=2026-05-02", "x=1",
             "view=everything", "limit=1&limit=x", "slot=%00", "category=", "%00=%00")
        )  # fmt: skip
        return self._request("wrong query", "GET", f"/v1/users/ana/facts?{query}")

    def _wrong_path(self) -> BadRequest:
        path = self._rng.choice(
            ("/v1/users/%00/facts", "/v1/users/%ff%fe/facts", "/v1/users/" + "a" * 129 + "/facts",
             "/v1/facts/none", "/v1/facts/%00", "/v1/traces/" + "f" * 5_000, "/v1/users/%20/facts",
             "/v1/facts/' OR 1=1 --".replace(" ", "%20"), "/v1/nothing", "//v1/users",
             "/v1/users/a%2Fb/facts", "/../../etc/passwd", "/v1/users/%E2%80%AE/facts")
        )  # fmt: skip
        return self._request("wrong path", "GET", path)

    def _wrong_method(self) -> BadRequest:
        _, path, body = self._rng.choice(_ROUTES)
        method = self._rng.choice(("PATCH", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "get", "POSTT"))
        return self._request("wrong method", method, path, json.dumps(body).encode())

    def _wrong_key(self) -> BadRequest:
        key = self._rng.choice(
            (b"", b"mem_", b"mem_0_0", b"mem_" + b"f" * 32 + b"_x", b"\xff\xfe", b"x" * 8_000,
             b"mem_" + b"f" * 32 + b"_" + "é".encode())
        )  # fmt: skip
        header = self._rng.choice((b"X-API-Key: ", b"Authorization: Bearer ", b"Authorization: "))
        body = json.dumps(MESSAGE).encode()
        return BadRequest("wrong key", _framed("POST", "/v1/ingest", body, header + key))

    def _wrong_type_label(self) -> BadRequest:
        label = self._rng.choice(
            (b"text/plain", b"multipart/form-data", b"application/xml", b"\xff", b"a" * 5_000,
             b"application/x-www-form-urlencoded", b"application/json; charset=utf-16")
        )  # fmt: skip
        body = self._rng.choice((b"user_id=ana&role=user", b"<a/>", '{"a": 1}'.encode("utf-16")))
        head = self._head() + b"\r\nContent-Type: " + label
        return BadRequest("wrong content type", _framed("POST", "/v1/ingest", body, head))

    def _truncated(self) -> BadRequest:
        whole = _framed("POST", "/v1/ingest", json.dumps(MESSAGE).encode(), self._head())
        cut = self._rng.randrange(1, len(whole) - 1)
        return BadRequest("truncated", whole[:cut], waits=False)

    def _broken_framing(self) -> BadRequest:
        start = (
            b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + self._head() + b"\r\n"
        )
        rest = self._rng.choice(
            (b"Content-Length: -1\r\n\r\n{}", b"Content-Length: 1e3\r\n\r\n{}",
             b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
             b"Content-Length: 99999999999999999999\r\n\r\n{}",
             b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
             b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
             b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
             b"no colon here\r\n\r\n", b"X-A: b\x00c\r\n\r\n", b": empty\r\n\r\n")
        )  # fmt: skip
        return BadRequest("broken framing", start + rest)

    def _noise(self) -> BadRequest:
        starts = (
            b"",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"PRI * HTTP/2.0\r\n\r\n",
        )
        noise = self._rng.choice(starts) + self._rng.randbytes(self._rng.randrange(1, 2_000))
        return BadRequest("noise", noise + b"\r\n\r\n", waits=False)

    def _too_many_headers(self) -> BadRequest:
        many = b"\r\n".join(b"X-%d: %s" % (n, b"a" * 500) for n in range(100))
        return BadRequest(
            "huge head", _framed("GET", "/v1/users", b"", self._head() + b"\r\n" + many)
        )

    def _too_large(self) -> BadRequest:
        body = json.dumps({**MESSAGE, "content": "x" * (5 * _MEGABYTE)}).encode()
        if self._rng.random() < 0.5:
            return self._posted("5 MB", "/v1/ingest", body)
        head = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + self._head()
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        return BadRequest("5 MB chunked", head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)

    def _head(self) -> bytes:
        return b"X-API-Key: " + self._key.encode()

    def _posted(self, kind: str, path: str, body: bytes) -> BadRequest:
        return self._request(kind, "POST", path, body)

    def _request(self, kind: str, method: str, path: str, body: bytes = b"") -> BadRequest:
        return BadRequest(kind, _framed(method, path, body, self._head()))


def _framed(method: str, path: str, body: bytes, head: bytes) -> bytes:
    """A whole request; the server hangs up after its answer."""
    first = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    length = b"\r\nContent-Length: %d" % len(body) if body or method != "GET" else b""
    return first + head + length + b"\r\n\r\n" + body
