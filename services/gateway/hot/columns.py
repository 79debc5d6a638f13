"""Arrays that grow at their end, and names told apart by numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SMALLEST = 64


class Column:
    """An array that grows by an eighth when it is full; `width` makes it a matrix of rows."""

    def __init__(self, kind: DTypeLike, width: int | None = None) -> None:
        self._kind = np.dtype(kind)
        self._width = () if width is None else (width,)
        self._room: NDArray[Any] = np.empty((0, *self._width), dtype=self._kind)
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    @property
    def values(self) -> NDArray[Any]:
        """What is there: a view, valid until the next `extend`."""
        return self._room[: self._taken]

    @property
    def size_bytes(self) -> int:
        return self._room.nbytes

    def extend(self, values: NDArray[Any]) -> None:
        needed = self._taken + len(values)
        if needed > len(self._room):
            larger = max(needed, _SMALLEST, len(self._room) + len(self._room) // 8)
            room = np.empty((larger, *self._width), dtype=self._kind)
            room[: self._taken] = self.values
            self._room = room
        self._room[self._taken : needed] = values
        self._taken = needed


class Names:
    """Numbers for names, in the order they are first met; None is -1."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._listed: list[str] = []

    def codes(self, names: Iterable[str | None]) -> NDArray[np.int32]:
        known, before = self._codes, len(self._codes)
        found = (-1 if name is None else known.setdefault(name, len(known)) for name in names)
        codes = np.fromiter(found, dtype=np.int32)
        if len(known) > before:
            self._listed.extend(islice(known, before, None))
        return codes

    def known(self, names: Sequence[str]) -> list[int]:
        """The numbers of those that were ever met."""
        return [self._codes[name] for name in names if name in self._codes]

    def code(self, name: str) -> int | None:
        return self._codes.get(name)

    def since(self, code: int) -> list[str]:
        """The names from a number on, in their order."""
        return self._listed[code:]

    def named(self, codes: Iterable[int]) -> list[str]:
        """The names of these numbers."""
        return [self._listed[code] for code in codes]

    def named_or_none(self, codes: Iterable[int]) -> list[str | None]:
        """The same, with None for -1."""
        return [None if code < 0 else self._listed[code] for code in codes]

    def __len__(self) -> int:
        return len(self._codes)
