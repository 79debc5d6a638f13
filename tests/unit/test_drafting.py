"""A model's profile rests on the facts it names, or is dropped line by line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.drafting import fingerprint, question, read_answer, rests
from services.maintenance.profile import MOST_CHARACTERS, KnownFact


def fact(number: int, content: str, **more: Any) -> KnownFact:
    told = {"category": "biographical", "slot": None, "value": None, "evidence_count": 1, **more}
    said = datetime(2024, 1, 1, tzinfo=UTC)
    return KnownFact(id=UUID(int=number), content=content, said_at=said, **told)


FACTS = [
    fact(1, "Lives in Dallas with a dog called Rex", evidence_count=3),
    fact(2, "Is allergic to nuts", evidence_count=2),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Lives in Dallas with a dog called Rex", [0]),
        ("Living in Dallas, with Rex the dog", [0]),
        ("Has a dog called Rex and a nut allergy", [0, 1]),
    ],
)
def test_what_its_facts_say_is_kept(text: str, numbers: list[int]) -> None:
    assert rests(text, [FACTS[number] for number in numbers])


@pytest.mark.parametrize(
    "text",
    [
        "Lives in Dallas with Eva",
        "Lives in Dallas with 2 dogs",
        "Does not live in Dallas",
        "Probably wants a quiet life somewhere",
        "Is allergic to nuts",
        "",
        "?!",
    ],
)
def test_what_they_do_not_say_is_not(text: str) -> None:
    assert not rests(text, FACTS[:1])


def test_a_profile_names_what_it_rests_on() -> None:
    answer = {"lines": [{"text": "Is allergic to nuts", "fact_ids": ["f2"]}]}
    found = read_answer(answer, FACTS)
    assert found is not None
    assert (found.content, found.rests_on) == ("Is allergic to nuts", (UUID(int=2),))


def test_the_same_facts_have_the_same_fingerprint_in_any_order() -> None:
    assert fingerprint(FACTS, "m") == fingerprint(FACTS[::-1], "m")
    assert fingerprint(FACTS, "m") != fingerprint(FACTS, "other")
    assert fingerprint(FACTS, "m") != fingerprint(FACTS[:1], "m")


def test_a_model_is_sent_the_best_attested_of_very_many() -> None:
    facts = [fact(number, f"Likes dish {number}") for number in range(10_000)]
    assert len(question(facts)["facts"]) < 1_000


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["text", "fact_ids"]), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["lines", "text"]), _JSON))
def test_whatever_is_answered_reads_as_something_or_nothing(answer: dict[str, Any]) -> None:
    found = read_answer(answer, FACTS)
    if found is not None:
        assert set(found.rests_on) <= {one.id for one in FACTS}
        assert 0 < len(found.content) <= MOST_CHARACTERS
