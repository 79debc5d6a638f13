"""How facts fade: never before they were said, later the surer they are, and nothing that must not."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.essential import choosing
from services.maintenance.fading.weight import effective_confidence, fades_at, half_lives
from shared.slots import CATEGORIES, built_in

SAID = datetime(2020, 1, 1, tzinfo=UTC)
confidences = st.floats(0.01, 1.0)
days = st.floats(0.5, 4_000.0)
thresholds = st.floats(0.01, 0.9)
spans = st.floats(0, 20_000).map(lambda passed: timedelta(days=passed))


@given(confidences, days, spans, spans)
def test_certainty_only_falls_with_time(confidence, half_life, earlier, more):
    before = effective_confidence(confidence, SAID, half_life, SAID + earlier)
    after = effective_confidence(confidence, SAID, half_life, SAID + earlier + more)
    assert 0 <= after <= before <= confidence


@given(confidences, days, thresholds)
def test_the_moment_it_fades_is_when_too_little_is_left(confidence, half_life, below):
    moment = fades_at(confidence, SAID, half_life, below)
    assert moment is not None
    assert moment >= SAID
    left = effective_confidence(confidence, SAID, half_life, moment)
    assert math.isclose(left, min(confidence, below), rel_tol=1e-6)


@given(confidences, days, thresholds, spans)
def test_being_said_again_or_used_never_brings_it_forward(confidence, half_life, below, later):
    first = fades_at(confidence, SAID, half_life, below)
    again = fades_at(confidence, SAID + later, half_life, below)
    assert first is not None
    assert again is not None
    assert again >= first


@given(confidences, spans)
def test_what_has_no_half_life_never_fades(confidence, passed):
    assert fades_at(confidence, SAID, None, 0.5) is None
    assert effective_confidence(confidence, SAID, None, SAID + passed) == confidence


@given(confidences, days)
def test_without_a_threshold_nothing_fades(confidence, half_life):
    assert fades_at(confidence, SAID, half_life, 0.0) is None


def test_a_birthday_stays_and_a_mood_goes():
    lives = half_lives()
    assert lives.of("birthday", "biographical") is None
    mood, city = lives.of("mood", "biographical"), lives.of("home_city", "biographical")
    assert mood is not None
    assert city is not None
    assert mood < 7
    assert city > 365


@pytest.mark.parametrize("category", [*CATEGORIES, "a tenant's own"])
def test_every_category_has_a_half_life(category):
    assert 30 < (half_lives().of(None, category) or 0) < 3_650
    assert half_lives().of("a slot of nobody", category) == half_lives().of(None, category)


def test_the_data_names_each_slot_once_and_only_slots_there_are():
    import tomllib
    from importlib.resources import files

    path = files("services.maintenance.fading").joinpath("half_lives.toml")
    data = tomllib.loads(path.read_text("utf-8"))
    named = [slot for group in data["half_life"] for slot in group.get("slots", ())]
    assert len(named) == len(set(named))
    assert set(named) <= built_in().slots.keys()
    assert all(entry["why"] for entry in [*data["half_life"], *data["category"].values()])
    essential, _ = choosing._kinds()
    assert essential.keys() <= built_in().slots.keys()
