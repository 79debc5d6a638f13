"""What a question asks for is read from its words, and never more than they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.asking import Asked, Hints, Window, read
from services.gateway.asking.words import Cues, cue, data, plain_words
from shared.slots import CATEGORIES, SlotSpec, built_in

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
CATALOGUE = built_in()


def hints(query: str, *subjects: str) -> Hints:
    return read(query, NOW, CATALOGUE, subjects)


SLOTS = {
    "home_city": [
        "Where do I live?",
        "where does the user live",
        "In which city does he live now?",
        "Où est-ce que j'habite ?",
        "dans quelle ville vit-il",
        "¿Dónde vivo?",
        "¿en qué ciudad vive el usuario?",
        "Wo wohne ich?",
        "wo lebt der Nutzer",
    ],
    "employer": ["Where do I work?", "what company does she work for", "où travaille-t-elle ?", "¿dónde trabajo?", "Wo arbeite ich?"],
    "favorite_color": ["what's my favourite colour", "FAVORITE COLOR?", "ma couleur préférée", "¿mi color favorito?", "Lieblingsfarbe"],
    "pet": ["do I have a dog?", "ai-je un chien", "¿tengo mascotas?", "Habe ich Haustiere?"],
    "birthday": ["When is my birthday?", "quelle est ma date de naissance", "¿cuándo es mi cumpleaños?", "Wann habe ich Geburtstag?"],
    "blood_type": ["what is my blood type"],
    "allergy": ["Am I allergic to anything?", "suis-je allergique", "¿tengo alergias?", "Allergien?"],
}  # fmt: skip


@pytest.mark.parametrize(("slot", "query"), [(s, q) for s, some in SLOTS.items() for q in some])
def test_the_slot_asked_for_is_heard(slot: str, query: str) -> None:
    assert slot in hints(query).slots


@pytest.mark.parametrize(
    "query",
    ["tell me something", "may I ask you something", "ok", "", "?!", "the of and", "日本語"],
)
def test_what_names_nothing_hints_at_nothing(query: str) -> None:
    assert hints(query).shown() == {}


@pytest.mark.parametrize(
    "query",
    [
        "What do you know about me?",
        "tell me about the user",
        "Tell me about myself.",
        "Who am I?",
        "everything you know about me",
        "Que sais-tu de moi ?",
        "¿Qué sabes de mí?",
        "Was weißt du über mich?",
    ],
)
def test_a_question_about_the_user_as_a_whole_is_one(query: str) -> None:
    assert hints(query).about_user_at_large


@pytest.mark.parametrize(
    "query", ["What do you know about my dog?", "tell me about the user's job", "Who am I meeting?"]
)
def test_a_question_about_a_part_is_none_about_the_whole(query: str) -> None:
    assert not hints(query).about_user_at_large


def day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("what happened in 2024", day(2024, 1, 1), day(2025, 1, 1)),
        ("where were we last summer?", day(2026, 6, 1), day(2026, 9, 1)),
        ("last winter", day(2025, 12, 1), day(2026, 3, 1)),
        ("in summer 2023", day(2023, 6, 1), day(2023, 9, 1)),
        ("yesterday", day(2026, 11, 24), day(2026, 11, 25)),
        ("on 3 May 2024", day(2024, 5, 3), day(2024, 5, 4)),
        ("May 3rd, 2024", day(2024, 5, 3), day(2024, 5, 4)),
        ("2024-05-03", day(2024, 5, 3), day(2024, 5, 4)),
        ("in May", day(2026, 5, 1), day(2026, 6, 1)),
        ("in December", day(2025, 12, 1), day(2026, 1, 1)),
        ("last week", day(2026, 11, 16), day(2026, 11, 23)),
        ("two years ago", day(2024, 1, 1), day(2025, 1, 1)),
        ("last Monday", day(2026, 11, 23), day(2026, 11, 24)),
        ("since March 2024", day(2024, 3, 1), None),
        ("before 2020", None, day(2020, 1, 1)),
        ("between 2019 and 2021", day(2019, 1, 1), day(2022, 1, 1)),
        ("in the last 3 months", day(2026, 8, 1), day(2026, 11, 26)),
        ("l'été dernier", day(2026, 6, 1), day(2026, 9, 1)),
        ("en mai 2024", day(2024, 5, 1), day(2024, 6, 1)),
        ("il y a deux ans", day(2024, 1, 1), day(2025, 1, 1)),
        ("hier", day(2026, 11, 24), day(2026, 11, 25)),
        ("el verano pasado", day(2026, 6, 1), day(2026, 9, 1)),
        ("hace 3 días", day(2026, 11, 22), day(2026, 11, 23)),
        ("en marzo de 2024", day(2024, 3, 1), day(2024, 4, 1)),
        ("letzten Sommer", day(2026, 6, 1), day(2026, 9, 1)),
        ("vor zwei Wochen", day(2026, 11, 9), day(2026, 11, 16)),
        ("seit 2020", day(2020, 1, 1), None),
    ],
)
def test_a_time_is_a_stretch(query: str, since: datetime | None, until: datetime | None) -> None:
    assert (hints(query).since, hints(query).until) == (since, until)


@pytest.mark.parametrize(
    "query", ["31 February 2024", "2024-13-45", "the year 20245", "5000000 years ago"]
)
def test_a_day_that_does_not_exist_is_no_mistake(query: str) -> None:
    hints(query)


def test_only_the_past_of_a_slot_of_one_is_a_point_in_time() -> None:
    asked = hints("Where did I live in 2019?")
    assert asked.as_of is not None
    assert (asked.as_of.since, asked.as_of.until) == (day(2019, 1, 1), day(2020, 1, 1))
    assert hints("¿Dónde vivía en 2019?").as_of is not None
    for query in ("What did I do in 2019?", "Which pets did I have in 2019?", "Where do I live?",
                  "Where will I live in 2030?", "Where did I live recently?"):  # fmt: skip
        assert hints(query).as_of is None, query


def test_a_stretch_that_has_not_ended_ends_now() -> None:
    asked = hints("Where did I live in 2026?").as_of
    assert asked is not None and asked.until == NOW


def test_a_person_is_named_by_name_or_by_what_they_are() -> None:
    known = ("user", "Ana", "Sara (sister)", "José")
    assert hints("where does Ana live", *known).subjects == ("Ana",)
    assert hints("where does my sister live", *known).subjects == ("Sara (sister)",)
    assert hints("what about jose's car", *known).subjects == ("José",)
    assert hints("where does the user live", *known).subjects == ()


def test_the_slot_is_asked_of_who_is_named() -> None:
    city = Asked("home_city", "biographical", "user", None)
    hers = Asked("home_city", "biographical", "Sara (sister)", None)
    mine, sisters = hints("where do I live"), hints("where does my sister live", "Sara (sister)")
    assert "slot" in mine.factors(city) and "slot" not in mine.factors(hers)
    assert "slot" in sisters.factors(hers) and "slot" not in sisters.factors(city)
    who = Asked("sister", "relationship", "user", None)
    assert "slot" in hints("who is my sister?", "Sara (sister)").factors(who)


def test_a_cue_is_as_strong_as_its_share_of_the_question() -> None:
    pet = Asked("pet", "relationship", "user", None)
    whole, half = hints("Do I have a dog?"), hints("What does my dog eat?")
    assert whole.factors(pet)["slot"] > half.factors(pet)["slot"] > 1
    assert whole.prior(pet) > 2 * half.prior(pet) > 0
    city = Asked("home_city", "biographical", "user", None)
    assert hints("Where did I live in 2019?").prior(city) == hints("where do I live").prior(city)
    hers = Asked("home_city", "biographical", "Ana", None)
    assert hints("where does Ana live", "Ana").prior(hers) == hints("Where do I live").prior(city)


def test_what_the_request_says_itself_wins() -> None:
    heard = hints("Where did I live in 2019?")
    assert heard.yielding_to(slots=True, categories=False, time=False, as_of=False).slots == {}
    timed = heard.yielding_to(slots=False, categories=False, time=True, as_of=False)
    assert (timed.window, timed.as_of) == (None, None)
    placed = heard.yielding_to(slots=False, categories=False, time=False, as_of=True)
    assert placed.as_of is None and placed.window is not None


def test_a_tenants_own_slots_are_heard() -> None:
    own = SlotSpec(
        "parking_spot", "biographical", "one", "text", ("garage_place",), source="tenant"
    )
    catalogue = CATALOGUE.with_own([own])
    for query in ("which is my parking spot?", "my garage place"):
        assert "parking_spot" in read(query, NOW, catalogue).slots
    assert "parking_spot" not in read("which is my parking spot?", NOW, CATALOGUE).slots


def test_the_data_names_slots_and_categories_that_exist() -> None:
    assert set(data()["slots"]) <= set(CATALOGUE.slots)
    assert set(data()["categories"]) <= set(CATEGORIES)
    for cues in [*data()["slots"].values(), *data()["categories"].values()]:
        for written in cues:
            for word in written.replace("|", " ").replace("_", " ").split():
                bare = word.removesuffix("~")
                assert bare in {"*", "$"} or plain_words(bare) == (bare,), written


# ---- laws

WORDS = st.sampled_from(
    plain_words(
        "where when who did do i live lived work sister last summer 2019 in ago two years since may "
        "31 february yesterday ou habite donde vivo hace dos wo wohne what you know about me the user"
    )
)
QUERIES = st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=80)
MOMENTS = st.datetimes(
    datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)
) | st.datetimes(
    datetime(1971, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)


@given(QUERIES, MOMENTS, st.lists(st.text(max_size=10), max_size=3))
def test_any_question_is_read_and_read_alike(
    query: str, now: datetime, subjects: list[str]
) -> None:
    """No text is too strange; case and punctuation around the words change nothing."""
    asked = read(query, now, CATALOGUE, subjects)
    assert asked == read(query, now, CATALOGUE, subjects)
    assert set(asked.slots) <= set(CATALOGUE.slots)
    assert set(asked.subjects) <= set(subjects)
    shouted = read(f"  {query}?! ", now, CATALOGUE, subjects)
    assert shouted == asked


@given(QUERIES, MOMENTS)
def test_stretches_are_stretches(query: str, now: datetime) -> None:
    asked = read(query, now, CATALOGUE)
    for window in (asked.window, asked.as_of):
        if window is not None and window.since is not None and window.until is not None:
            assert window.since < window.until
    if asked.as_of is not None and asked.as_of.until is not None:
        assert asked.as_of.until <= now


@given(
    QUERIES,
    st.sampled_from([None, *CATALOGUE.slots]),
    st.sampled_from(CATEGORIES),
    st.sampled_from(["user", "Sara (sister)"]),
    st.none() | MOMENTS,
)
def test_hints_only_ever_add_weight(
    query: str, slot: str | None, category: str, subject: str, at: datetime | None
) -> None:
    """A fact that meets a hint gains; one that meets none keeps what it has."""
    asked = read(query, NOW, CATALOGUE, [subject])
    fact = Asked(slot, category, subject, at)
    assert all(factor > 1 for factor in asked.factors(fact).values())
    assert asked.prior(fact) >= 0
    assert Hints().factors(fact) == {} and Hints().prior(fact) == 0


@given(st.lists(st.sampled_from(["where|when", "liv~", "*", "i"]), min_size=1, max_size=4), QUERIES)
def test_a_cue_is_found_exactly_where_its_pattern_is(items: list[str], query: str) -> None:
    """The index by last words loses nothing that trying every cue would find."""
    if all(item == "*" for item in items):
        return
    one = cue("meant", " ".join(items))
    words = plain_words(query)
    match = one.pattern.search(f" {' '.join(words)} ")
    assert bool(Cues([one]).found_in(words)) == (match is not None)


def test_a_window_is_open_where_it_says_nothing() -> None:
    assert Window(None, None, "").holds(NOW)
    assert not Window(None, None, "").holds(None)
    assert not Window(NOW, None, "").holds(NOW - timedelta(seconds=1))
    assert not Window(None, NOW, "").holds(NOW)
