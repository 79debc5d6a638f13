"""Another's words without quotation marks never become the user's; what is told of the user stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.evidence import Evidence
from services.extractor.junk import Saying, junk_reason
from services.extractor.reported import reported_spans
from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn
from tests.unit.test_rules_chat import AT

ANOTHERS = [
    ("My friend Sara says: I am a lawyer", "I am a lawyer"),
    ("My friend Sara says I am a lawyer", "I am a lawyer"),
    ("My friend Sara says, I'm a lawyer and I can fix this", "I'm a lawyer and I can fix this"),
    ("she told me I'm moving to Paris", "I'm moving to Paris"),
    ("my boss goes, I hate Mondays", "I hate Mondays"),
    ("lyrics: I'm a survivor, I'm not gonna give up", "I'm a survivor, I'm not gonna give up"),
    ("as the song says I'm a creep", "I'm a creep"),
    ("As the song goes, I will survive", "I will survive"),
    ("he was like I'm a vegan", "I'm a vegan"),
    ("He's like, I'm a vegan now", "I'm a vegan now"),
    ("She's all like I live in Berlin now", "I live in Berlin now"),
    ("Tom texted me: I got the job at Google", "I got the job at Google"),
    ("tom said i am allergic to nuts", "i am allergic to nuts"),
    ("In the words of Cher, I got you babe", "I got you babe"),
    ("My daughter keeps singing I'm a barbie girl", "I'm a barbie girl"),
    ("my t-shirt says I'm with stupid", "I'm with stupid"),
    (
        "the guy next to me on the train said I have two kids in college",
        "I have two kids in college",
    ),
    ("And then she goes: I have three cats", "I have three cats"),
    ("everyone was like I love this place", "I love this place"),
    ("mon amie dit : je suis avocate", "je suis avocate"),
    ("Elle m'a dit : j'habite à Lyon", "j'habite à Lyon"),
    ("mi amiga dice: soy abogada", "soy abogada"),
    ("me dijo: soy abogado", "soy abogado"),
    ("Mein Freund sagt: ich bin Anwalt", "ich bin Anwalt"),
    ("my boss asked if I'm moving to Paris", "I'm moving to Paris"),
    ("My mom always says I'm a night owl", "I'm a night owl"),
    ("Maria wrote, I moved to Chile", "I moved to Chile"),
    ("according to her text: I hate cats", "I hate cats"),
    ("My colleague, who is from Ghana, says: I am the best cook here", "I am the best cook here"),
    ("Sara says I live in Rome but I live in Milan", "I live in Rome"),
    ("Quote of the day: I am the master of my fate", "I am the master of my fate"),
]

OWN = [
    "I told her I'm a lawyer",
    "my doctor says I am diabetic",
    "My doctor told me I have asthma",
    "My dentist said I grind my teeth",
    "she told me that I snore",
    "I said I live in Paris",
    "I was like, I'm a vegan",
    "As my wife said, I'm a terrible cook",
    "My friend told me about a job so now I work at Shell",
    "my son goes to school and I work part time",
    "My mum told me I was born in Leeds",
    "She went home and I live alone now",
    "My sister says hi. I live in Leeds",
    "The test says I'm lactose intolerant",
    "my boss is like a father to me",
    "He likes that I'm vegan",
    "I just told my boss: I'm leaving",
    "We told them we're moving to Spain",
    "my wife reads a lot, I prefer movies",
    "Her name is Sara, I live with her",
    "I've always said I'm a cat person",
    "The way it goes, I work nights",
    "DNA results say I'm half Irish",
    "When people ask, I say I'm a nurse",
    "Mom, I'm a vegan now",
    "What I wrote: I live in Rome",
    "my sister posts a lot, I never do",
    "Whoever asked, I am a nurse",
    "My girlfriend says we should move to Spain",
    "Someone asked what I do: I'm a nurse",
    "She asked me where I live, I live in Oslo",
]


@pytest.mark.parametrize(("said", "theirs"), ANOTHERS)
def test_what_another_says_is_found(said: str, theirs: str) -> None:
    assert [said[start:end].strip() for start, end in reported_spans(said)] == [theirs]


@pytest.mark.parametrize("said", OWN)
def test_what_the_user_says_or_is_told_of_the_user_is_not(said: str) -> None:
    assert list(reported_spans(said)) == []


@pytest.mark.parametrize(
    ("said", "content", "value"),
    [
        ("My friend Sara says: I am a lawyer", "Is a lawyer", "lawyer"),
        ("she told me I'm moving to Paris", "Is moving to Paris", "Paris"),
        ("my boss goes, I hate Mondays", "Hates Mondays", None),
        ("he was like I'm a vegan and I laughed", "Is vegan", "vegan"),
        ("lyrics: I'm a creep, I'm a weirdo", "Is a creep", None),
    ],
)
def test_a_model_cannot_make_it_the_user_s(said: str, content: str, value: str | None) -> None:
    """With the words as its quote or without one."""
    for quote in (None, content.split(" ", 1)[1]):
        saying = Saying(content, value, "user", "holds", "current")
        assert junk_reason(saying, quote, [Evidence(said)]) == "quotation"


@pytest.mark.parametrize(
    ("said", "content", "value", "subject"),
    [
        ("My friend Sara says: I am a lawyer", "Sara is a lawyer", "lawyer", "Sara"),
        ("My friend Sara says: I am a lawyer", "Has a friend named Sara", "Sara", "user"),
        ("I told her I'm a lawyer", "Is a lawyer", "lawyer", "user"),
        ("my doctor says I am diabetic", "Is diabetic", None, "user"),
        ("She said I'm a vegan. I'm a vegan too!", "Is vegan", "vegan", "user"),
        ("he was like I'm broke but I live in Rome", "Lives in Rome", "Rome", "user"),
        ("My wife says I snore", "Snores, says their wife", None, "user"),
    ],
)
def test_what_may_be_a_fact_stays(said: str, content: str, value: str | None, subject: str) -> None:
    saying = Saying(content, value, subject, "holds", "current")
    assert junk_reason(saying, None, [Evidence(said)]) is None


@pytest.mark.parametrize(("said", "theirs"), ANOTHERS)
def test_the_rules_take_nothing_from_it(said: str, theirs: str) -> None:
    facts = RulesExtractor().extract([ChatTurn("m", "user", AT, said)])
    mine = {fact["content"] for fact in facts if fact["subject"] == "user"}
    assert mine <= {"Has a friend named Sara", "Lives in Milan"}, theirs


@given(st.text(alphabet="I says:,.am he she told me'\n", max_size=200))
def test_the_parts_stand_in_the_text_in_order(text: str) -> None:
    spans = list(reported_spans(text))
    assert all(0 <= start <= end <= len(text) for start, end in spans)
