"""Messages in memory, whatever came and went: the same finds and neighbours as by the plain rules."""

from __future__ import annotations

import math
import struct
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.hot.messages import Messages
from services.gateway.hot.occurrences import Occurrences, Part

WORDS = st.sampled_from(["tea", "coffee", "lisbon", "violin", "bridge"])
SAID = st.tuples(
    st.integers(0, 7),  # which message
    st.sampled_from(["one", "two"]),
    st.integers(-2, 2),  # said
    st.integers(0, 1),  # recorded
    st.lists(WORDS, max_size=6),
)
STEPS = st.lists(st.one_of(SAID, SAID, st.integers(0, 7)), max_size=24)
Told = dict[int, tuple[str, int, int, list[str]]]
"""Session, moments of saying and recording, words, by message."""


def _row(number: int, session: str, said: int, recorded: int, words: list[str]) -> tuple[Any, ...]:
    """A row as PostgreSQL packs it."""
    packed = UUID(int=number).bytes + struct.pack(">qq", said, recorded)
    terms = sorted(set(words))
    return packed, session, terms, [words.count(term) for term in terms]


def _played(steps: list[Any]) -> tuple[Messages, Told]:
    """Messages come, change (by coming again) and go: what is in memory, and what should be."""
    messages, expected = Messages(), Told()
    for step in steps:
        number = step if isinstance(step, int) else step[0]
        messages.remove([UUID(int=number)])
        expected.pop(number, None)
        if not isinstance(step, int):
            messages.add([_row(*step)])
            expected[number] = step[1:]
    return messages, expected


def _beside(told: Told, number: int) -> tuple[UUID | None, UUID | None]:
    session, said, recorded, _ = told[number]
    of_session = {n: (s[1], s[2]) for n, s in told.items() if s[0] == session}
    earlier = {n: at for n, at in of_session.items() if at < (said, recorded)}
    later = {n: at for n, at in of_session.items() if at > (said, recorded)}
    before = min((n for n, at in earlier.items() if at == max(earlier.values())), default=None)
    after = min((n for n, at in later.items() if at == min(later.values())), default=None)
    return _named(before), _named(after)


def _named(number: int | None) -> UUID | None:
    return None if number is None else UUID(int=number)


def _weights(told: Told, asked: list[str]) -> dict[int, tuple[float, float]]:
    """Share and weight of every message that has one of the words, as the SQL defines them."""
    texts = {number: words for number, (_, _, _, words) in told.items()}
    average = sum(len(set(words)) for words in texts.values()) / max(len(texts), 1)
    found = {}
    idf = {}
    for term in asked:
        frequency = sum(term in words for words in texts.values())
        idf[term] = math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
    for number, words in texts.items():
        if not (there := [term for term in asked if term in words]):
            continue
        length = 0.9 * (0.6 + 0.4 * len(set(words)) / average)
        weight = sum(
            idf[term] * words.count(term) * 1.9 / (words.count(term) + length) for term in there
        )
        found[number] = sum(idf[term] for term in there) / sum(idf.values()), weight
    return found


@given(STEPS, st.lists(WORDS, max_size=4, unique=True))
def test_messages_weigh_and_stand_as_the_rules_say(steps: list[Any], asked: list[str]) -> None:
    """Every match with its share, weight and neighbours; best first; nothing that is gone."""
    messages, told = _played(steps)
    rows = messages.best(asked, 100)
    expected = _weights(told, asked)
    assert len(messages) == len(told)
    assert {row["id"] for row in rows} == {UUID(int=number) for number in expected}
    for row in rows:
        share, weight = expected[row["id"].int]
        assert row["matched_share"] == pytest.approx(share)
        assert row["weight"] == pytest.approx(weight)
        assert (row["before"], row["after"]) == _beside(told, row["id"].int)
    weights = [row["weight"] for row in rows]
    assert weights == sorted(weights, reverse=True)


@given(STEPS, st.lists(WORDS, min_size=1, max_size=4, unique=True), st.integers(1, 4))
def test_no_more_than_asked_for_and_equal_ones_by_id(
    steps: list[Any], asked: list[str], most: int
) -> None:
    messages, told = _played(steps)
    rows = messages.best(asked, most)
    assert len(rows) == min(most, len(_weights(told, asked)))
    places = [(-row["weight"], row["id"]) for row in rows]
    assert places == sorted(places)


PARTS = st.lists(st.lists(st.integers(0, 5), max_size=12), max_size=12)


@given(PARTS, st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True))
def test_occurrences_are_found_in_the_order_in_which_they_came(
    parts: list[list[int]], codes: list[int]
) -> None:
    """However they were sorted and put together meanwhile."""
    for loose, largest in ((2, 8), (2, 1 << 20), (100, 1 << 20)):
        known = Occurrences(loose, largest)
        came: list[int] = []
        for terms in parts:
            known.add(_part(terms, range(len(came), len(came) + len(terms))))
            came += terms
            known.of([0])  # asked in between
        for code, (places, counts) in zip(codes, known.of(codes), strict=True):
            assert places.tolist() == [at for at, term in enumerate(came) if term == code]
            assert counts.tolist() == [at % 3 for at in places.tolist()]


def _part(terms: list[int], places: range) -> Part:
    return Part(
        np.array(terms, dtype=np.int32),
        np.array(places, dtype=np.int32),
        np.array([at % 3 for at in places], dtype=np.int16),
    )
