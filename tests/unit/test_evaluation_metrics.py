"""Metrics of the evaluation: each can be right and can be wrong, and says which."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.evaluation import metrics
from benchmarks.evaluation.chains import DAY, INSTANT, Chain, Edge, Span
from benchmarks.evaluation.figures import Case, Figure, at_least, at_most, share
from benchmarks.evaluation.people import GoldFact
from benchmarks.evaluation.stored import Stored, StoredFact
from benchmarks.evaluation.values import Value
from benchmarks.evaluation.wording import agree

MARCH, JUNE = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def fact(number: str, content: str = "", **fields: Any) -> StoredFact:
    made = StoredFact(
        id=number,
        content=content or f"fact {number}",
        slot=None,
        value=None,
        claim="holds",
        status="current",
        canonical_id=number,
        superseded_by=None,
        valid_from=MARCH,
        valid_to=None,
    )
    return replace(made, **fields)


def gone(number: str, content: str, by: str | None = None) -> StoredFact:
    return fact(number, content, status="past", superseded_by=by, valid_to=JUNE)


def counts(cases: Any) -> list[bool]:
    return [case.counts for case in cases]


# ---- figures


def test_a_share_is_measured_against_its_aim():
    cases = [Case(True), Case(True), Case(False, "wrong")]
    figure = share("e", "m", "n", cases, at_least(0.7))
    assert figure.value == pytest.approx(2 / 3)
    assert figure.met is False
    assert figure.failing == ("wrong",)


def test_of_a_fault_those_that_count_are_shown():
    figure = share("e", "m", "n", [Case(True, "bad"), Case(False, "fine")], at_most(0.1))
    assert figure.failing == ("bad",)


def test_no_case_meets_and_misses_nothing():
    figure = share("e", "m", "n", [], at_least(1))
    assert (figure.value, figure.met) == (None, None)


def test_a_figure_that_misses_its_aim_by_a_hair_does_not_meet_it():
    assert Figure("e", "m", "n", 0.9799, 10, at_least(0.98)).met is False
    assert Figure("e", "m", "n", 0.98, 10, at_least(0.98)).met is True


# ---- slots

DALLAS, LEEDS = Value(("Dallas", "Dallas, Texas")), Value(("Leeds",))
CHAIN = Chain(
    "home_city",
    (
        Span(DALLAS, "now", Edge(MARCH, INSTANT), Edge(JUNE, DAY)),
        Span(LEEDS, "day", Edge(JUNE, DAY), None),
    ),
)


def living_in(*values: str) -> Stored:
    return Stored(fact(value, slot="home_city", value=value) for value in values)


def test_the_current_value_is_right_when_it_is_alone():
    assert metrics.current_value(CHAIN, living_in("Leeds")).counts
    assert not metrics.current_value(CHAIN, living_in("Dallas")).counts
    assert not metrics.current_value(CHAIN, living_in("Leeds", "Dallas")).counts
    assert not metrics.current_value(CHAIN, living_in()).counts


def test_where_it_ended_nothing_is_right():
    over = replace(CHAIN, spans=CHAIN.spans[:1])
    assert metrics.current_value(over, living_in()).counts
    assert not metrics.current_value(over, living_in("Dallas")).counts


def timeline(*intervals: tuple[str, datetime, datetime | None]) -> list[dict[str, Any]]:
    shown = [
        {
            "value": value,
            "valid_from": start.isoformat(),
            "valid_to": end.isoformat() if end else None,
        }
        for value, start, end in intervals
    ]
    return [{"subject": "user", "slot": "home_city", "intervals": shown}]


def test_a_timeline_is_right_within_the_precision_told():
    later = JUNE + timedelta(hours=20)
    right = timeline(("Dallas, Texas", MARCH, later), ("Leeds", later, None))
    assert metrics.timeline(CHAIN, right).counts


@pytest.mark.parametrize(
    "found",
    [
        [],
        timeline(("Dallas", MARCH, JUNE)),
        timeline(("Dallas", MARCH, JUNE), ("York", JUNE, None)),
        timeline(("Dallas", MARCH, JUNE), ("Leeds", JUNE + 2 * DAY, None)),
        timeline(("Dallas", MARCH + timedelta(minutes=1), JUNE), ("Leeds", JUNE, None)),
        timeline(("Dallas", MARCH, JUNE), ("Leeds", JUNE, JUNE + 9 * DAY)),
        timeline(("Dallas", MARCH, None), ("Leeds", JUNE, None)),
    ],
)
def test_a_timeline_with_a_wrong_stretch_is_wrong(found: list[dict[str, Any]]):
    assert not metrics.timeline(CHAIN, found).counts


def test_an_old_value_is_found_when_no_other_is():
    city = fact("1", slot="home_city", value="Dallas")
    assert metrics.held("home_city", ("Dallas",), MARCH, [city]).counts
    other = replace(city, value="Leeds")
    assert not metrics.held("home_city", ("Dallas",), MARCH, [city, other]).counts
    assert not metrics.held("home_city", ("Dallas",), MARCH, []).counts


# ---- free text

GOLD = [GoldFact("old"), GoldFact("new", replaces=("old", "never told")), GoldFact("other")]


def test_links_are_those_of_what_was_told():
    assert metrics.replacements(GOLD) == {"old": {"new"}}
    assert metrics.kept(GOLD) == ["new", "other"]
    assert metrics.kept([*GOLD, GoldFact("Old.")]) == ["new", "other"]


def test_an_update_needs_the_old_one_retired_and_linked():
    links = metrics.replacements(GOLD)
    new = fact("2", "new")
    assert counts(metrics.superseded(links, Stored([gone("1", "old", "2"), new]))) == [True]
    assert counts(metrics.superseded(links, Stored([gone("1", "old"), new]))) == [False]
    assert counts(metrics.superseded(links, Stored([fact("1", "old"), new]))) == [False]
    assert counts(metrics.superseded(links, Stored([new]))) == [False]


def test_a_link_is_followed_through_what_came_between_and_what_was_merged():
    merged = fact("3", "new", status="merged", canonical_id="4", valid_from=None)
    facts = [gone("1", "old", "2"), gone("2", "between", "4"), fact("4", "newer"), merged]
    assert counts(metrics.superseded({"old": {"new"}}, Stored(facts))) == [True]


def test_links_in_a_circle_end():
    facts = [gone("1", "old", "2"), gone("2", "new", "1")]
    assert counts(metrics.superseded({"old": {"elsewhere"}}, Stored(facts))) == [False]


def test_what_nothing_replaced_is_wrongly_retired_when_it_is_past_or_lost():
    stored = Stored([gone("1", "a", "9"), fact("2", "b")])
    assert counts(metrics.retired_wrongly(["a", "b", "c"], stored)) == [True, False, True]


def test_a_merged_fact_lives_in_the_one_it_was_merged_into():
    stored = Stored([fact("1", "a"), fact("2", "b", status="merged", canonical_id="1")])
    assert counts(metrics.retired_wrongly(["a", "b"], stored)) == [False, False]
    assert counts(metrics.right_are_believed(["a", "b"], stored)) == [True, True]
    assert counts(metrics.believed_are_right(["b"], stored)) == [True]


def test_the_end_state_has_a_precision_and_a_recall():
    stored = Stored([fact("1", "right"), fact("2", "wrong")])
    assert counts(metrics.believed_are_right(["right", "lost"], stored)) == [True, False]
    assert counts(metrics.right_are_believed(["right", "lost"], stored)) == [True, False]


def test_a_pair_is_one_belief_when_one_was_merged():
    one, other = fact("1", "x"), fact("2", "x")
    merged = replace(other, status="merged", canonical_id="1")
    assert metrics.one_belief(Stored([one, merged]))
    assert not metrics.one_belief(Stored([one, other]))
    assert not metrics.one_belief(Stored([one, gone("2", "x", "1")]))
    assert not metrics.one_belief(Stored([one]))


def test_a_distortion_is_merged_when_it_is_one_belief_with_the_truth():
    gold = [GoldFact("true"), GoldFact("false", distorts="true"), GoldFact("x", distorts="absent")]
    apart = Stored([fact("1", "true"), fact("2", "false")])
    together = Stored([fact("1", "true"), fact("2", "false", status="merged", canonical_id="1")])
    assert counts(metrics.distortions_merged(gold, apart)) == [False]
    assert counts(metrics.distortions_merged(gold, together)) == [True]


# ---- wording


def test_a_slot_agrees_by_attribute_value_and_claim():
    gold = GoldFact("x", {"slot": "city", "value": "san francisco, CA"})
    said = fact("1", slot="home_city", value="San Francisco")
    assert agree(said, gold)
    assert not agree(replace(said, claim="ends"), gold)
    assert not agree(replace(said, value="Dallas"), gold)
    assert not agree(replace(said, slot="hometown"), gold)


def test_free_text_agrees_by_most_of_its_words():
    gold = GoldFact("Iris adopted a grey cat named Plum last spring.")
    assert agree(fact("1", "Has a cat named Plum"), gold)
    assert agree(fact("1", "x", slot="pet", value="Plum"), gold)
    assert not agree(fact("1", "Has a dog named Rex"), gold)
    assert not agree(fact("1", "is the"), gold)
