"""What simple methods find among the same facts: BM25, vectors, and both by min-max fusion.

Words are lower-cased and nothing else. Nothing here is the product's but its embedding model and
its arithmetic of BM25.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from services.gateway.ranking import bm25, matched_share
from shared.embeddings import LocalEmbedder
from shared.local_models import LOCAL_MODEL

Scores = NDArray[np.float64]
_WORD = re.compile(r"\w+")
_EMBEDDED_AT_ONCE = 256


class Vectors:
    """Embeds each text once."""

    def __init__(self, model: str = LOCAL_MODEL) -> None:
        self._embedder = LocalEmbedder(model)
        self._known: dict[str, NDArray[np.float32]] = {}

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, each of length 1."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), _EMBEDDED_AT_ONCE):
            part = new[start : start + _EMBEDDED_AT_ONCE]
            self._known |= dict(zip(part, asyncio.run(self._embedder.embed(part)), strict=True))
        return np.array([self._known[text] for text in texts])


class Shelf:
    """Some documents, ready to be searched by each of the simple methods."""

    def __init__(self, documents: Sequence[str], vectors: Vectors) -> None:
        self.documents = tuple(documents)
        self._words = [Counter(_words(document)) for document in documents]
        self._frequencies = Counter(word for words in self._words for word in words)
        lengths = [sum(words.values()) for words in self._words]
        self._average = sum(lengths) / max(len(lengths), 1)
        self._lengths = lengths
        self._vectors = vectors

    def bm25(self, query: str) -> Scores:
        asked = set(_words(query))
        return np.array(
            [
                bm25(
                    {word: words[word] for word in asked if word in words},
                    self._frequencies,
                    len(self.documents),
                    length,
                    self._average,
                    k1=1.2,
                    b=0.75,
                )
                for words, length in zip(self._words, self._lengths, strict=True)
            ]
        )

    def share(self, query: str, place: int) -> float:
        """The share of the query's words that a document has, rare words counting more."""
        asked = {word: self._frequencies[word] for word in _words(query)}
        return matched_share(self._words[place], asked, len(self.documents))

    def vectors(self, query: str) -> Scores:
        near: Scores = self._vectors.of(self.documents) @ self._vectors.of([query])[0]
        return near

    def fused(self, query: str) -> Scores:
        return (_scaled(self.bm25(query)) + _scaled(self.vectors(query))) / 2

    def best(self, method: Method, query: str, limit: int) -> list[str]:
        """The best documents, best first; what scores nothing is still in order."""
        order = np.argsort(-method(self, query), kind="stable")[:limit]
        return [self.documents[place] for place in order]


Method = Callable[[Shelf, str], Scores]
METHODS: Mapping[str, Method] = {
    "BM25": Shelf.bm25,
    "vectors": Shelf.vectors,
    "min-max fusion": Shelf.fused,
}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _scaled(scores: Scores) -> Scores:
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)
