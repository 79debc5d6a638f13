"""Which words are in which of a user's facts or messages; BM25 as the lexical arm has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot.columns import Column, Names
from services.gateway.hot.occurrences import Occurrences, Part
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
    """What is said where, by place; places come in order."""

    def __init__(self) -> None:
        self._names = Names()
        self._occurrences = Occurrences()
        self._lengths = Column(np.int32)
        self._spellings = Spellings(self._names)

    @property
    def size_bytes(self) -> int:
        known = self._occurrences.size_bytes + self._lengths.size_bytes
        return known + 250 * len(self._names)

    def add(self, terms: Sequence[Sequence[str]], counts: Sequence[Sequence[int]]) -> None:
        """Add facts at the next places: each one's terms, and how often each."""
        first = len(self._lengths)
        lengths = np.fromiter((len(one) for one in terms), dtype=np.int32)
        places = np.arange(first, first + len(terms), dtype=np.int32)
        self._lengths.extend(lengths)
        codes = self._names.codes(term for one in terms for term in one)
        often = np.fromiter((n for one in counts for n in one), dtype=np.int16)
        self._occurrences.add(Part(codes, np.repeat(places, lengths), often))

    def corpus(self, passing: NDArray[np.bool_]) -> Corpus:
        documents = int(np.count_nonzero(passing))
        total = int(self._lengths.values[passing].sum())
        return Corpus(documents, total / documents if documents else 0.0)

    def hits(self, words: Sequence[Pair], passing: NDArray[np.bool_]) -> list[Hits]:
        """The facts that pass and have a term's words: (word, term), each word for one term.

        Terms of which there is none are left out; what a fact has of several words is added up.
        """
        codes_of: dict[str, list[int]] = {}
        for word, term in words:
            if (code := self._names.code(word)) is not None:
                codes_of.setdefault(term, []).append(code)
        codes = [code for term in sorted(codes_of) for code in codes_of[term]]
        found = iter(self._occurrences.of(codes) if codes else ())
        over = _over(passing, len(self._lengths))
        hits = (
            _hit(term, [next(found) for _ in codes_of[term]], over) for term in sorted(codes_of)
        )
        return [hit for hit in hits if len(hit.places)]

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
        used = self._occurrences.used(_over(passing, len(self._lengths)), len(self._names))
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

    @property
    def lengths(self) -> NDArray[np.int32]:
        """How many different words each place has."""
        return self._lengths.values

    def length_at(self, place: int) -> int:
        return int(self._lengths.values[place])


def _hit(
    term: str, found: Sequence[tuple[NDArray[Any], NDArray[Any]]], passing: NDArray[np.bool_]
) -> Hits:
    """What passes of the occurrences of a term's words, each place once."""
    places, counts = found[0]
    if len(found) > 1:
        places = np.concatenate([places for places, _ in found])
        counts = np.concatenate([counts for _, counts in found])
        order = np.argsort(places, kind="stable")
        places, counts = places[order], counts[order]
    there = passing[places]
    places, counts = places[there], counts[there]
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    if len(starts) == len(places):
        return Hits(term, places, counts)
    return Hits(term, places[starts], np.add.reduceat(counts, starts))


def _over(passing: NDArray[np.bool_], places: int) -> NDArray[np.bool_]:
    """The same over more places: what has come since `passing` was made does not pass."""
    if len(passing) == places:
        return passing
    over = np.zeros(places, dtype=np.bool_)
    over[: len(passing)] = passing
    return over


def terms_at(found: Sequence[Hits], places: Sequence[int]) -> Mapping[int, dict[str, int]]:
    """For each of these places, the terms found there and how often."""
    terms: dict[int, dict[str, int]] = {place: {} for place in places}
    wanted = np.array(sorted(places), dtype=np.int32)
    for hits in found:
        _, _, at = np.intersect1d(wanted, hits.places, assume_unique=True, return_indices=True)
        for place, count in zip(hits.places[at].tolist(), hits.counts[at].tolist(), strict=True):
            terms[place][hits.term] = count
    return terms
