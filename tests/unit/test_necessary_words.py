"""A pattern is passed over only where it could not match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.screening import looking
from shared.screening.necessary import folded, necessary_words

_PATTERNS = looking._patterns()
_I_TWINS = str.maketrans("isk", "ısK")  # dotless i, and the sign of Kelvin: `re` takes them alike


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"\b(?:ignore|disregard)\b.{0,9}\brules\b", {"ignore", "disregard"}),
        (r"(?:if|when) (?:asked|told)", {"asked", "told"}),
        (r"memori[sz]e", {"memori"}),
        (r"(?:please )?(?:so|then) go", {" go"}),
        (r"(?:Save|)\s*(?:NOTE){2}", {"note"}),
        (r"(?!never)(?=always)\w+", set()),
        (r"(?:a|long word)", set()),
        (r"記憶", {"記憶"}),
    ],
)
def test_the_longest_of_what_must_be_there(pattern: str, words: set[str]) -> None:
    assert necessary_words(pattern) == words


@pytest.mark.parametrize("place", range(len(_PATTERNS)))
@given(data=st.data())
def test_whatever_matches_has_one_of_them(place: int, data: st.DataObject) -> None:
    pattern = _PATTERNS[place]
    loose = pattern.when.pattern.replace(r"\b", "")  # else most drafts are thrown away
    text = data.draw(st.from_regex(re.compile(loose, re.MULTILINE)))
    for written in (text, text.upper(), text.swapcase(), text.translate(_I_TWINS)):
        if pattern.when.search(written):
            small = folded(written)
            assert not pattern.near or any(word in small for word in pattern.near)


def test_most_patterns_are_passed_over_in_most_texts() -> None:
    text = folded("Yesterday I moved to Lisbon with my wife Ana, since her new job starts in June.")
    tried = [one for one in _PATTERNS if not one.near or any(word in text for word in one.near)]
    assert len(tried) < len(_PATTERNS) / 3


def test_letters_that_are_one_to_a_pattern_are_one_when_folded() -> None:
    for letter in map(chr, range(0x1F000)):
        for twin in {letter.lower(), letter.upper(), letter.swapcase()} - {letter}:
            if re.fullmatch(re.escape(letter), twin, re.IGNORECASE):
                assert folded(letter) == folded(twin)
