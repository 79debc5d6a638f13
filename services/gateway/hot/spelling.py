"""Which known words a misspelt term may mean, by trigrams as pg_trgm cuts them. Pure.

It only passes over words that cannot be near: PostgreSQL has the last word on the others, of which
there is rarely one. Words of other letters than a-z and digits are always passed on.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence

import numpy as np

from services.gateway.hot.columns import Names

_PLAIN = re.compile(r"[a-z0-9]+")
_ROUNDING = 1e-6  # pg_trgm computes in single precision


class Spellings:
    """An index from trigrams to names, which grows with the names when it is asked."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._of_trigram: dict[str, array[int]] = {}
        self._sizes = array("i")
        self._others: list[int] = []

    def near(self, term: str, least: float) -> list[int]:
        """Numbers of all names whose similarity may be `least` or more, and some others."""
        self._catch_up()
        if not _PLAIN.fullmatch(term):
            return list(range(len(self._sizes)))
        asked = trigrams(term)
        lists = [np.array(self._of_trigram[cut]) for cut in asked if cut in self._of_trigram]
        if not lists:
            return list(self._others)
        codes, shared = np.unique(np.concatenate(lists), return_counts=True)
        either = np.array(self._sizes)[codes] + len(asked) - shared
        return [*codes[shared / either >= least - _ROUNDING].tolist(), *self._others]

    def _catch_up(self) -> None:
        for code, name in enumerate(self._names.since(len(self._sizes)), len(self._sizes)):
            plain = _PLAIN.fullmatch(name) is not None
            cuts = trigrams(name) if plain else set()
            if not plain:
                self._others.append(code)
            self._sizes.append(len(cuts))
            for cut in cuts:
                self._of_trigram.setdefault(cut, array("i")).append(code)


def trigrams(word: str) -> set[str]:
    """Three letters at a time, with two blanks before the word and one behind."""
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def close_in_length(term: str, words: Sequence[str]) -> list[str]:
    """The words that are at most three letters longer or shorter."""
    return [word for word in words if abs(len(word) - len(term)) <= 3]
