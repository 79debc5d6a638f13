"""Which words are in which of a user's facts, and BM25 as the lexical arm has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot.columns import Column, Names
from services.gateway.hot.spelling import Spellings

_K1, _B = 1.2, 0.75  # as in the SQL of the lexical arm
_SHORTEST_PART = 6  # of a compound, in the letters of ASCII

Pair = tuple[str, str]


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

    def hits(self, words: Sequence[Pair], passing: NDArray[np.bool_]) -> list[Hits]:
        """The facts that pass and have a term's words: (word, term), each word for one term.

        Terms of which there is none are left out; what a fact has of several words is added up.
        """
        of_code: dict[int, str] = {}
        for word, term in words:
            if (code := self._names.code(word)) is not None:
                of_code[code] = term
        if not of_code:
            return []
        terms = sorted(set(of_code.values()))
        number = np.full(len(self._names), -1, dtype=np.int16)
        for code, term in of_code.items():
            number[code] = terms.index(term)
        numbers = number[self._term.values]
        found = np.flatnonzero(numbers >= 0)
        found = found[self._pass(passing, self._place.values[found])]
        of_term = numbers[found]
        hits = (self._hit(term, found[of_term == at]) for at, term in enumerate(terms))
        return [hit for hit in hits if len(hit.places)]

    def _hit(self, term: str, found: NDArray[Any]) -> Hits:
        places, counts = self._place.values[found], self._count.values[found]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        if len(starts) == len(places):
            return Hits(term, places, counts)
        return Hits(term, places[starts], np.add.reduceat(counts, starts))

    @staticmethod
    def _pass(passing: NDArray[np.bool_], places: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of these places pass; facts that have come since `passing` was made do not."""
        known = places < len(passing)
        return known & passing[np.where(known, places, 0)] if len(passing) else known

    def maybe_meant(
        self, missing: Sequence[Pair], passing: NDArray[np.bool_], least: float
    ) -> list[str]:
        """The words of what passes that may be near one of these terms, or have one as a part."""
        codes: set[int] = set()
        for term, variant in missing:
            if term == variant:
                codes.update(self._spellings.near(term, least))
            if not (variant.isascii() and len(variant) < _SHORTEST_PART):
                codes.update(self._spellings.with_part(variant))
        if not codes:
            return []
        used = np.zeros(len(self._names), dtype=np.bool_)
        used[self._term.values[self._pass(passing, self._place.values)]] = True
        return sorted(self._names.named(code for code in codes if used[code]))

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
