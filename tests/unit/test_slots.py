"""The catalogue: which attribute a name means, and when two spellings of a value say the same."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.slots import (
    CATEGORIES,
    SlotSpec,
    built_in,
    catalogue,
    own_spelling,
    resolve,
    value_key,
)
from shared.value_dates import birth_stretch, born_within, read_age
from shared.value_keys import KINDS, key

DATA = Path(__file__).parents[1] / "data"


def pairs(name: str) -> list[tuple[str, str, str]]:
    """Lines of `slot | one | other`."""
    lines = (DATA / name).read_text("utf-8").splitlines()
    rows = [[part.strip() for part in line.split("|")] for line in lines if line and line[0] != "#"]
    return [(slot, one, other) for slot, one, other in rows]


def _spec(name: str) -> SlotSpec:
    spec = resolve(name)
    assert spec is not None
    return spec


def test_the_catalogue_covers_a_person():
    """Every attribute the rules and the prompt speak of is there."""
    wanted = (
        "name home_city home_country hometown location nationality birthday birth_year birth_place"
        " gender pronouns employer other_employer job_title industry school degree field_of_study"
        " partner marital_status child sibling sister brother parent friend colleague pet diet"
        " allergy health_condition medication favorite_food favorite_color likes dislikes hobby"
        " sport language native_language learning skill instrument vehicle phone_mobile phone_work"
        " email goal project religion dream"
    )
    assert set(wanted.split()) <= set(catalogue())
    assert len(catalogue()) >= 40


def test_every_slot_is_complete():
    """Each has a known category, a cardinality and a name written as names are."""
    for name, spec in catalogue().items():
        assert spec.name == name == name.casefold()
        assert spec.category in CATEGORIES
        assert spec.cardinality in {"one", "many"}
        assert value_key(name, "Something") != ""


def test_no_name_means_two_slots():
    """A synonym belongs to one slot and is no other slot's name."""
    names = [name for spec in catalogue().values() for name in (spec.name, *spec.synonyms)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("written", "slot"),
    [
        ("home_city", "home_city"),
        ("Home City", "home_city"),
        ("home-city", "home_city"),
        (" residence ", "home_city"),
        ("lives_in", "home_city"),
        ("Company", "employer"),
        ("occupation", "job_title"),
        ("wife", "partner"),
        ("Favourite Colour", "favorite_color"),
        ("date of birth", "birthday"),
        ("son", "child"),
        ("mother tongue", "native_language"),
    ],
)
def test_names_and_synonyms_resolve(written: str, slot: str):
    assert _spec(written).name == slot


def test_an_unknown_name_resolves_to_nothing():
    assert resolve("shoe_polish") is None
    assert resolve("") is None


@pytest.mark.parametrize("slot", ["home_city", "employer", "job_title", "partner", "diet", "name"])
def test_slots_of_one(slot: str):
    assert _spec(slot).cardinality == "one"


@pytest.mark.parametrize("slot", ["friend", "pet", "skill", "language", "child", "other_employer"])
def test_slots_of_many(slot: str):
    assert _spec(slot).cardinality == "many"


def test_a_stay_lasts_a_week_and_a_home_stays():
    assert _spec("location").lasts == timedelta(days=7)
    assert _spec("home_city").lasts is None


ALIKE, APART = pairs("values_alike.txt"), pairs("values_apart.txt")


@pytest.mark.parametrize(("slot", "one", "other"), ALIKE)
def test_spellings_of_one_value_have_one_key(slot: str, one: str, other: str):
    assert value_key(slot, one) == value_key(slot, other)


@pytest.mark.parametrize(("slot", "one", "other"), APART)
def test_different_values_have_different_keys(slot: str, one: str, other: str):
    assert value_key(slot, one) != value_key(slot, other)


def test_there_are_enough_near_misses():
    assert len(APART) >= 200
    assert {slot for slot, _, _ in APART + ALIKE} <= set(catalogue())


def test_free_text_is_compared_without_articles_and_punctuation():
    assert value_key(None, "The  Beatles!") == value_key(None, "beatles")


kinds = st.sampled_from(sorted(KINDS))
values = st.one_of(
    st.text(min_size=1, max_size=40),
    st.text("abcdefgins0123456789 -/.,'()+:", min_size=1, max_size=25),
    st.sampled_from([value for _, one, other in ALIKE + APART for value in (one, other)]),
)


@given(kinds, values)
def test_a_key_is_its_own_key(kind: str, value: str):
    assert key(kind, key(kind, value)) == key(kind, value)


@given(kinds, values)
def test_any_text_has_a_key_whatever_the_spaces_around_it(kind: str, value: str):
    """Only blank text has an empty one."""
    assert key(kind, value) == key(kind, f"  {value} ")
    assert bool(key(kind, value)) == bool(value.strip())


@given(st.sampled_from(ALIKE + APART), st.sampled_from([str.upper, str.title, str.casefold]))
def test_case_and_final_punctuation_never_matter(pair: tuple[str, str, str], recased):
    """Of values whose capitals are not their meaning: a state's code is."""
    slot, value, _ = pair
    if not re.search(r"\b[A-Z]{2}\b", value) and str.casefold(value) == value.lower():
        same = value_key(slot, recased(value))
        assert value_key(slot, value) == same or "'S" in recased(value) or "\u00df" in value
        assert value_key(slot, f"{value}.") == value_key(slot, value)


# ---- names of slots

BARE = sorted({name for spec in catalogue().values() for name in (spec.name, *spec.synonyms)})


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


