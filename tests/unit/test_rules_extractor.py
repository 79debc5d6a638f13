"""The rules extractor: what a user's own words become, and what they must never become."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.extractor.dates import resolve_date
from services.extractor.rules import RulesExtractor
from services.extractor.times import find_times
from services.extractor.turns import ChatTurn, KnownFact, RawFact
from shared.slots import catalogue, value_key

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)  # a Saturday
EXTRACTOR = RulesExtractor()
ONE_PERSON = Path(__file__).parents[1] / "data" / "one_person_25.jsonl"


def facts_of(*contents: str, known: tuple[KnownFact, ...] = ()) -> list[RawFact]:
    turns = [ChatTurn(f"m{i}", "user", AT, content) for i, content in enumerate(contents)]
    return EXTRACTOR.extract(turns, known)


def slots_of(*contents: str) -> set[tuple[str | None, str | None, str]]:
    return {(fact["slot"], fact["value"], fact["claim"]) for fact in facts_of(*contents)}


def the_fact(content: str, slot: str | None) -> RawFact:
    found = [fact for fact in facts_of(content) if fact["slot"] == slot]
    assert len(found) == 1, found
    return found[0]


# --- statements that hold -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "slot", "value", "content"),
    [
        ("I live in San Francisco", "home_city", "San Francisco", "Lives in San Francisco"),
        ("I moved to Dallas last month", "home_city", "Dallas", "Lives in Dallas"),
        ("I moved back to San Francisco", "home_city", "San Francisco", "Lives in San Francisco"),
        ("I moved to Lisbon", "home_city", "Lisbon", "Lives in Lisbon"),
        ("i live in dallas", "home_city", "dallas", "Lives in dallas"),
        ("I live in New York City with Amy", "home_city", "New York City", None),
        ("I work at OpenAI", "employer", "OpenAI", "Works at OpenAI"),
        ("I work as a manager at Spotify in Stockholm", "employer", "Spotify", "Works at Spotify"),
        ("I joined Anthropic two weeks ago", "employer", "Anthropic", "Works at Anthropic"),
        ("I also work part-time at Starbucks", "other_employer", "Starbucks", None),
        ("I am a nurse", "job_title", "nurse", "Is a nurse"),
        ("I have a friend named Bob", "friend", "Bob", "Has a friend named Bob"),
        ("My friend Bob likes chess", "friend", "Bob", "Has a friend named Bob"),
        ("I have a new friend, Alice", "friend", "Alice", "Has a friend named Alice"),
        ("My wife Sarah is here", "partner", "Sarah", "Has a wife named Sarah"),
        (
            "I grew up in a small town in Ohio",
            "hometown",
            "a small town in Ohio",
            "Grew up in a small town in Ohio",
        ),
        (
            "I studied computer science at MIT",
            "field_of_study",
            "computer science",
            "Studied computer science at MIT",
        ),
        ("I love hiking", "likes", "hiking", "Likes hiking"),
        ("I don't like mushrooms", "dislikes", "mushrooms", "Dislikes mushrooms"),
        ("I prefer tea over coffee", "preference", "tea over coffee", "Prefers tea over coffee"),
        ("I'm vegetarian", "diet", "vegetarian", "Is vegetarian"),
        ("Been vegan since 2019", "diet", "vegan", "Is vegan"),
        ("im allergic to nuts", "allergy", "nuts", "Is allergic to nuts"),
        ("My birthday is March 3rd", "birthday", "March 3rd", None),
        (
            "My favorite programming language is Rust",
            "favorite_programming_language",
            "Rust",
            "Favorite programming language is Rust",
        ),
        ("Moved to Lisbon last year", "home_city", "Lisbon", "Lives in Lisbon"),
        ("I'm in Paris until Sunday", "location", "Paris", "Is in Paris"),
        ("I'm back in San Francisco now", "home_city", "San Francisco", "Lives in San Francisco"),
        ("I returned to San Francisco", "home_city", "San Francisco", "Lives in San Francisco"),
        ("I'm living in San Francisco again", "home_city", "San Francisco", None),
        ("San Francisco is my home", "home_city", "San Francisco", "Lives in San Francisco"),
        ("Dallas is where I live now", "home_city", "Dallas", "Lives in Dallas"),
        ("I joined Apple last month", "employer", "Apple", "Works at Apple"),
        ("I switched jobs, I'm at Meta now", "employer", "Meta", "Works at Meta"),
        ("I started a new job at Stripe", "employer", "Stripe", "Works at Stripe"),
        ("Bob is a friend of mine", "friend", "Bob", "Has a friend named Bob"),
        ("Another friend of mine, Carl, plays chess", "friend", "Carl", "Has a friend named Carl"),
        ("I made a new friend here, Tom", "friend", "Tom", "Has a friend named Tom"),
        ("My new friend here is Tom", "friend", "Tom", "Has a friend named Tom"),
        (
            "I read science fiction novels",
            "habit",
            "read science fiction novels",
            "Reads science fiction novels",
        ),
        (
            "I drink two cups of coffee a day",
            "habit",
            "drink coffee",
            "Drinks two cups of coffee a day",
        ),
        ("I use Vim", "tool", "Vim", "Uses Vim"),
        ("I'm originally from Brazil", "home_country_of_origin", "Brazil", "Is from Brazil"),
        ("I'm from Brazil originally", "home_country_of_origin", "Brazil", "Is from Brazil"),
        ("I'm married to Ben", "partner", "Ben", "Is married to Ben"),
        ("J'habite à Lyon depuis 2019", "home_city", "Lyon", "Lives in Lyon"),
        ("Vivo en Madrid desde 2018", "home_city", "Madrid", "Lives in Madrid"),
    ],
)
def test_a_statement_holds_now(said: str, slot: str, value: str, content: str | None):
    fact = the_fact(said, slot)
    assert (fact["value"], fact["claim"], fact["temporal_state"]) == (value, "holds", "current")
    assert content is None or fact["content"] == content


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "I'm Ana and I live in Lisbon with my dog Rex, and I work at Google as a designer",
            {
                ("name", "Ana", "holds"),
                ("home_city", "Lisbon", "holds"),
                ("pet", "Rex", "holds"),
                ("employer", "Google", "holds"),
                ("job_title", "designer", "holds"),
            },
        ),
        (
            "I have two cats named Milo and Luna",
            {("pet", "Milo", "holds"), ("pet", "Luna", "holds")},
        ),
        (
            "I speak Spanish and English",
            {("language", "Spanish", "holds"), ("language", "English", "holds")},
        ),
        ("I live in Lisbon, can you recommend a bar?", {("home_city", "Lisbon", "holds")}),
        (
            "I'm the CTO of a startup called Nimbus",
            {("job_title", "CTO", "holds"), ("employer", "Nimbus", "holds")},
        ),
        (
            "CTO of a startup called Nimbus",
            {("job_title", "CTO", "holds"), ("employer", "Nimbus", "holds")},
        ),
        (
            "I have a son named Max and a daughter called Zoe",
            {("child", "Max", "holds"), ("child", "Zoe", "holds")},
        ),
    ],
)
def test_one_message_says_several_things(said: str, expected: set[tuple[str, str, str]]):
    assert slots_of(said) == expected


def test_what_is_said_of_a_named_other_is_about_them():
    fact = the_fact("My sister Emma is a doctor", "job_title")
    assert (fact["subject"], fact["content"]) == ("Emma", "Emma is a doctor")


@pytest.mark.parametrize(
    ("said", "subject", "slot", "value", "content"),
    [
        ("My boss works at Google", "boss", "employer", "Google", "Their boss works at Google"),
        (
            "My mother lives in Chicago",
            "mother",
            "home_city",
            "Chicago",
            "Their mother lives in Chicago",
        ),
        ("My Mom works at Kaiser", "mom", "employer", "Kaiser", "Their mom works at Kaiser"),
        ("My sister Emma works at Apple", "Emma", "employer", "Apple", "Emma works at Apple"),
        ("My parents live in Texas", "parents", None, None, "Their parents live in Texas"),
        (
            "My older sister lives in a small village",
            "older sister",
            None,
            None,
            "Their older sister lives in a small village",
        ),
    ],
)
def test_where_others_live_and_work_is_never_the_users_own(
    said: str, subject: str, slot: str | None, value: str | None, content: str
):
    fact = the_fact(said, slot)
    assert (fact["subject"], fact["value"], fact["content"]) == (subject, value, content)
    users = {each["slot"] for each in facts_of(said) if each["subject"] == "user"}
    assert users <= {"sister"}


# --- endings, denials, past, plans ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "slot", "value", "claim"),
    [
        ("I quit Google", "employer", "Google", "ends"),
        ("I got laid off from Twitter", "employer", "Twitter", "ends"),
        ("I left Dallas", "home_city", "Dallas", "ends"),
        ("I left Google", "employer", "Google", "ends"),
        ("Rex died", "pet", "Rex", "ends"),
        ("My dog Rex died", "pet", "Rex", "ends"),
        ("we divorced", "partner", None, "ends"),
        ("my ex Ana called", "partner", "Ana", "ends"),
        ("I no longer eat meat", "habit", "eat meat", "ends"),
        ("I don't live in Madrid anymore", "home_city", "Madrid", "ends"),
        ("I don't have a sister", "sister", None, "denies"),
        ("I have no sister Eva", "sister", "Eva", "denies"),
        ("I never worked at Meta", "employer", "Meta", "denies"),
        ("I have no pets", "pet", None, "denies"),
        ("I don't have any pets", "pet", None, "denies"),
        ("I moved here from Seattle", "home_city", "Seattle", "ends"),
        ("I'm not at OpenAI anymore", "employer", "OpenAI", "ends"),
        ("I no longer work at OpenAI", "employer", "OpenAI", "ends"),
        ("Today was my last day at OpenAI", "employer", "OpenAI", "ends"),
        ("My last day at Google was Friday", "employer", "Google", "ends"),
        ("My dog died last week", "pet", "dog", "ends"),
        ("I don't drink alcohol", "habit", "drink alcohol", "denies"),
        ("I don't use Vim anymore", "tool", "Vim", "ends"),
        ("Je n'habite plus à Paris", "home_city", "Paris", "ends"),
        ("Ya no vivo en Bogotá", "home_city", "Bogotá", "ends"),
    ],
)
def test_endings_and_denials(said: str, slot: str, value: str | None, claim: str):
    assert slots_of(said) == {(slot, value, claim)}


@pytest.mark.parametrize(
    ("said", "state", "occurred_at", "ended_at", "content"),
    [
        ("I used to live in Boston", "past", None, None, "Used to live in Boston"),
        ("I lived in Boston in 2015", "past", "2015", None, "Lived in Boston in 2015"),
        (
            "I lived in Boston from 2010 to 2015",
            "past",
            "2010",
            "2015",
            "Lived in Boston from 2010 to 2015",
        ),
        (
            "I'm moving to Boston in June",
            "future",
            "2026-06",
            None,
            "Is moving to Boston in June 2026",
        ),
        ("I'm planning to move to Boston", "future", None, None, "Is moving to Boston"),
        ("I've lived in Boston since 2019", "current", "2019", None, "Lives in Boston"),
        (
            "I have been living in Boston for three years",
            "current",
            "2022",
            None,
            "Lives in Boston",
        ),
        ("Boston has been my home since 2019", "current", "2019", None, "Lives in Boston"),
        ("We've been in Boston since 2019", "current", "2019", None, "Lives in Boston"),
        ("I moved to Boston last May", "current", "2025-05", None, "Lives in Boston"),
        ("I moved to Boston yesterday", "current", "2025-11-21", None, "Lives in Boston"),
    ],
)
def test_tense_and_dates_of_a_home(
    said: str, state: str, occurred_at: str | None, ended_at: str | None, content: str
):
    fact = the_fact(said, "home_city")
    assert fact["temporal_state"] == state
    assert (fact["occurred_at"], fact["ended_at"]) == (occurred_at, ended_at)
    assert fact["content"] == content


def test_former_work_does_not_look_current():
    fact = the_fact("I used to work at Microsoft Research", "employer")
    assert fact["temporal_state"] == "past"
    assert fact["content"] == "Used to work at Microsoft Research"
    fact = the_fact("Before that I used to work at Google", "employer")
    assert (fact["value"], fact["temporal_state"]) == ("Google", "past")


def test_an_ending_carries_its_date():
    assert the_fact("I'm leaving Google in June", "employer")["ended_at"] == "2026-06"
    assert the_fact("I quit Google in 2025", "employer")["ended_at"] == "2025"
    assert the_fact("Friday was my last day at Google", "employer")["ended_at"] == "2025-11-21"
    assert the_fact("My dog died last week", "pet")["ended_at"] == "2025-W46"


def test_a_rhythm_is_recurring():
    fact = the_fact("I spend every summer in Italy", None)
    assert fact["temporal_state"] == "recurring"
    assert fact["content"] == "Spends every summer in Italy"


# --- corrections ----------------------------------------------------------------------------------


def test_not_this_but_that_denies_and_holds():
    assert slots_of("No, I live in Austin, not Dallas") == {
        ("home_city", "Dallas", "denies"),
        ("home_city", "Austin", "holds"),
    }


def test_a_bare_correction_belongs_to_what_was_said_before():
    found = slots_of("My son Theo started school", "Actually it's Leo, not Theo")
    assert ("child", "Theo", "denies") in found
    assert ("child", "Leo", "holds") in found


def test_a_corrected_date_leaves_its_preposition_behind():
    said = "Actually, my birthday is on May 15, not May 14"
    corrected = slots_of("My birthday is May 14", said)
    assert corrected == {
        ("birthday", "May 14", "holds"),
        ("birthday", "May 14", "denies"),
        ("birthday", "May 15", "holds"),
    }
    assert slots_of(said) == {("birthday", "May 15", "holds")}


def test_a_bare_correction_belongs_to_what_is_known():
    known = (KnownFact(slot="home_city", value="Dallas"),)
    found = {(f["slot"], f["value"]) for f in facts_of("I meant Austin, not Dallas", known=known)}
    assert found == {("home_city", "Dallas"), ("home_city", "Austin")}
    assert facts_of("I meant Austin, not Dallas") == []


# --- free text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("I mentor junior engineers on weekends", "Mentors junior engineers on weekends"),
        (
            "I am planning a trip to Japan next spring",
            "Is planning a trip to Japan in spring 2026",
        ),
        ("I run marathons", "Runs marathons"),
        (
            "I ran the city marathon last week",
            "Ran the city marathon in the week of 15 November 2025",
        ),
        ("I broke my leg last month", "Broke their leg in October 2025"),
        ("I've never been to Japan", "Has never been to Japan"),
        ("Every morning I run before work", "Runs before work every morning"),
        ("I recently had surgery on my knee", "Had surgery on their knee around November 2025"),
        (
            "I struggled with mental health, and support I got helped",
            "Struggled with mental health",
        ),
    ],
)
def test_what_fits_no_slot_is_kept_in_third_person(said: str, content: str):
    assert the_fact(said, None)["content"] == content


# --- what is never a fact ---------------------------------------------------------------------------

NOT_FACTS = """
Hey, how are you?
Thanks so much, that was helpful!
What's the capital of France?
Can you write a poem about my dog?
I feel tired today
I'm on the train
I think you're right
If I lived in Paris, I'd eat croissants every day
I wish I had a dog named Rex
Imagine I work at NASA and I live on Mars
My friend said she lives in Berlin
Translate to French: "I live in London and I love cats"
Please fix the grammar: I has two brother and I works at Shell
Write a story where I am a pirate named Jack
Summarize this: My name is Bob and I live in Ohio.
Could I live in Lisbon on 2000 euros?
I love that!
I love you
I love how you explain things
I like your answer
I want to know more about Python
I have a question
I have an error in line 3
I have no idea
I need help with my homework
I'm happy to hear that
I'm in a meeting
I live in fear of deadlines
I work hard
I've been trying to debug this for hours
I moved the file to the Downloads folder
I moved the files here from Dropbox
I returned to the menu
I'm back in bed
I'm back in Dallas for Christmas
I'm at Target
I'm not at home anymore
This is my home
Work is my home
That's where I live
Friday was my last day of school
CEO of Tesla
I use the bathroom
I use your app
I read your message
I read books last week
My mouse died
My friend's boss works at Google
I left my keys at home
I started the server and got an error
He works at Google
They have two kids
Maybe I'll move to Spain one day
I might get a dog
You live in Paris
Suppose I work for Apple
I dreamed I lived in Tokyo
"I work at Tesla and I live in Rome," he said.
> I live in Rome
`I live in Rome`
I want to start a new chat
I prefer the second option
I'm looking for a good restaurant
I have a headache
my password is hunter2
my api key is sk-abc123def456ghi789jkl
my card number is 4111 1111 1111 1111
lol
ok
""".strip().splitlines()


@pytest.mark.parametrize("said", NOT_FACTS)
def test_small_talk_questions_and_other_peoples_words_are_no_facts(said: str):
    assert facts_of(said) == []


@pytest.mark.parametrize("role", ["assistant", "system", "tool"])
def test_only_the_user_speaks_of_the_user(role: str):
    assert EXTRACTOR.extract([ChatTurn("m1", role, AT, "I live in Dallas")]) == []


# --- the contract and the collection ----------------------------------------------------------------


def test_a_fact_has_the_shape_of_the_contract():
    fact = the_fact("Hi! I live in Dallas, it's great.", "home_city")
    assert fact == {
        "content": "Lives in Dallas",
        "category": "biographical",
        "subject": "user",
        "slot": "home_city",
        "value": "Dallas",
        "cardinality": "one",
        "claim": "holds",
        "temporal_state": "current",
        "confidence": 0.95,
        "source_message_ids": ["m0"],
        "quote": "I live in Dallas",
        "occurred_at": None,
        "ended_at": None,
    }


def test_rules_speak_only_of_slots_in_the_catalogue():
    """A rule whose slot is misspelt would silently make a slot of its own."""
    from services.extractor.languages import load

    named = {rule.slot for rule in load("en").rules if rule.slot and not rule.slot.startswith("@")}
    assert named <= set(catalogue())


def test_twenty_five_statements_of_one_person_stay_apart():
    """Each gives a fact, and no two statements give the same one."""
    lines = [json.loads(line)["content"] for line in ONE_PERSON.read_text().splitlines()]
    keys: list[tuple[str, str | None, str]] = []
    for line in lines:
        found = facts_of(line)
        assert found, line
        keys += [
            (
                fact["subject"],
                fact["slot"],
                value_key(fact["slot"], fact["value"] or fact["content"]),
            )
            for fact in found
        ]
    assert len(lines) == 25
    assert len(keys) == len(set(keys))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_without_error(content: str):
    """Every quote is found in the message it came from, and reading twice gives the same."""
    found = facts_of(content)
    assert found == facts_of(content)
    assert all(fact["quote"] in content for fact in found)


@pytest.mark.parametrize(
    "unit",
    [
        *("I live in a ", "and I like ", "my friend ", "a, ", "I am ", "\n", "a\n", " ", "I("),
        *("and live ", "I like a, ", "I work and work at ", "as a nurse ", "> ", "in 2019 "),
    ],
)
def test_a_very_long_message_is_read_in_time(unit: str):
    """No pattern runs away on long input."""
    started = time.process_time()
    facts_of(unit * (20_000 // len(unit)))
    assert time.process_time() - started < 2


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phrase", "ahead", "written"),
    [
        ("2019", False, "2019"),
        ("last may", False, "2025-05"),
        ("last december", False, "2024-12"),
        ("next may", False, "2026-05"),
        ("june", False, "2025-06"),
        ("june", True, "2026-06"),
        ("december", False, "2024-12"),
        ("december", True, "2025-12"),
        ("may 2012", False, "2012-05"),
        ("yesterday", False, "2025-11-21"),
        ("tomorrow", True, "2025-11-23"),
        ("last saturday", False, "2025-11-15"),
        ("friday", True, "2025-11-28"),
        ("three years ago", False, "2022"),
        ("two months ago", False, "2025-09"),
        ("3 days ago", False, "2025-11-19"),
        ("in two weeks", True, "2025-W49"),
        ("last week", False, "2025-W46"),
        ("two weeks ago", False, "2025-W45"),
        ("last weekend", False, "2025-11"),
        ("next month", True, "2025-12"),
        ("last year", False, "2024"),
        ("last summer", False, "2025"),
        ("next spring", True, "2026"),
        ("march 3rd", False, "2025-03-03"),
        ("3 march 1990", False, "1990-03-03"),
        ("a few years ago", False, "2022~"),
        ("some weeks ago", False, "2025-11~"),
        ("several years ago", False, None),
        ("a few months ago", False, None),
    ],
)
def test_a_phrase_names_a_date_as_precisely_as_it_was_said(
    phrase: str, ahead: bool, written: str | None
):
    point = resolve_date(phrase, AT.date(), ahead=ahead)
    assert point is not None
    assert point.written == written


def test_what_is_no_date_is_not_resolved():
    assert resolve_date("february 30", AT.date(), ahead=False) is None
    assert find_times("I may march on and see them", AT) == []
