"""Dated changes of attributes, told in a model's own words, come out as the life they tell of.

The pure half: statement → slot, key and cardinality → fold. `NaiveReading` is asked beside it where
it knows all the rules.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.beliefs import Correction, Observation, SlotTimeline, believed_at
from shared.facts.statements import Statement, observed
from shared.ids import derived_id
from shared.slot_folds import fold_under, one_birth
from shared.slots import SlotSpec, built_in
from tests.slot_stories import Story, Teller
from tests.unit.beliefs.naive_reading import NaiveReading

seeds = st.integers(0, 10**9)


def observations(story: Story, catalogue=None) -> list[Observation]:
    return [
        observation(number, said.at, said.statement, catalogue)
        for number, said in enumerate(story.said)
    ]


def observation(number, at, statement, catalogue=None) -> Observation:
    columns = observed(statement, catalogue)
    shown = ("slot", "value_key", "cardinality", "occurred_at", "ended_at")
    shown += ("occurred_precision", "ended_precision")
    return Observation(
        fact_id=derived_id("story", number),
        subject="user",
        value=statement.value,
        claim=statement.claim,
        temporal_state=statement.temporal_state,
        said_at=at,
        recorded_at=at,
        message_key=f"m{number}",
        ordinal=0,
        **{name: columns[name] for name in shown},
    )


def believed(timeline: SlotTimeline, story: Story, at) -> set[int]:
    """The numbers of the values believed; a value of no story would raise."""
    spelled = {built_in().value_key(story.slot, s[0]): n for n, s in enumerate(story.values)}
    return {
        spelled[built_in().value_key(story.slot, interval.value)]
        for interval in believed_at(timeline, at)
    }


@given(seeds)
def test_a_told_life_is_believed_at_every_moment(seed: int):
    """Current values and timeline, whatever the names, spellings and precisions."""
    story = Teller(seed).story()
    timeline = fold_under(built_in(), story.slot, observations(story))
    for at in story.moments():
        assert believed(timeline, story, at) == story.true_at(at), (at, story)


@given(seeds)
def test_every_name_and_spelling_leads_to_one_attribute(seed: int):
    story = Teller(seed).story()
    assert {each.slot for each in observations(story)} == {story.slot}


@given(seeds, st.randoms(use_true_random=False))
def test_no_order_and_no_number_of_deliveries_changes_it(seed: int, rng: random.Random):
    """Shuffled, some of it delivered again later: the same timeline."""
    told = observations(Teller(seed).story())
    slot = told[0].slot
    again = [replace(o, recorded_at=o.recorded_at + timedelta(days=99)) for o in told[::2]]
    delivered = [*told, *again, *rng.sample(told, len(told) // 2)]
    rng.shuffle(delivered)
    expected = fold_under(built_in(), slot, told)
    assert fold_under(built_in(), slot, delivered) == expected


@given(seeds)
def test_the_naive_reading_agrees_where_it_knows_the_rules(seed: int):
    """Exact dates, no plans, one value at a time."""
    story = Teller(seed).story()
    told = [
        replace(o, value=o.value_key, occurred_precision=None, ended_precision=None)
        for o in observations(story)
    ]
    if story.many or any(o.temporal_state == "future" for o in told):
        return
    naive, timeline = NaiveReading(told), fold_under(built_in(), story.slot, observations(story))
    for at in story.moments():
        found = [built_in().value_key(story.slot, i.value) for i in believed_at(timeline, at)]
        assert found == [value for value in [naive.believed(at)] if value]


@given(seeds, st.randoms(use_true_random=False))
def test_a_tenants_slot_counts_the_same_before_and_after_it_is_made(seed: int, rng: random.Random):
    """Rows stored by either catalogue, in any mixture, fold to the same beliefs."""
    story = Teller(seed).story()
    own = SlotSpec("kept", "biographical", rng.choice(["one", "many"]), "text", ("old_kept",),
                   source="tenant")  # fmt: skip
    ours = built_in().with_own([own])
    said = [
        replace(
            s, statement=s.statement.model_copy(update={"slot": rng.choice(["kept", "Old Kept"])})
        )
        for s in story.said
    ]
    before, after = (observations(replace(story, said=said), each) for each in (built_in(), ours))
    mixed = [rng.choice(both) for both in zip(before, after, strict=True)]
    results = [fold_under(ours, "kept", rows) for rows in (before, after, mixed)]
    assert results[0] == results[1] == results[2]
    assert {result.cardinality for result in results} == {own.cardinality}


def test_a_correction_has_as_many_values_as_the_catalogue_says():
    """Stored while a tenant's home_city had many, it takes part in a home_city of one again."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    said = [
        observation(n, at.replace(year=2020 + n), Statement(content=city, slot="city", value=city))
        for n, city in enumerate(("Rome", "Oslo"))
    ]
    act = Correction(
        id=derived_id("act"), at=at, fact_id=said[1].fact_id, subject="user", slot="home_city",
        value="Bergen", value_key="bergen", cardinality="many", old_value_key="oslo",
    )  # fmt: skip
    timeline = fold_under(built_in(), "home_city", said, [act])
    assert timeline.cardinality == "one"
    assert [interval.value for interval in believed_at(timeline, at)] == ["Bergen"]


