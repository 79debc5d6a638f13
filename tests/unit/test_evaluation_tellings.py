"""What an evaluation tells: made-up lives, noise, and the answers of a gold model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.evaluation.gold import Asked, Script
from benchmarks.evaluation.noise import noisy, without_distortions
from benchmarks.evaluation.people import GoldFact, Pair, Person, Turn
from benchmarks.evaluation.readers import load
from benchmarks.evaluation.stories import draw_stories, shuffled, waves
from benchmarks.evaluation.values import changing_slots, slots_of_many, values_of
from shared.slots import resolve, value_key

TINY = Path(__file__).parents[1] / "data" / "evaluation" / "tiny_halumem.jsonl"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
seeds = st.integers(0, 10_000)


# ---- made-up lives


@given(seeds)
def test_the_same_seed_draws_the_same_life(seed: int):
    assert draw_stories(seed, 1) == draw_stories(seed, 1)


@given(seeds)
def test_a_truth_is_a_row_of_stretches_that_never_overlap(seed: int):
    for chain in draw_stories(seed, 1)[0].chains:
        for before, after in pairwise(chain.spans):
            assert before.end is not None
            assert before.start.at < before.end.at <= after.start.at
            assert before.value != after.value or before.end.at < after.start.at


@given(seeds)
def test_everything_is_said_in_the_past_and_no_two_messages_are_alike(seed: int):
    turns = draw_stories(seed, 1)[0].person.turns
    assert all(turn.at < datetime(2026, 1, 1, tzinfo=UTC) for turn in turns)
    assert len({(turn.content, turn.at) for turn in turns}) == len(turns)


@given(seeds)
def test_every_stretch_is_told(seed: int):
    for chain in draw_stories(seed, 1)[0].chains:
        said = {telling.fact.fields["value"] for telling in chain.tellings}
        assert {span.value.plain for span in chain.spans} <= said


def test_values_differ_and_their_spellings_do_not():
    """Else a story would expect what no memory may believe."""
    for spec in changing_slots():
        values = values_of(spec)
        assert len(values) >= 3
        keys = [{value_key(spec.name, each) for each in value.spellings} for value in values]
        assert all(len(of_one) == 1 for of_one in keys), spec.name
        assert len(set.union(*keys)) == len(values), spec.name
    assert all(resolve(slot) is not None for slot in slots_of_many())


def test_waves_hold_every_message_once_and_keep_a_persons_order():
    people = [story.person for story in draw_stories(1, 2)]
    parts = waves([shuffled(person, 1) for person in people], 3)
    told = [(person.name, number) for part in parts for person, number, _ in part]
    for person in people:
        mine = [number for name, number in told if name == person.name]
        assert mine == list(range(len(person.turns)))


# ---- noise


def test_noise_drops_and_repeats_some_and_keeps_every_distortion():
    facts = tuple(GoldFact(f"fact {number}") for number in range(200))
    lie = GoldFact("lie", distorts="fact 1")
    turns = (Turn("s", "user", NOON, "one", (*facts, lie)), Turn("s", "user", NOON, "two", (lie,)))
    person = Person("p", turns, exact=True)
    first, second = (turn.facts for turn in noisy(person, 1).turns)
    assert 150 < len(first) < 200
    assert first[-1] == lie
    assert 5 < len(second) < 40
    assert {fact.content for fact in second} <= {fact.content for fact in first}
    assert noisy(person, 1) == noisy(person, 1)
    assert lie not in [fact for _, fact in without_distortions(person).facts()]


def test_what_was_replaced_is_never_repeated_after_its_update():
    (person,) = load(TINY).people
    for seed in range(40):
        contents = [fact.content for _, fact in noisy(person, seed).facts()]
        assert contents.count("Nell Carter keeps bees on the roof") <= 1


# ---- the gold model


def script() -> Script:
    return Script.of(load(TINY).people)


def test_extraction_answers_with_the_facts_of_the_messages_asked_about():
    message = {
        "id": "m1",
        "role": "user",
        "at": "2026-03-02T10:00:00Z",
        "content": "I live in Bergen now.",
    }
    other = {**message, "id": "m2", "at": "2026-03-03T10:00:00Z"}
    answer = script().answer({"task": "extract", "messages": [message, other]})
    assert answer == {
        "facts": [{"content": "Nell Carter lives in Bergen", "source_message_ids": ["m1"]}]
    }


def pair(new: str, old: str, number: str = "p1") -> dict[str, object]:
    at = NOON.isoformat()
    return {"id": number, "new": {"content": new, "at": at}, "old": {"content": old, "at": at}}


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        ("Nell Carter sold the beehives", "Nell Carter keeps bees on the roof", "supersedes"),
        ("Nell Carter keeps bees on the roof", "Nell Carter sold the beehives", "independent"),
        ("Nell Carter paints at night", "Nell Carter paints at night", "duplicate"),
        ("Nell Carter paints at dawn", "Nell Carter paints at night", "independent"),
        ("Has a dog", "Owns a dog", "duplicate"),
    ],
)
def test_the_judge_knows_links_and_equals_and_nothing_else(new: str, old: str, verdict: str):
    oracle = script()
    oracle.equate([Pair("Owns a dog", "Has a dog", same=True), Pair("x", "y", same=False)])
    answer = oracle.answer({"task": "judge", "pairs": [pair(new, old)]})
    assert [(each["id"], each["verdict"]) for each in answer["verdicts"]] == [("p1", verdict)]


def test_a_pair_is_counted_once_whichever_way_round_and_however_often():
    asked = Asked()
    asked.note({"task": "judge", "pairs": [pair("n", "a"), pair("n", "b"), pair("m", "a")]}, 40, 8)
    asked.note({"task": "judge", "pairs": [pair("b", "n"), pair("n", "c")]}, 40, 8)
    assert len(asked.pairs) == 4
    assert asked.tokens("judge") == 24
    assert asked.tokens("extract") == 0


def test_a_month_begins_on_its_first_day_and_changes_are_days_apart():
    """Else the day before a change would not be before it, however precisely it was told."""
    for story in draw_stories(3, 20):
        for chain in story.chains:
            for span in chain.spans:
                if span.form == "month":
                    assert span.start.at.day == 1
                    assert span.start.at.hour == 0
            for old, new in chain.changes():
                assert old.start.at < new.start.at - timedelta(days=1)


def test_what_would_be_said_tomorrow_is_moved_back_with_all_before_it():
    turns = tuple(Turn("s", "user", NOON + timedelta(days=day), "x") for day in (0, 9))
    person = Person("p", turns, exact=True)
    assert person.in_the_past(NOON + timedelta(days=10)) is person
    first, last = person.in_the_past(NOON + timedelta(days=2)).turns
    assert last.at < NOON + timedelta(days=2)
    assert last.at - first.at == timedelta(days=9)
