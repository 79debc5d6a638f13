"""Which pairs are decided, which are proposed to a model: for what they are, not for their order."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.deduper.candidates import (
    MOST_CANDIDATES,
    NOTHING,
    Collection,
    FreeText,
    propose,
)
from services.deduper.lexical import Wordings, terms
from services.deduper.thresholds import Floors
from shared.ids import derived_id

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
FLOORS = Floors(candidate=0.5, duplicate=0.75, related=0.3)
WORDS = ["tea", "green", "walks", "Rome", "two", "dogs", "three", "likes", "never", "chess"]


def fact(number, content, subject="user", generation=1):
    return FreeText(
        derived_id("candidate", number),
        subject,
        content,
        generation,
        BEGAN + timedelta(days=number * 7 % 11),
        f"m{number}",
        0,
    )


def vector(content):
    """A direction for every word, so that shared words are nearness."""
    drawn = [
        np.random.default_rng(len(w) * 31 + ord(w[0])).standard_normal(8) for w in content.split()
    ]
    total = np.sum(drawn, axis=0)
    return (total / np.linalg.norm(total)).astype(np.float32)


def collection(facts):
    if not facts:
        return NOTHING
    return Collection(tuple(facts), np.stack([vector(one.content) for one in facts]))


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
worlds = st.lists(
    st.tuples(sentences, st.sampled_from(["user", "Sara"]), st.sampled_from([0, 1, 2])), max_size=12
).map(lambda drawn: [fact(n, *one) for n, one in enumerate(drawn)])


def arrived(facts, sizes):
    """Everything decided and proposed when facts arrive in portions of these sizes."""
    decided, doubtful, known = {}, {}, []
    sizes = iter([*sizes, len(facts) or 1])
    while len(known) < len(facts):
        fresh = facts[len(known) : len(known) + next(sizes)]
        proposal = propose(collection(fresh), collection(known), FLOORS, with_model=True)
        decided |= {(v.first, v.second): v.verdict for v in proposal.decided}
        doubtful |= {pair.key: (pair.new.id, pair.old.id) for pair in proposal.doubtful}
        known += fresh
    return decided, doubtful


@given(worlds, st.lists(st.integers(1, 5), max_size=4), st.randoms(use_true_random=False))
def test_any_order_of_arrival_proposes_the_same_pairs(facts, sizes, random):
    """Below the bound a pair is asked about for what its facts are, with the same one as new."""
    before = arrived(facts, [])
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert arrived(shuffled, sizes) == before


@given(worlds)
def test_only_facts_of_one_subject_and_run_are_compared(facts):
    by_id = {one.id: one for one in facts}
    decided, doubtful = arrived(facts, [])
    for a, b in [*decided, *doubtful]:
        one, other = by_id[a], by_id[b]
        assert one.subject == other.subject
        assert one.generation == other.generation or 0 in (one.generation, other.generation)


@given(worlds)
def test_what_guards_decide_is_not_asked_and_the_later_said_is_new(facts):
    decided, doubtful = arrived(facts, [])
    rank = {one.id: one.rank for one in facts}
    assert not decided.keys() & doubtful.keys()
    assert all(rank[new] > rank[old] for new, old in doubtful.values())


@given(worlds)
def test_without_a_model_guards_decide_as_much(facts):
    everything = collection(facts)
    alone = propose(everything, NOTHING, FLOORS, with_model=False)
    assert alone.doubtful == []
    with_model = propose(everything, NOTHING, FLOORS, with_model=True)
    assert {(v.first, v.second) for v in alone.decided} <= {
        (v.first, v.second) for v in with_model.decided
    }


def test_a_new_fact_has_at_most_thirty_candidates_the_likeliest():
    """Of sixty alike, the one that shares most words is among the thirty."""
    others = [fact(n, f"likes town{n} by train") for n in range(60)]
    others.append(fact(60, "likes Rome by train"))
    fresh = collection([fact(61, "hates Rome by train")])
    proposal = propose(fresh, collection(others), FLOORS, with_model=True)
    assert len(proposal.doubtful) == MOST_CANDIDATES
    assert others[60].id in {pair.old.id for pair in proposal.doubtful} | {
        pair.new.id for pair in proposal.doubtful
    }


def test_words_alone_make_a_candidate_of_what_a_vector_puts_far_away():
    one, other = fact(1, "monthly income: 11800 dollars"), fact(2, "monthly income fell")
    fresh = Collection((one,), np.array([[1.0, 0.0]], dtype=np.float32))
    known = Collection((other,), np.array([[-1.0, 0.0]], dtype=np.float32))
    [pair] = propose(fresh, known, FLOORS, with_model=True).doubtful
    assert {pair.new.id, pair.old.id} == {one.id, other.id}


@given(st.lists(sentences, min_size=1, max_size=8))
def test_overlap_is_the_same_from_either_side(contents):
    wordings = Wordings(contents)
    table = np.stack([wordings.overlap(content) for content in contents])
    assert np.allclose(table, table.T)
    assert all(table[i, i] == 1 or not terms(content) for i, content in enumerate(contents))


def test_bm25_prefers_the_rare_word():
    scores = Wordings(["likes tea", "likes chess", "likes walks"]).bm25("likes chess")
    assert scores.argmax() == 1
    assert scores[0] == scores[2] > 0
