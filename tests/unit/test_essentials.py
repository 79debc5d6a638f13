"""Choosing what is always known: within the budget, whatever the order, and the same when repeated."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.maintenance.essential.choosing import LEAST, Budget, Known, choose, kind_of, worth
from services.maintenance.essential.model import question, read_answer
from shared.errors import PoisonError

SLOTS = ["name", "home_city", "allergy", "pet", "employer", "likes", "goal", "shoe_size", None]


@st.composite
def known(draw):
    return Known(
        id=UUID(int=draw(st.integers(1, 2**64))),
        slot=draw(st.sampled_from(SLOTS)),
        category=draw(st.sampled_from(["biographical", "user_preference", "learning", "own"])),
        content="x" * draw(st.integers(0, 200)),
        evidence_count=draw(st.integers(1, 9)),
        certainty=draw(st.floats(0, 1)),
        uses=draw(st.integers(0, 1_000)),
        essential=draw(st.booleans()),
    )


facts = st.lists(known(), max_size=50, unique_by=lambda fact: fact.id)
budgets = st.builds(Budget, st.integers(0, 25), st.integers(0, 300))
rankings = st.none() | st.lists(st.integers(0, 60), max_size=60)


def ranked(told, ranking):
    """Some of the facts in some order, and some that are not there."""
    if ranking is None:
        return None
    return [told[at].id if at < len(told) else UUID(int=2**100 + at) for at in ranking]


@given(facts, budgets, rankings)
def test_the_budget_is_never_exceeded(told, budget, ranking):
    by_id = {fact.id: fact for fact in told}
    chosen = [by_id[fact] for fact in choose(told, budget, ranked(told, ranking))]
    assert len(chosen) == len({fact.id for fact in chosen}) <= budget.facts
    assert sum(fact.tokens for fact in chosen) <= budget.tokens
    kinds = [kind for fact in chosen if (kind := kind_of(fact))]
    assert len(kinds) == len(chosen), "each is of a kind"
    names = [kind.name for kind in kinds]
    assert all(names.count(kind.name) <= kind.most for kind in kinds)


@given(facts, budgets, rankings, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_choice(told, budget, ranking, random):
    order = ranked(told, ranking)
    before = choose(told, budget, order)
    random.shuffle(told)
    assert choose(told, budget, order) == before


@given(facts, budgets)
def test_choosing_again_changes_nothing(told, budget):
    from dataclasses import replace

    first = choose(told, budget)
    again = [replace(fact, essential=fact.id in first) for fact in told]
    assert set(choose(again, budget)) == set(first)


@given(known(), st.integers(0, 5), st.floats(0, 1), st.integers(0, 100))
def test_more_evidence_certainty_and_use_never_make_a_fact_worth_less(fact, more, certainty, uses):
    from dataclasses import replace

    better = replace(
        fact,
        evidence_count=fact.evidence_count + more,
        certainty=max(fact.certainty, certainty),
        uses=fact.uses + uses,
    )
    assert worth(better) >= worth(fact)


def fact(number, slot, content="Something", **more):
    category = more.pop("category", "biographical")
    return Known(id=UUID(int=number), slot=slot, category=category, content=content, **more)


def test_what_harms_and_who_is_spoken_to_come_before_a_shoe_size():
    told = [fact(1, "shoe_size"), fact(2, "pet"), fact(3, "allergy"), fact(4, "name")]
    assert choose(told, Budget()) == [UUID(int=4), UUID(int=3), UUID(int=2)]


def test_one_kind_does_not_fill_the_budget():
    pets = [fact(number, "pet") for number in range(1, 30)]
    chosen = choose([*pets, fact(99, "employer")], Budget())
    assert UUID(int=99) in chosen
    assert len(chosen) == 7


def test_a_sentence_comes_in_by_being_repeated():
    once = fact(1, None, category="user_preference", certainty=0.8)
    often = fact(2, None, category="user_preference", certainty=0.8, evidence_count=4)
    assert choose([once, often], Budget()) == [often.id]


def test_what_is_essential_keeps_its_place_against_its_like():
    told = [fact(1, "employer"), fact(2, "employer", essential=True)]
    assert choose(told, Budget(facts=1)) == [UUID(int=2)]


def test_a_ranking_decides_but_for_what_hardly_counts_any_more():
    told = [fact(1, "name"), fact(2, "pet"), fact(3, "goal", certainty=0.1)]
    assert worth(told[2]) < LEAST / 2
    order = [UUID(int=3), UUID(int=2), UUID(int=1), UUID(int=77)]
    assert choose(told, Budget(), order) == [UUID(int=2), UUID(int=1)]


def test_a_model_is_told_kinds_and_words_and_never_ids():
    told = [fact(1, "name", "Is called Ana", said_at=datetime(2026, 5, 1, tzinfo=UTC))]
    assert question(told, Budget(3, 99)) == {
        "task": "essential",
        "budget": {"facts": 3, "tokens": 99},
        "facts": [
            {
                "id": "f1",
                "kind": "identity",
                "content": "Is called Ana",
                "evidence": 1,
                "said": "2026-05-01",
            }
        ],
    }


def test_an_answer_is_read_for_what_it_names():
    told = [fact(1, "name"), fact(2, "pet")]
    answer = {"essential": [{"id": "F2", "why": "x"}, {"id": "f9"}, "f1", {"id": "f2"}, None]}
    assert read_answer(answer, told) == [UUID(int=2), UUID(int=1)]


@pytest.mark.parametrize("answer", [{}, {"essential": "f1"}, {"essential": [{"id": "f7"}]}])
def test_an_answer_that_names_none_is_of_no_use(answer):
    with pytest.raises(PoisonError):
        read_answer(answer, [fact(1, "name")])
