"""What surrounds a hit: its message, its neighbours, and whom the query names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.ranking import Candidate, Weights
from services.gateway.surroundings import (
    AFTER,
    BEFORE,
    lent,
    message_scores,
    named_by,
    without_names,
)


def found(name, weight, before=None, after=None):
    return {"id": name, "weight": weight, "before": before, "after": after}


def test_a_message_lends_to_what_was_said_next_to_it():
    scores = message_scores([found("q", 8.0, before="p", after="a"), found("a", 2.0, before="q")])

    assert scores == {"q": 1.0, "p": AFTER, "a": BEFORE}


def test_a_single_match_and_none_at_all_have_scores_too():
    assert message_scores([found("q", 3.0)]) == {"q": 1.0}
    assert message_scores([]) == {}


weights = st.floats(0.01, 50)


@given(st.lists(weights, min_size=1, max_size=6))
def test_a_better_match_never_scores_less(given_weights):
    rows = [found(str(at), weight) for at, weight in enumerate(given_weights)]
    scores = message_scores(rows)

    for one in rows:
        for other in rows:
            if one["weight"] > other["weight"]:
                assert scores[one["id"]] >= scores[other["id"]]


def test_facts_told_together_share_the_best_of_them():
    hits = [
        Candidate("a", told_with="s1"),
        Candidate("b", told_with="s1"),
        Candidate("c", told_with="s2"),
        Candidate("d"),
    ]
    added = lent(hits, [0.9, 0.1, 0.1, 0.1], Weights())

    assert added[0] == added[1] > added[2] > added[3] == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_nothing_is_ever_taken_away(own):
    hits = [Candidate(str(at), after=str(at + 1), before="gone") for at in range(len(own))]

    assert all(added >= 0 for added in lent(hits, own, Weights()))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("What did Caroline's dad do?", {"Caroline"}),
        ("what does caroline like", {"Caroline"}),
        ("Where does Jean Luc live?", {"Jean Luc"}),
        ("Where do I live?", set()),
        ("What is a carol?", set()),
    ],
)
def test_a_query_names_people_by_their_first_name(query, named):
    assert named_by(query, ["Caroline", "Jean Luc", None, ""]) == named


def test_names_are_no_part_of_what_is_asked():
    assert without_names(["carolin", "dad", "car"], {"Caroline"}) == ["dad", "car"]
