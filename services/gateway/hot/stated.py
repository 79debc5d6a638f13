"""Facts that were stated without a message, as they were said: which stand side by side. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOUR = 3_600_000_000  # microseconds


class Stated:
    """Places in their order; those that were said and recorded at the same moments stand as one."""

    def __init__(
        self,
        places: NDArray[Any],
        said_at: NDArray[np.int64],
        recorded_at: NDArray[np.int64],
        ids: NDArray[Any],
    ) -> None:
        """Times and ids are those of all places."""
        said, recorded = said_at[places], recorded_at[places]
        high, low = ids[places].view(">u8").reshape(-1, 2).T
        order = np.lexsort((low, high, recorded, said))
        self._places, self._said = places[order], said[order]
        new = np.diff(self._said, prepend=-1) != 0
        new |= np.diff(recorded[order], prepend=-1) != 0
        if len(new):
            new[0] = True
        self._starts = np.flatnonzero(new)
        self._group = np.cumsum(new) - 1
        self._at = {place: at for at, place in enumerate(self._places.tolist())}

    def beside(self, place: int) -> tuple[int | None, int | None]:
        """The places just before and after this one, where they are within an hour."""
        if (at := self._at.get(place)) is None:
            return None, None
        group = int(self._group[at])
        return self._within_an_hour(at, group - 1), self._within_an_hour(at, group + 1)

    def _within_an_hour(self, at: int, group: int) -> int | None:
        if not 0 <= group < len(self._starts):
            return None
        other = self._starts[group]
        near = abs(int(self._said[other]) - int(self._said[at])) <= _HOUR
        return int(self._places[other]) if near else None
