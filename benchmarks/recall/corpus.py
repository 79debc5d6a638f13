"""Texts with a Zipf vocabulary and vectors in clusters: what a user's facts look like from afar.

Words are made up, so that no stemmer knows them; how often each comes follows Zipf's law, so that a
query's common words are in a third of a user's facts and its rare ones in two or three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_WORDS = 30_000
_FUNCTION_WORDS = "the a of and to in is was with for on at my her his that from by had".split()  # noqa: SIM905
_ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pl r s sh st t tr v w z".split()  # noqa: SIM905
_NUCLEI = ["a", "e", "i", "o", "u", "ai", "ea", "ou"]
_CODAS = ["", "l", "n", "r", "m", "nd", "st", "rk", "t"]


class Corpus:
    """A seeded source of sentences, questions and vectors."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self._words = np.array(_vocabulary(self.rng), dtype=object)
        weights = 1.0 / np.arange(1, _WORDS + 1)
        self._cumulated = np.cumsum(weights / weights.sum())

    def sentences(self, count: int) -> list[str]:
        """Sentences of 5 to 9 words of meaning, with as many small words between them."""
        lengths = self.rng.integers(5, 10, count)
        drawn = iter(self._draw(int(lengths.sum())))
        small = iter(self.rng.integers(0, len(_FUNCTION_WORDS), int(lengths.sum())))
        return [
            "User "
            + " ".join(f"{_FUNCTION_WORDS[next(small)]} {next(drawn)}" for _ in range(length))
            for length in lengths
        ]

    def questions(self, facts: Sequence[str], count: int, misspelt: float = 0.15) -> list[str]:
        """Questions in words of single facts; some with a typo, which nobody ever wrote."""
        return [self._question(facts, misspelt) for _ in range(count)]

    def _question(self, facts: Sequence[str], misspelt: float) -> str:
        words = str(self.rng.choice(facts)).split()[2::2]
        picked = [str(word) for word in self.rng.choice(words, 3, replace=False)]
        if self.rng.random() < misspelt:
            picked[0] = picked[0][:2] + "q" + picked[0][2:]
        return f"What did I say about {picked[0]} and the {picked[1]} with {self._draw(1)[0]}?"

    def _draw(self, count: int) -> list[str]:
        ranks = np.searchsorted(self._cumulated, self.rng.random(count))
        return list(self._words[np.minimum(ranks, _WORDS - 1)])

    def clustered(
        self, centres: NDArray[np.float32], count: int, spread: float = 1.0
    ) -> Iterator[NDArray[np.float32]]:
        """Unit vectors around centres; `spread` is the noise's length beside a centre's of 1."""
        dimensions = centres.shape[1]
        for start in range(0, count, 4096):
            size = min(4096, count - start)
            noise = self.rng.standard_normal((size, dimensions), dtype=np.float32)
            noise *= spread / np.sqrt(dimensions)
            vectors = centres[self.rng.integers(0, len(centres), size)] + noise
            yield from vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _vocabulary(rng: np.random.Generator) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        syllables = 2 if len(words) < 2_000 else 3
        word = "".join(
            str(rng.choice(_ONSETS)) + str(rng.choice(_NUCLEI)) for _ in range(syllables)
        )
        words[word + str(rng.choice(_CODAS))] = None
    return list(words)
