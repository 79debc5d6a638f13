"""Facts in memory, whatever came and went: the same neighbours and weights as by the plain rules."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import ranking
from services.gateway.hot.columns import Column, Names
from services.gateway.hot.lexical import lexical_rows
from services.gateway.hot.shelf import Filters, Shelf, microseconds, moment
from services.gateway.hot.spelling import Spellings, trigrams
from services.gateway.hot.stated import Stated

DIMENSIONS = 3
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WORDS = st.sampled_from(["tea", "coffee", "lisbon", "violin", "bridge", "lisboa", "violins"])
VECTORS = st.tuples(*[st.sampled_from([-1.0, -0.5, 0.25, 1.0])] * DIMENSIONS)
FACTS = st.tuples(st.integers(0, 5), st.lists(WORDS, max_size=4), VECTORS, st.booleans())
STEPS = st.lists(st.one_of(FACTS, st.integers(0, 5)), max_size=20)


def _row(
    number: int, words: list[str], vector: tuple[float, ...], *, current: bool
) -> tuple[Any, ...]:
    """A row as PostgreSQL packs it."""
    packed = UUID(int=number).bytes + np.array(vector, dtype=">f2").tobytes()
    said = microseconds(NOW)
    packed += (
        struct.pack(">dqqqqq", 0.5, said, said, said, 2**63 - 1, 2**63 - 1) + UUID(int=0).bytes
    )
    packed += struct.pack(">iii", 1, 0, 2 + 4 * current)
    terms = sorted(set(words))
    counts = [words.count(term) for term in terms]
    return packed, "biographical", None, "user", None, None, " ".join(words), terms, counts


def _played(steps: list[Any]) -> tuple[Shelf, dict[int, Any]]:
    """Facts come, change (by coming again) and go: the shelf, and what should be on it."""
    shelf, expected = Shelf(DIMENSIONS), {}
    for step in steps:
        number = step if isinstance(step, int) else step[0]
        shelf.remove([UUID(int=number)])
        expected.pop(number, None)
        if not isinstance(step, int):
            _, words, vector, current = step
            shelf.add([_row(number, words, vector, current=current)])
            expected[number] = (words, vector, current)
    return shelf, expected


@given(STEPS, VECTORS, st.booleans(), st.integers(1, 7))
def test_the_nearest_are_those_a_plain_scan_finds(
    steps: list[Any], asked: tuple[float, ...], current: bool, most: int
) -> None:
    """Nearest first, equal ones by id, at most so many, and nothing that is gone."""
    shelf, expected = _played(steps)
    found = shelf.nearest(shelf.mask(Filters(current=current)), asked, most)
    cosines = {
        UUID(int=number): _cosine(vector, asked)
        for number, (_, vector, holds) in expected.items()
        if holds or not current
    }
    assert len(shelf) == len(expected)
    assert len(found) == min(most, len(cosines))
    by_rule = sorted(cosines.values(), reverse=True)[: len(found)]
    assert [row["cosine"] for row in found] == pytest.approx(by_rule, abs=1e-5)
    for row in found:
        assert row["cosine"] == pytest.approx(cosines[row["id"]], abs=1e-5)


def _cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / (math.hypot(*one) * math.hypot(*other))


@given(STEPS, st.lists(WORDS, min_size=1, max_size=3, unique=True), st.integers(1, 7))
async def test_words_weigh_as_bm25_says(steps: list[Any], asked: list[str], most: int) -> None:
    """Counts, frequencies and order are those of the facts that are there."""
    shelf, expected = _played(steps)

    async def nobody(missing: Any, words: Any) -> dict[str, str]:
        return {}

    rows = await lexical_rows(
        shelf,
        shelf.mask(Filters(current=False)),
        [(term, term) for term in asked],
        most=most,
        vocabulary_limit=100,
        similarity=0.4,
        nearest=nobody,
    )
    texts = {UUID(int=number): words for number, (words, _, _) in expected.items()}
    frequencies = {term: sum(term in words for words in texts.values()) for term in asked}
    matching = {row for row, words in texts.items() if set(words) & set(asked)}
    assert rows[0]["documents"] == len(texts)
    assert rows[0]["frequencies"] == frequencies
    found = [row for row in rows if row["id"] is not None]
    assert len(found) == min(most, len(matching))
    for row in found:
        words = texts[row["id"]]
        assert row["terms"] == {term: words.count(term) for term in asked if term in words}
        assert row["length"] == len(set(words))
    weights = [
        ranking.bm25(r["terms"], frequencies, r["documents"], r["length"], r["average"], 1.2, 0.75)
        for r in found
    ]
    assert weights == pytest.approx(sorted(weights, reverse=True))


@given(
    st.lists(st.text("abcé", min_size=1, max_size=8), unique=True),
    st.text("abcd", min_size=1, max_size=8),
)
def test_no_word_that_is_near_enough_is_passed_over(words: list[str], term: str) -> None:
    """What shares two fifths of its trigrams with the term is among those looked at."""
    names = Names()
    names.codes(words[::2])
    spellings = Spellings(names)
    spellings.near(term, 0.4)  # an index that was used before
    names.codes(words)
    near = set(names.named(spellings.near(term, 0.4)))
    asked = trigrams(term)
    for word in words:
        shared = len(asked & trigrams(word))
        if shared / len(asked | trigrams(word)) >= 0.4:
            assert word in near


@given(
    st.lists(st.text("abcé寿", min_size=1, max_size=8), unique=True),
    st.text("abcé寿", min_size=1, max_size=3),
)
def test_every_word_with_a_part_is_found(words: list[str], part: str) -> None:
    """Once each, whenever the words came."""
    names = Names()
    names.codes(words[::2])
    spellings = Spellings(names)
    spellings.with_part(part)
    names.codes(words)
    found = names.named(spellings.with_part(part))
    assert sorted(found) == sorted(word for word in words if part in word)


MOMENTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=12)


@given(MOMENTS)
def test_who_stands_beside_is_said_next_within_an_hour(moments: list[tuple[int, int]]) -> None:
    """Next by the times of saying and recording; of several at once, the first by id."""
    half_hours = np.array([said for said, _ in moments], dtype=np.int64) * 1_800_000_000
    recorded = np.array([at for _, at in moments], dtype=np.int64)
    ids = np.array([UUID(int=place).bytes for place in range(len(moments))], dtype="V16")
    stated = Stated(np.arange(len(moments)), half_hours, recorded, ids)
    for place, moment_ in enumerate(moments):
        earlier = [m for m in moments if m < moment_ and m[0] >= moment_[0] - 2]
        later = [m for m in moments if m > moment_ and m[0] <= moment_[0] + 2]
        before = moments.index(max(earlier)) if earlier else None
        after = moments.index(min(later)) if later else None
        assert stated.beside(place) == (before, after)


@given(st.lists(st.lists(st.integers(0, 9), max_size=50), max_size=10))
def test_a_column_keeps_what_it_was_given(parts: list[list[int]]) -> None:
    """Growing loses nothing."""
    column = Column(np.int64)
    for part in parts:
        column.extend(np.array(part, dtype=np.int64))
    assert column.values.tolist() == [value for part in parts for value in part]


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(
        lambda when: when.replace(tzinfo=UTC)
    )
)
def test_moments_are_counted_as_postgresql_does(when: datetime) -> None:
    """To the microsecond, both ways."""
    assert moment(microseconds(when)) == when
    assert microseconds(when + timedelta(microseconds=1)) == microseconds(when) + 1
