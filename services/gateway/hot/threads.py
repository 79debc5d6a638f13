"""Messages as they were said, session by session: which stand side by side. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SESSION, _MOMENT, _WHOLE = 4, 20, 36  # bytes of a key: the session; with the times; with the id
_SIGN = np.uint64(1 << 63)  # of a moment, flipped, so that bytes are in the order of numbers
_FEW = 1_024

Places = NDArray[np.int32]


class Threads:
    """Places in the order of session, times of saying and recording, id, kept so as they come.

    Messages of one session that were said and recorded at the same moments stand as one: their
    neighbours see the first of them by id.
    """

    def __init__(self) -> None:
        self._keys: NDArray[np.bytes_] = np.empty(0, dtype=f"S{_WHOLE}")
        self._places: Places = np.empty(0, dtype=np.int32)
        self._new: list[tuple[NDArray[np.bytes_], Places]] = []
        self._waiting = 0

    @property
    def size_bytes(self) -> int:
        return self._keys.nbytes + self._places.nbytes + (_WHOLE + 4) * self._waiting

    def add(self, keys: NDArray[np.bytes_], places: Places) -> None:
        """Add messages by their `keys`; many at a time are put in their place when it pays."""
        self._new.append((keys, places))
        self._waiting += len(keys)
        if self._waiting > max(_FEW, len(self._keys) // 4):
            self._catch_up()

    def keep(self, alive: NDArray[np.bool_]) -> None:
        """Drop the places that are not alive."""
        self._catch_up()
        left = alive[self._places]
        self._keys, self._places = self._keys[left], self._places[left]

    def beside(self, keys: NDArray[np.bytes_]) -> tuple[Places, Places]:
        """The places just before and after each of these keys, in its session; -1 for none."""
        self._catch_up()
        if not len(self._keys):
            none = np.full(len(keys), -1, dtype=np.int32)
            return none, none
        at = np.searchsorted(self._keys, _padded(keys, b"\0")) - 1
        last = self._keys[np.maximum(at, 0)]
        first = np.searchsorted(self._keys, _padded(last, b"\0"))
        before = np.where((at >= 0) & _together(last, keys), self._places[first], -1)
        at = np.searchsorted(self._keys, _padded(keys, b"\xff"), side="right")
        next_ = np.minimum(at, len(self._keys) - 1)
        after = (at < len(self._keys)) & _together(self._keys[next_], keys)
        return before, np.where(after, self._places[next_], -1)

    def _catch_up(self) -> None:
        if not self._waiting:
            return
        keys = np.concatenate([keys for keys, _ in self._new])
        places = np.concatenate([places for _, places in self._new])
        order = np.argsort(keys)
        at = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, at, keys[order])
        self._places = np.insert(self._places, at, places[order])
        self._new, self._waiting = [], 0


def keys(
    sessions: NDArray[np.int32],
    said_at: NDArray[np.int64],
    recorded_at: NDArray[np.int64],
    ids: NDArray[np.void],
) -> NDArray[np.bytes_]:
    """What messages are ordered by, as bytes."""
    packed = np.empty(
        len(ids),
        dtype=[("session", ">u4"), ("said_at", ">u8"), ("recorded_at", ">u8"), ("id", "V16")],
    )
    packed["session"] = sessions
    packed["said_at"] = said_at.view(np.uint64) ^ _SIGN
    packed["recorded_at"] = recorded_at.view(np.uint64) ^ _SIGN
    packed["id"] = ids
    return packed.view(f"S{_WHOLE}")


def _bytes(keys: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    rows: NDArray[np.uint8] = np.ascontiguousarray(keys).view(np.uint8).reshape(-1, _WHOLE)
    return rows


def _padded(keys: NDArray[np.bytes_], with_: bytes) -> NDArray[np.bytes_]:
    """The same sessions and times, with an id that is before or behind every other."""
    rows = _bytes(keys).copy()
    rows[:, _MOMENT:] = with_[0]
    return rows.view(f"S{_WHOLE}").reshape(-1)


def _together(some: NDArray[np.bytes_], others: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which are of one session."""
    same: NDArray[np.bool_] = np.all(
        _bytes(some)[:, :_SESSION] == _bytes(others)[:, :_SESSION], axis=1
    )
    return same
