"""Stream entries that make no sense, made from a seed (pure): each must become a dead letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from tests.fuzz import bad_values

Entry = dict[bytes, bytes]
_GOOD: Entry = {b"user_id": b"bo", b"role": b"user", b"content": b"I live in Porto"}
_NOT_UTF8 = (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x80abc")
_FIVE_MEGABYTES = 5 * 1_048_576


class BadEntries:
    """Makes one bad entry after another, of tenants of its own now and then."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._kinds: list[tuple[int, Callable[[], Entry]]] = [
            (300, self._wrong_field),
            (100, self._missing_field),
            (150, self._not_utf8),
            (150, self._wrong_labels),
            (100, self._deep_labels),
            (100, self._not_json),
            (50, self._noise),
            (50, self._half_bell),
            (1, self._too_large),
        ]

    def next(self) -> Entry:
        weights = [weight for weight, _ in self._kinds]
        [(_, make)] = self._rng.choices(self._kinds, weights)
        return make()

    def _wrong_field(self) -> Entry:
        rng = self._rng
        name, value = rng.choice(
            (
                (b"user_id", bad_values.identifier),
                (b"session_id", bad_values.identifier),
                (b"message_id", bad_values.identifier),
                (b"tenant", bad_values.identifier),
                (b"agent_id", bad_values.identifier),
                (b"role", bad_values.role),
                (b"content", bad_values.content),
                (b"timestamp", bad_values.instant),
            )
        )
        return {**_GOOD, name: value(rng).encode("utf-8", "surrogatepass")}

    def _missing_field(self) -> Entry:
        missing = self._rng.choice(list(_GOOD))
        return {key: value for key, value in _GOOD.items() if key != missing} | {b"x": b"y"}

    def _not_utf8(self) -> Entry:
        bad = self._rng.choice(_NOT_UTF8)
        if self._rng.random() < 0.3:
            return {**_GOOD, bad: b"a name"}
        return {**_GOOD, self._rng.choice([*_GOOD, b"session_id", b"whatever"]): bad}

    def _wrong_labels(self) -> Entry:
        labels = json.dumps(bad_values.labels(self._rng))
        text = self._rng.choice((labels, "{", "nope", "[1]", '"a"', "1e999", ""))
        return {**_GOOD, b"metadata": text.encode()}

    def _deep_labels(self) -> Entry:
        depth = self._rng.choice((40, 5_000, 60_000))
        return {**_GOOD, b"metadata": b'{"a":' + b"[" * depth + b"]" * depth + b"}"}

    def _not_json(self) -> Entry:
        texts = (b"", b"{", b"null", b"[]", b"1", b"\xff", b"[" * 50_000, b'{"user_id": 1}')
        return {b"__data__": self._rng.choice(texts)}

    def _noise(self) -> Entry:
        rng = self._rng
        size = rng.randrange(1, 8)
        return {rng.randbytes(5): rng.randbytes(rng.randrange(200)) for _ in range(size)}

    def _half_bell(self) -> Entry:
        """What looks like a bell of the gateway's and cannot be read as one."""
        at = self._rng.choice((b"", b"now", b"9" * 400, b"\xff", b"-1", b"1e999"))
        return {b"user": b"half-%d" % self._rng.randrange(10**9), b"at": at}

    def _too_large(self) -> Entry:
        return {**_GOOD, b"content": b"x" * _FIVE_MEGABYTES}
