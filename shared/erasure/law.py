"""What came before an erasure, and what is new (pure).

A stream entry is told by its place in the stream: what was added up to the tombstone's place came
before it, whatever any clock says and however late it is read. What it says of its own time does
not count: who comes back may tell old stories anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

_LAST_SEQUENCE = 2**64 - 1


class Position(NamedTuple):
    """A place in a stream, in the order of entry ids."""

    ms: int
    sequence: int

    @classmethod
    def of(cls, entry_id: str) -> Self:
        ms, _, sequence = entry_id.partition("-")
        return cls(int(ms), int(sequence or 0))

    @classmethod
    def before(cls, ms: int) -> Self:
        """The last place before this millisecond."""
        return cls(ms - 1, _LAST_SEQUENCE)


class Tombstones:
    """The last erasure of each user and each session, as far as any is known."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows have user_sha256, session_sha256 (null: the user), stream_ms, stream_seq."""
        self._last: dict[tuple[bytes, bytes | None], Position] = {}
        for row in rows:
            session = row["session_sha256"]
            key = (bytes(row["user_sha256"]), None if session is None else bytes(session))
            place = Position(int(row["stream_ms"]), int(row["stream_seq"]))
            self._last[key] = max(place, self._last.get(key, place))

    def cover(self, tenant: str, user: str, session: str, place: Position) -> bool:
        """Whether an entry that stands there was added before its user or session was erased."""
        of_user = user_sha256(tenant, user)
        keys = ((of_user, None), (of_user, session_sha256(tenant, user, session)))
        return any(place <= self._last[key] for key in keys if key in self._last)


def user_sha256(tenant: str, user: str) -> bytes:
    """As `memoire_user_sha256` in SQL: all that an erasure keeps of whose it was."""
    return _digest(tenant, user)


def session_sha256(tenant: str, user: str, session: str) -> bytes:
    return _digest(tenant, user, session)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()