def test_a_correction_without_a_value_is_found_under_the_slots_new_name():
    """What only ends, put into other words, is folded with them although the slot was renamed."""
    at = datetime(2026, 5, 4, tzinfo=UTC)
    ended = Statement(content="Gave up the parking space", slot="parking_space", claim="ends")
    ours = built_in().with_own(
        [
            SlotSpec(
                "parking_spot", "biographical", "one", "text", ("parking_space",), source="tenant"
            )
        ]
    )
    told = observation(1, at, ended)
    act = Correction(
        id=derived_id("act"), at=at, fact_id=told.fact_id, subject="user", slot="parking_space",
        value=None, value_key=None,
    )  # fmt: skip
    timeline = fold_under(ours, "parking_spot", [told], [act])
    assert timeline.standings.keys() == {told.fact_id, act.id}


@pytest.mark.parametrize("seed", [7])
def test_the_share_of_right_answers_is_what_is_asked_for(seed: int):
    """Current value and timeline right at least .98, siblings wrongly retired at most .003."""
    right = asked = retired = siblings = 0
    for number in range(200):
        story = Teller(seed * 10_000 + number).story()
        timeline = fold_under(built_in(), story.slot, observations(story))
        for at in story.moments():
            found, true = believed(timeline, story, at), story.true_at(at)
            right, asked = right + (found == true), asked + 1
            if story.many:
                retired, siblings = retired + len(true - found), siblings + len(true)
    assert right / asked >= 0.98
    assert retired / siblings <= 0.003


# ---- births


def birth(number: int, year: int, value: str) -> Observation:
    statement = Statement(content=value, slot="birth_year", value=value)
    return observation(number, datetime(year, 5, 4, tzinfo=UTC), statement)


def values_of(*told: Observation) -> list[str]:
    timeline = fold_under(built_in(), "birth_year", told)
    return [interval.value for interval in timeline.intervals]


def test_an_age_agrees_with_a_birth_year_instead_of_contradicting_it():
    """ "34" in May 2026 and "1991" are one belief with two pieces of evidence, in any order."""
    year, told = birth(1, 2025, "1991"), birth(2, 2026, "34")
    assert values_of(year, told) == values_of(told, year) == ["1991"]
    assert values_of(birth(1, 2026, "34"), birth(2, 2027, "35")) == ["34"]
    assert len(values_of(birth(1, 2025, "1985"), told)) == 2


@given(st.permutations(range(5)))
def test_births_are_grouped_by_the_set_alone(order):
    said = ["1991", "34", "1991 or 1992", "1988", "years ago"]
    told = [birth(n, 2026 + n % 2, value) for n, value in enumerate(said)]
    keys = {o.fact_id: o.value_key for o in one_birth([told[n] for n in order])}
    assert keys == {o.fact_id: o.value_key for o in one_birth(told)}
