"""Plain statements by their class, and what looks like them and is none."""

from datetime import UTC, datetime

import pytest

from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn, RawFact

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)
EXTRACTOR = RulesExtractor()


def facts_of(said: str) -> list[RawFact]:
    return EXTRACTOR.extract([ChatTurn("m", "user", AT, said)])


def contents_of(said: str) -> list[str]:
    return [fact["content"] for fact in facts_of(said)]


@pytest.mark.parametrize(
    ("said", "slot", "value", "content"),
    [
        (
            "We adopted a greyhound called Biscuit",
            "pet",
            "Biscuit",
            "Has a greyhound named Biscuit",
        ),
        ("I've been with ASML for six years", "employer", "ASML", "Works at ASML"),
        ("I've been at Voltaro since 2019", "employer", "Voltaro", "Works at Voltaro"),
        ("I drive an old Volvo estate", "vehicle", "Volvo estate", "Drives a Volvo estate"),
        ("I drive a beat-up Toyota", "vehicle", "Toyota", "Drives a Toyota"),
        ("It's freezing here in Denver", "home_city", "Denver", "Lives in Denver"),
        ("I'm in my second year at TU Delft", "school", "TU Delft", "Studies at TU Delft"),
        ("I'm on a low carb diet", "diet", "low carb", "Follows a low carb diet"),
        ("I eat halal", "diet", "halal", "Eats halal"),
        ("I'm deaf in one ear", "health_condition", "deaf in one ear", "Is deaf in one ear"),
        ("I'm a huge Arsenal fan", "likes", "Arsenal", "Is a fan of Arsenal"),
        ("I have a fear of heights", "fear", "heights", "Is afraid of heights"),
        ("I'm on Pacific time", "timezone", "Pacific time", "Is in the time zone Pacific time"),
        ("Not a fan of olives", "dislikes", "olives", "Dislikes olives"),
        ("I'm Anna's mother", "child", "Anna", "Is Anna's mother"),
        ("That is Oscar, my guinea pig", "pet", "Oscar", "Has a guinea pig named Oscar"),
        ("My goal is to build my own house", "goal", "build their own house", None),
        ("My favorite song is Call Me", "favorite_song", "Call Me", "Favorite song is Call Me"),
        ("I'm getting my MBA", "degree", "MBA", "Is working on an MBA"),
    ],
)
def test_it_is_said_of_an_attribute(said: str, slot: str, value: str, content: str | None):
    (fact,) = facts_of(said)
    assert (fact["slot"], fact["value"], fact["claim"]) == (slot, value, "holds")
    assert content in (None, fact["content"])


@pytest.mark.parametrize(
    ("said", "contents"),
    [
        ("I just switched from Google to Meta", ["No longer works at Google", "Works at Meta"]),
        (
            "I'm in my second year at TU Delft studying physics",
            ["Studies at TU Delft", "Studies physics"],
        ),
        (
            "Left Siemens after nine years, joined a startup called Voltaro",
            ["No longer works at Siemens", "Works at Voltaro"],
        ),
        (
            "We've got twin boys, Arlo and Finn",
            ["Has a child named Arlo", "Has a child named Finn"],
        ),
        ("my sister lives in Oslo", ["Their sister lives in Oslo"]),
        ("My wife's a nurse", ["Their wife is a nurse"]),
        ("I moved here from Poland ten years ago", ["No longer lives in Poland since 2015"]),
        (
            "we're expecting our second child in May",
            ["Is expecting their second child in May 2026"],
        ),
        ("we're having a baby in June", ["Is having a baby in June 2026"]),
        ("I'm due in March", ["Is expecting a baby in March 2026"]),
        ("I'll be starting at Intel on December 1st", ["Is starting at Intel on 1 December 2025"]),
        ("I'll turn 30 next month", ["Turns 30 in December 2025"]),
        ("I'm going to Spain in May", ["Is visiting Spain in May 2026"]),
        ("I haven't smoked in three years", ["Does not smoke"]),
        ("I used to go sailing with my dad", ["Used to go sailing with their dad"]),
        ("We've been together for 8 years", ["Has been with their partner for 8 years"]),
        ("I can't have gluten", ["Cannot have gluten"]),
        ("I take my coffee black", ["Takes their coffee black"]),
        ("I knit", ["Knits"]),
    ],
)
def test_it_is_worded_for_whoever_reads_it_later(said: str, contents: list[str]):
    assert contents_of(said) == contents


def test_what_has_not_been_for_years_began_then():
    (fact,) = facts_of("I haven't smoked in three years")
    assert (fact["claim"], fact["occurred_at"]) == ("denies", "2022")


@pytest.mark.parametrize(
    "said",
    [
        "I used to get this error all the time",
        "I used to find them overwhelming",
        "I switched from Google to Microsoft Teams",
        "I moved from Google Docs to Notion",
        "I moved to Slack",
        "I've been at the dentist since nine",
        "I've been at Heathrow for six hours",
        "I've been at this for three years",
        "I'm here in Denver for a wedding",
        "I'm in Leeds for the weekend",
        "I'm due in court on Monday",
        "I'm a fan",
        "I won the argument",
        "I joined a call on Monday",
        "I bought a car wash voucher",
        "I'm having a baby shower in June",
        "I'm teaching a class on Monday",
        "I can't eat another bite",
        "I study for my exams at Starbucks",
        "My favourite film is My Neighbor Totoro",
        "From Paris to Rome by train",
        "Hey Tom, my husband wants to know if it works",
    ],
)
def test_what_only_looks_like_it_is_left(said: str):
    assert contents_of(said) == []
