"""A name given a moment later belongs to whom the sentence before mentions, and to nobody else."""

from datetime import UTC, datetime
from itertools import product

import pytest

from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn, RawFact

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)
EXTRACTOR = RulesExtractor()


def facts_of(said: str) -> list[RawFact]:
    return EXTRACTOR.extract([ChatTurn("m", "user", AT, said)])


@pytest.mark.parametrize(
    ("said", "slot", "names"),
    [
        ("We got a dog. Her name is Pepper", "pet", ["Pepper"]),
        ("We have a puppy! She's called Nugget and she is chaos", "pet", ["Nugget"]),
        ("My cat is old. His name is Mo.", "pet", ["Mo"]),
        ("I have a dog, her name is Pepper", "pet", ["Pepper"]),
        ("I have a daughter (her name is Ida)", "child", ["Ida"]),
        ("We have two cats, their names are Salt and Vinegar", "pet", ["Salt", "Vinegar"]),
        ("My dog is 12. We call him Rex.", "pet", ["Rex"]),
        ("I have a brother. His name is Ali.", "brother", ["Ali"]),
    ],
)
def test_the_name_goes_to_who_was_mentioned(said: str, slot: str, names: list[str]):
    assert [(fact["slot"], fact["value"]) for fact in facts_of(said)] == [
        (slot, name) for name in names
    ]


@pytest.mark.parametrize(
    "said",
    [
        "My brother met a girl. Her name is Zoe.",
        "My cat bit the vet. His name is Bob.",
        "They got a dog. His name is Rex.",
        "I saw a dog today. His name is Rex.",
        "My sister got a dog. Her name is Pepper.",
        "I have a sister. His name is Tom.",
        "My son's toy broke. It's called Buzz.",
        "My husband and I have a son. His name is Leo.",
        "I have two dogs. His name is Rex.",
    ],
)
def test_who_might_be_somebody_else_is_not_named(said: str):
    assert not {fact["value"] for fact in facts_of(said)} & {
        "Zoe", "Bob", "Rex", "Pepper", "Tom", "Buzz", "Leo"
    }  # fmt: skip


def test_a_name_never_goes_against_the_pronoun():
    women, men = ("sister", "daughter", "girlfriend"), ("brother", "son", "boyfriend")
    for kin, (pronoun, fitting) in product(women + men, (("Her", women), ("His", men))):
        named = [each["value"] for each in facts_of(f"I have a {kin}. {pronoun} name is Kit.")]
        assert ("Kit" in named) == (kin in fitting)


def test_both_sentences_are_quoted():
    said = "Hi! We got a dog. Her name is Pepper. Any tips?"
    assert facts_of(said)[0]["quote"].strip(".") == "We got a dog. Her name is Pepper"
