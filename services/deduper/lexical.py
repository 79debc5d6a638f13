"""Which sentences share words, and how telling those are (pure): BM25 over one user's facts.

Only asked where a model judges: wording finds a replaced fact whose meaning a vector puts far away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.deduper.lexicon import lexicon

_WORD = re.compile(r"[^\W_]+")
_SATURATION, _LENGTH_SHARE = 1.2, 0.75  # k1 and b, as everywhere

Scores = NDArray[np.float32]


@lru_cache(maxsize=65_536)
def terms(content: str) -> frozenset[str]:
    """The stems of a sentence's content words."""
    known = lexicon()
    passed = known.ignored | known.pronouns
    words = (word for word in _WORD.findall(content.lower()) if len(word) > 1)
    return frozenset(known.stem(word) for word in words if word not in passed)


class Wordings:
    """Sentences by row, ready to be asked which of them a sentence resembles."""

    def __init__(self, contents: Sequence[str]) -> None:
        read = [terms(content) for content in contents]
        self._size = len(read)
        self._lengths = np.array([len(found) for found in read], dtype=np.float32)
        postings: dict[str, list[int]] = {}
        for row, found in enumerate(read):
            for term in found:
                postings.setdefault(term, []).append(row)
        self._postings = postings
        average = float(self._lengths.mean()) if read else 1.0
        longer = _LENGTH_SHARE * self._lengths / max(average, 1.0)
        self._norms = (1 + _SATURATION) / (1 + _SATURATION * (1 - _LENGTH_SHARE + longer))

    def bm25(self, content: str) -> Scores:
        """How much each row resembles this sentence; a term counts once a row."""
        scores = np.zeros(self._size, dtype=np.float32)
        for rows in self._shared(content):
            rarity = math.log(1 + (self._size - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[rows] += rarity * self._norms[rows]
        return scores

    def overlap(self, content: str) -> Scores:
        """The Jaccard overlap of content words, 0..1; the same from either side."""
        common = np.zeros(self._size, dtype=np.float32)
        for rows in self._shared(content):
            common[rows] += 1
        union = self._lengths + len(terms(content)) - common
        return np.asarray(common / np.maximum(union, 1), dtype=np.float32)

    def _shared(self, content: str) -> Iterable[list[int]]:
        return (self._postings[t] for t in sorted(terms(content)) if t in self._postings)