@pytest.mark.parametrize(
    "dressed",
    [
        str.upper,
        camel,
        lambda name: name.replace("_", " "),
        lambda name: name.replace("_", "-").title(),
        lambda name: f"user's {name}",
        lambda name: f"user.{name}",
        lambda name: f"Current {name}",
        lambda name: f"the user’s current {name}",
    ],
)
def test_every_name_is_read_however_it_is_dressed(dressed):
    assert [name for name in BARE if resolve(dressed(name)) != resolve(name)] == []


@pytest.mark.parametrize(
    ("written", "slot"),
    [
        ("hobbies", "hobby"),
        ("Allergies", "allergy"),
        ("pets", "pet"),
        ("dogs", "pet"),
        ("favourite colour", "favorite_color"),
        ("fav_food", "favorite_food"),
        ("wifeName", "partner"),
        ("dog's name", "pet"),
        ("company name", "employer"),
        ("child_names", "child"),
        ("fiancé", "partner"),
        ("workplace", "employer"),
        ("job", "job_title"),
        ("jobTitle", "job_title"),
        ("marital status", "marital_status"),
        ("relationship_status", "marital_status"),
        ("university", "school"),
        ("major", "field_of_study"),
        ("car", "vehicle"),
        ("previous employer", "past_employer"),
        ("ex-wife", "past_partner"),
        ("salary", "income"),
        ("politicalViews", "political_view"),
    ],
)
def test_words_that_models_use_are_read(written: str, slot: str):
    assert _spec(written).name == slot


@pytest.mark.parametrize(
    "written",
    [
        "sister's city",
        "sister_city",
        "mothersBirthday",
        "wife's employer",
        "partner_job",
        "boss's name is",
        "dog_breed",
        "car_color",
        "cities",
        "employers",
        "partners",
        "favorite_foods",
        "dream_city",
        "future_home",
        "planned_city",
        "company_size",
        "school_year",
        "city_of_employer",
        "food",
        "name_of_company_founder",
    ],
)
def test_what_is_about_something_else_is_never_forced_onto_a_slot(written: str):
    """A relation's attribute, a plural of what one has one of, a wish: each keeps its own name."""
    assert resolve(written) is None
    assert built_in().name_of(written) == own_spelling(written)


@given(st.text(max_size=30))
def test_a_spelling_is_its_own_spelling(named: str):
    spelled = own_spelling(named)
    assert own_spelling(spelled) == spelled
    assert built_in().name_of(built_in().name_of(named)) == built_in().name_of(named)


def test_what_is_unsaid_of_an_unknown_slot_is_one_unless_it_is_a_plural():
    """So that what a model lists without a word on how many does not retire itself."""
    assert built_in().cardinality("shoe_polish", None) == "one"
    assert built_in().cardinality("favorite_foods", None) == "many"
    assert built_in().cardinality("shoe_polish", "many") == "many"


def test_the_cardinality_of_a_statement_counts_only_where_people_differ():
    assert built_in().cardinality("home_city", "many") == "one"
    assert built_in().cardinality("hobby", "one") == "many"
    assert built_in().cardinality("vehicle", "one") == "one"
    assert built_in().cardinality("vehicle", None) == "many"


# ---- a tenant's own slots


def own(name: str, *synonyms: str, **more) -> SlotSpec:
    given = {"category": "biographical", "cardinality": "one", "kind": "text", **more}
    return SlotSpec(name=name, synonyms=synonyms, source="tenant", **given)


def test_a_tenants_slot_wins_by_name_and_takes_synonyms_over():
    ours = built_in().with_own([own("club", "team_played_for"), own("hobby")])
    assert ours.name_of("Club") == ours.name_of("teamPlayedFor") == "club"
    assert resolve("club").name == "membership"
    assert ours.resolve("pastime").cardinality == "one"
    assert ours.resolve("hobbies") is None  # one now: a plural is something else
    assert ours.name_of("association") == "membership"


def test_facts_of_a_tenants_slot_are_stored_under_any_of_its_names():
    ours = built_in().with_own([own("locker", "locker_number")])
    assert ours.spellings("Locker Number") == ["locker", "locker_number"]
    assert ours.spellings("city") == ["home_city"]
    assert ours.spellings("Shoe Polish") == ["shoe_polish"]


# ---- ages

MAY_2026 = datetime(2026, 5, 4, tzinfo=UTC)


def test_an_age_says_between_which_days_somebody_was_born():
    """34 on 4 May 2026: born on 5 May 1991 at the earliest, on 4 May 1992 at the latest."""
    assert born_within(34, MAY_2026) == (date(1991, 5, 5), date(1992, 5, 4))
    assert birth_stretch("34 years old", MAY_2026) == born_within(34, MAY_2026)
    assert birth_stretch("3 March 1990", MAY_2026) == (date(1990, 3, 3), date(1990, 3, 3))
    assert birth_stretch("blue", MAY_2026) is None


@given(
    st.dates(date(1930, 1, 1), date(2010, 12, 31)),
    st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1)),
)
def test_whoever_tells_the_age_that_follows_from_the_birth_is_born_within(born, said):
    had = (said.month, said.day) >= (born.month, born.day)
    first, last = born_within(said.year - born.year - (not had), said)
    assert first <= born <= last or (born.month, born.day) == (2, 29)
    assert (last - first).days in (364, 365, 366)


@pytest.mark.parametrize(
    ("said", "years"),
    [("34", 34), ("I'm 34", 34), ("34 yo", 34), ("thirty-four", 34), ("twelve", 12), ("140", None)],
)
def test_ages_are_read(said: str, years: int | None):
    assert read_age(said) == years
