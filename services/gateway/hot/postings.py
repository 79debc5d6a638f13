"""Which words are in which of a user's facts, and BM25 as the lexical arm has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot.columns import Column, Names
from services.gateway.hot.spelling import Spellings, close_in_length

_K1, _B = 1.2, 0.75  # as in the SQL of the lexical arm


@dataclass(frozen=True, slots=True)
class Corpus:
    """The facts that pass: how many, and their mean number of different words."""

    documents: int
    average: float


@dataclass(frozen=True, slots=True)
class Hits:
    """Where one term is: places of facts, and how often there."""

    term: str
    places: NDArray[Any]
    counts: NDArray[Any]


class Postings:
    """Occurrences in the order in which facts came; searched by scanning numbers."""

    def __init__(self) -> None:
        self._names = Names()
        self._term, self._place, self._count = Column(np.int32), Column(np.int32), Column(np.int32)
        self._lengths = Column(np.int32)
        self._spellings = Spellings(self._names)

    @property
    def size_bytes(self) -> int:
        columns = (self._term, self._place, self._count, self._lengths)
        return sum(column.size_bytes for column in columns) + 250 * len(self._names)

    def add(self, terms: Sequence[Sequence[str]], counts: Sequence[Sequence[int]]) -> None:
        """Add facts at the next places: each one's terms, and how often each."""
        first = len(self._lengths)
        lengths = np.fromiter((len(one) for one in terms), dtype=np.int32)
        places = np.arange(first, first + len(terms), dtype=np.int32)
        self._lengths.extend(lengths)
        self._place.extend(np.repeat(places, lengths))
        self._term.extend(self._names.codes(term for one in terms for term in one))
        self._count.extend(np.fromiter((n for one in counts for n in one), dtype=np.int32))

    def corpus(self, passing: NDArray[np.bool_]) -> Corpus:
        documents = int(np.count_nonzero(passing))
        total = int(self._lengths.values[passing].sum())
        return Corpus(documents, total / documents if documents else 0.0)

    def hits(self, term: str, passing: NDArray[np.bool_]) -> Hits | None:
        """The facts that pass and have a term; None where there is none."""
        code = self._names.code(term)
        if code is None:
            return None
        found = np.flatnonzero(self._term.values == code)
        places = self._place.values[found]
        known = np.searchsorted(places, len(passing))  # facts may have come since
        found, places = found[:known], places[:known]
        there = passing[places]
        return Hits(term, places[there], self._count.values[found][there]) if there.any() else None

    def maybe_meant(
        self, missing: Sequence[str], passing: NDArray[np.bool_], least: float
    ) -> list[str]:
        """The words of what passes that may be near one of these terms."""
        words: set[str] = set()
        for term in missing:
            names = self._names.named(self._spellings.near(term, least))
            near = close_in_length(term, names)
            words.update(word for word in near if self.hits(word, passing) is not None)
        return sorted(words)

    def weights(
        self, found: Sequence[Hits], documents: int, average: float
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """BM25 of every fact that has any of the terms: places in order, and weights."""
        summed = np.zeros(len(self._lengths), dtype=np.float64)
        for hits in found:
            frequency = len(hits.places)
            idf = np.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))
            length = self._lengths.values[hits.places] / average
            counts = hits.counts
            summed[hits.places] += (
                idf * counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * length))
            )
        places = np.flatnonzero(summed)
        return places, summed[places]

    def length_at(self, place: int) -> int:
        return int(self._lengths.values[place])


def terms_at(found: Sequence[Hits], places: Sequence[int]) -> Mapping[int, dict[str, int]]:
    """For each of these places, the terms found there and how often."""
    terms: dict[int, dict[str, int]] = {place: {} for place in places}
    wanted = np.array(sorted(places), dtype=np.int32)
    for hits in found:
        _, _, at = np.intersect1d(wanted, hits.places, assume_unique=True, return_indices=True)
        for place, count in zip(hits.places[at].tolist(), hits.counts[at].tolist(), strict=True):
            terms[place][hits.term] = count
    return terms
