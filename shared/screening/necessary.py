"""The words one of which stands in whatever a pattern matches (pure): most texts have none of them.

Looking for some words costs a hundredth of trying the pattern, and changes nothing that is found.
They are read from the pattern as Python itself parses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

_parser: Any = import_module("re._parser")


_SHORTEST = 3  # letters of a word worth looking for: shorter ones, if Latin, are in most texts
_DOT_ABOVE = "\u0307"  # what `lower` makes of a Turkish capital i beside the i
_ALIKE = {
    code: min(code, *others)
    for code, others in vars(import_module("re._casefix"))["_EXTRA_CASES"].items()
}


def folded(text: str) -> str:
    """A text in which two letters are equal wherever `re.IGNORECASE` takes them for equal."""
    small = text.lower()
    return small if small.isascii() else small.translate(_ALIKE).replace(_DOT_ABOVE, "")


def necessary_words(pattern: str) -> frozenset[str]:
    """Folded words of which every match has one; empty where there are none worth looking for."""
    return _best(_of_sequence(_parser.parse(pattern))) or frozenset()


def _of_sequence(items: Iterable[Any]) -> Iterator[frozenset[str]]:
    """Every set of which one word must be in what these items match one after another."""
    run = ""
    for kind, what in items:
        if kind is _parser.LITERAL:
            run += chr(what)
            continue
        if run:
            yield frozenset({folded(run)})
            run = ""
        yield from _of_item(kind, what)
    if run:
        yield frozenset({folded(run)})


def _of_item(kind: Any, what: Any) -> Iterator[frozenset[str]]:
    if kind is _parser.BRANCH:
        sets = [_best(_of_sequence(each)) for each in what[1]]
        if all(sets):
            yield frozenset().union(*(each for each in sets if each))
    elif kind in {_parser.SUBPATTERN, _parser.ATOMIC_GROUP}:
        inside = what[-1] if kind is _parser.SUBPATTERN else what
        yield from _of_sequence(inside)
    elif kind in {_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT}:
        least, _, inside = what
        if least:
            yield from _of_sequence(inside)


def _best(sets: Iterable[frozenset[str]]) -> frozenset[str] | None:
    """The set with the longest shortest word, which is in the fewest texts."""
    worth = [each for each in sets if all(map(_is_rare, each))]
    return max(worth, key=lambda each: (min(map(len, each)), -len(each)), default=None)


def _is_rare(word: str) -> bool:
    return len(word) >= _SHORTEST or not word.isascii()
