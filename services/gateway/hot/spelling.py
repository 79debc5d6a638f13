"""Which known words a misspelt term may mean, by trigrams as pg_trgm cuts them. Pure.

It only passes over words that cannot be near: PostgreSQL has the last word on the others, of which
there is rarely one. Words of other letters than a-z and digits are always passed on.
"""

from __future__ import annotations

import re
from array import array

import numpy as np

from services.gateway.hot.columns import Names

_PLAIN = re.compile(r"[a-z0-9]+")
_BETWEEN = "\n"  # in no name
_LETTERS_APART = 3
_ROUNDING = 1e-6  # pg_trgm computes in single precision


class Spellings:
    """An index from trigrams to names, which grows with the names when it is asked."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._of_trigram: dict[str, array[int]] = {}
        self._sizes = array("i")  # in trigrams
        self._letters = array("i")
        self._others: list[int] = []
        self._all, self._starts = "", np.empty(0, dtype=np.intp)  # every name, one behind another

    def near(self, term: str, least: float) -> list[int]:
        """Numbers of the names whose similarity may be `least` or more, and some others.

        None is more than three letters longer or shorter.
        """
        self._catch_up()
        close = np.abs(np.array(self._letters) - len(term)) <= _LETTERS_APART
        if not _PLAIN.fullmatch(term):
            return list(map(int, np.flatnonzero(close)))
        asked = trigrams(term)
        others = np.array(self._others, dtype=np.intc)
        near = [others]
        lists = [np.array(self._of_trigram[cut]) for cut in asked if cut in self._of_trigram]
        if lists:
            codes, shared = np.unique(np.concatenate(lists), return_counts=True)
            either = np.array(self._sizes)[codes] + len(asked) - shared
            near.append(codes[shared / either >= least - _ROUNDING])
        found = np.concatenate(near)
        return list(map(int, found[close[found]]))

    def with_part(self, part: str) -> list[int]:
        """Numbers of the names that have this as a part."""
        if len(self._starts) != len(self._names):
            names = self._names.since(0)
            self._all = _BETWEEN.join(names)
            lengths = np.fromiter(map(len, names), dtype=np.intp) + 1
            self._starts = np.cumsum(lengths) - lengths
        found = (at.start() for at in re.finditer(re.escape(part), self._all))
        places = np.searchsorted(self._starts, np.fromiter(found, dtype=np.intp), side="right")
        return list(map(int, np.unique(places) - 1))

    def _catch_up(self) -> None:
        for code, name in enumerate(self._names.since(len(self._sizes)), len(self._sizes)):
            plain = _PLAIN.fullmatch(name) is not None
            cuts = trigrams(name) if plain else set()
            if not plain:
                self._others.append(code)
            self._sizes.append(len(cuts))
            self._letters.append(len(name))
            for cut in cuts:
                self._of_trigram.setdefault(cut, array("i")).append(code)


def trigrams(word: str) -> set[str]:
    """Three letters at a time, with two blanks before the word and one behind."""
    padded = f"  {word} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
