"""Which term is where and how often, found by term without looking at all of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOOSE = 1 << 13  # at most so many are looked through at every question
_LARGEST = 1 << 20  # what is sorted at once: some 20 ms


@dataclass(frozen=True, slots=True)
class Part:
    """Some occurrences; in a sorted part by term, then as they came."""

    terms: NDArray[np.int32]
    places: NDArray[np.int32]
    counts: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.terms)

    @property
    def size_bytes(self) -> int:
        return self.terms.nbytes + self.places.nbytes + self.counts.nbytes

    def at(self, chosen: Any) -> Part:
        return Part(self.terms[chosen], self.places[chosen], self.counts[chosen])

    def of(self, wanted: NDArray[np.int32]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Places and counts of each of these terms, of a sorted part."""
        starts = np.searchsorted(self.terms, wanted).tolist()
        ends = np.searchsorted(self.terms, wanted, side="right").tolist()
        for start, end in zip(starts, ends, strict=True):
            yield self.places[start:end], self.counts[start:end]


class Occurrences:
    """Sorted parts, each twice as large as what is behind it, up to a bound; the last few loose."""

    def __init__(self, loose: int = _LOOSE, largest: int = _LARGEST) -> None:
        self._most_loose, self._largest = loose, largest
        self._sorted: list[Part] = []
        self._loose: list[Part] = []
        self._waiting = 0

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in (*self._sorted, *self._loose))

    def add(self, part: Part) -> None:
        """Add what came later than all before it."""
        self._loose.append(part)
        self._waiting += len(part)
        if self._waiting > self._most_loose:
            self._sort()

    def of(self, codes: Sequence[int]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """For each term its places, as they came, and how often there."""
        wanted = np.array(codes, dtype=np.int32)
        parts = list(self._sorted)
        if self._waiting:
            loose = _together(self._loose)
            self._loose = [loose]
            parts.append(_sorted(loose.at(np.isin(loose.terms, wanted))))
        found = [part.of(wanted) for part in parts]
        return [_joined([next(pairs) for pairs in found]) for _ in codes]

    def used(self, passing: NDArray[np.bool_], terms: int) -> NDArray[np.bool_]:
        """Which of so many terms are at a place that passes."""
        used = np.zeros(terms, dtype=np.bool_)
        for part in (*self._sorted, *self._loose):
            used[part.terms[passing[part.places]]] = True
        return used

    def _sort(self) -> None:
        parts = [_together(self._loose)]
        self._loose, self._waiting = [], 0
        while self._sorted and len(self._sorted[-1]) <= 2 * sum(map(len, parts)) <= self._largest:
            parts.insert(0, self._sorted.pop())
        self._sorted.append(_sorted(_together(parts)))


def _sorted(part: Part) -> Part:
    return part.at(np.argsort(part.terms, kind="stable"))


def _together(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    return Part(
        np.concatenate([part.terms for part in parts]),
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def _joined(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> tuple[NDArray[Any], NDArray[Any]]:
    there = [pair for pair in pairs if len(pair[0])]
    if len(there) == 1:
        return there[0]
    if not there:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int16)
    return np.concatenate([one for one, _ in there]), np.concatenate([n for _, n in there])
