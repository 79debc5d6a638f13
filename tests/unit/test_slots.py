"""The catalogue: which attribute a name means, and when two spellings of a value say the same."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.slots import SlotSpec, catalogue, resolve, value_key

CATEGORIES = {"user_preference", "biographical", "work_context", "relationship", "learning"}


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


@pytest.mark.parametrize(
    ("slot", "one", "other"),
    [
        ("home_city", "San Francisco", "san francisco"),
        ("home_city", "San Francisco, CA", "San Francisco"),
        ("home_city", "San Francisco, California", "SF"),
        ("home_city", "NYC", "New York City"),
        ("home_city", "LA", "Los Angeles"),
        ("home_city", "São Paulo", "Sao Paulo"),
        ("home_city", "Washington, D.C.", "Washington DC"),
        ("home_city", "Paris, France", "Paris"),
        ("home_city", "Lisbon, Portugal", "lisboa"),
        ("home_country", "USA", "the United States"),
        ("nationality", "Brazilian", "Brazil"),
        ("employer", "Google Inc.", "Google"),
        ("employer", "Acme, Ltd", "ACME"),
        ("employer", "Siemens GmbH", "siemens"),
        ("employer", "AT&T", "AT and T"),
        ("job_title", "a Designer", "designer"),
        ("birthday", "March 3rd", "3 March 1990"),
        ("birthday", "1990-03-03", "3rd of March"),
        ("birth_year", "in 1990", "1990"),
        ("language", "español", "Spanish"),
        ("hobby", "hiking", "to hike"),
        ("habit", "eat meat", "eating meat"),
        ("allergy", "peanuts", "Peanut"),
        ("email", "Ana@Example.com", "ana@example.com"),
        ("phone_mobile", "+1 (415) 555-0199", "+14155550199"),
        ("phone_mobile", "0041 44 123 45 67", "+41 44 123 45 67"),
        (None, "The  Beatles!", "beatles"),
    ],
)
def test_spellings_of_one_value_have_one_key(slot: str | None, one: str, other: str):
    assert value_key(slot, one) == value_key(slot, other)


@pytest.mark.parametrize(
    ("slot", "one", "other"),
    [
        ("home_city", "Portland, ME", "Portland, OR"),
        ("home_city", "Paris, Texas", "Paris"),
        ("home_city", "Mexico City", "Mexico"),
        ("home_city", "Dallas", "Austin"),
        ("employer", "Microsoft", "Microsoft Research"),
        ("programming_language", "C", "C++"),
        ("programming_language", "C#", "C++"),
        ("friend", "Ana", "Anna"),
        ("friend", "Sara (sister)", "Sara (colleague)"),
        ("birthday", "March 3rd", "March 4th"),
        ("birthday", "03/04/1990", "04/03/1990"),
        ("allergy", "peanuts", "tree nuts"),
        ("name", "がく", "かく"),
        ("likes", "horror movies", "movies"),
    ],
)
def test_different_values_have_different_keys(slot: str, one: str, other: str):
    assert value_key(slot, one) != value_key(slot, other)


@given(st.sampled_from(sorted(catalogue())), st.text(min_size=1, max_size=40))
def test_a_key_is_its_own_spelling_of_case_and_space(slot: str, value: str):
    """Any text has a key, whatever the spaces around it; only blank text has an empty one."""
    key = value_key(slot, value)
    assert key == value_key(slot, f"  {value} ")
    assert bool(key) == bool(value.strip())
