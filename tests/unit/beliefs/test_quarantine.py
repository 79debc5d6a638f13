"""What is held for review: believed by nobody until it is approved, whatever the order of arrival."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.beliefs import Review, Tombstone, Undo, cluster, fold_slot, review_key
from tests.unit.beliefs.belief_strategies import (
    MOMENTS,
    correction_lists,
    free_text,
    pairs_of_facts,
    slots,
    times,
    tombstone_lists,
)
from tests.unit.beliefs.belief_words import identity

LATE = MOMENTS[-1] + timedelta(days=999)
ORIGINS = ("user", "operator", "assistant", "tool", "document")
known = st.none() | times


@st.composite
def trusted(draw, said):
    """Some observations with words of some source, a few of them held."""
    return [
        replace(
            one,
            origin=draw(st.sampled_from(ORIGINS)),
            held=f"{one.message_key}-{one.value}" if draw(st.booleans()) else None,
        )
        for one in draw(said)
    ]


@st.composite
def decisions(draw, said):
    """Reviews of what is held and of what is not there, and undos of some of them."""
    keys = [one.held for one in said if one.held] + ["nobody's"]
    chosen = draw(st.lists(st.tuples(st.sampled_from(keys), times, st.booleans()), max_size=4))
    made = [
        Review(id=identity("review", *one), at=one[1], key=one[0], approved=one[2])
        for one in chosen
    ]
    undone = draw(st.lists(st.sampled_from(made), max_size=2)) if made else []
    return made, [Undo(id=identity("undo", r.id), at=LATE, act_id=r.id) for r in undone]


@st.composite
def sweeps(draw):
    origin = draw(st.none() | st.sampled_from(ORIGINS))
    since = draw(times if origin is None else st.none() | times)
    at = draw(times)
    return Tombstone(id=identity("sweep", origin, since, at), at=at, origin=origin, since=since)


def shown(timeline, without=()):
    standings = {f: s for f, s in timeline.standings.items() if f not in without}
    return timeline.cardinality, timeline.intervals, timeline.recurring, timeline.plans, standings


@given(data=st.data(), acts=correction_lists, stones=tombstone_lists, known=known)
def test_what_is_held_changes_nothing_that_is_believed(data, acts, stones, known):
    """Without a decision the rest stands as if it had never been written."""
    said = data.draw(trusted(slots()))
    held = {one.fact_id for one in said if one.held}
    left = [one for one in said if not one.held]
    acts = [act for act in acts if act.fact_id not in held]
    folded = fold_slot(said, acts, stones, known)
    assert shown(folded, held) == shown(fold_slot(left, acts, stones, known))
    kinds = {folded.standings[fact].kind for fact in held & folded.standings.keys()}
    assert kinds <= {"quarantined", "forgotten"}


@given(data=st.data(), stones=tombstone_lists)
def test_what_is_approved_is_as_if_it_had_never_been_held(data, stones):
    said = data.draw(trusted(slots()))
    reviews = [
        Review(id=identity("yes", one.held), at=LATE, key=one.held, approved=True)
        for one in said
        if one.held
    ]
    free = [replace(one, held=None) for one in said]
    assert fold_slot(said, (), stones, reviews=reviews) == fold_slot(free, (), stones)
    texts = [replace(one, slot=None) for one in said]
    clean = [replace(one, slot=None) for one in free]
    assert cluster(texts, [], stones, reviews=reviews) == cluster(clean, [], stones)


@given(data=st.data(), known=known, random=st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(data, known, random):
    """Observations, decisions, undos and forgettings, twice and shuffled, come to the same."""
    said = data.draw(trusted(slots()))
    reviews, undos = data.draw(decisions(said))
    stones = [*data.draw(tombstone_lists), *data.draw(st.lists(sweeps(), max_size=2))]
    before = fold_slot(said, (), stones, known, undos=undos, reviews=reviews)
    again = [inputs * 2 for inputs in (said, stones, undos, reviews)]
    for inputs in again:
        random.shuffle(inputs)
    said2, stones2, undos2, reviews2 = again
    assert fold_slot(said2, (), stones2, known, undos=undos2, reviews=reviews2) == before


@given(data=st.data(), same=pairs_of_facts, random=st.randoms(use_true_random=False))
def test_held_sentences_are_in_no_cluster_in_any_order(data, same, random):
    said = data.draw(trusted(free_text()))
    reviews, undos = data.draw(decisions(said))
    before = cluster(said, same, undos=undos, reviews=reviews)
    shuffled = said * 2
    random.shuffle(shuffled)
    assert cluster(shuffled, same, undos=undos, reviews=reviews[::-1]) == before
    held = {fact for fact, standing in before.items() if standing.kind == "quarantined"}
    assert not [s for f, s in before.items() if f not in held and s.canonical_id in held]


@given(data=st.data())
def test_an_undone_decision_was_never_made(data):
    said = data.draw(trusted(slots()))
    reviews, _ = data.draw(decisions(said))
    undos = [Undo(id=identity("undo", r.id), at=LATE, act_id=r.id) for r in reviews]
    assert fold_slot(said, reviews=reviews, undos=undos) == fold_slot(said)


@given(data=st.data(), stone=sweeps())
def test_a_sweeping_forgetting_takes_what_it_describes_and_nothing_else(data, stone):
    """What is of the source, and was recorded since, and said before; an undo brings it back."""
    said = data.draw(trusted(slots()))
    said = [replace(one, held=None) for one in said]
    gone = {
        one.fact_id
        for one in said
        if stone.origin in {None, one.origin}
        and (stone.since is None or one.recorded_at >= stone.since)
        and min(one.said_at, one.recorded_at) <= stone.at
    }
    folded = fold_slot(said, (), [stone])
    forgotten = {f for f, s in folded.standings.items() if s.kind == "forgotten"}
    assert forgotten == gone
    undo = Undo(id=identity("undo", stone.id), at=LATE, act_id=stone.id)
    assert fold_slot(said, (), [stone], undos=[undo]) == fold_slot(said)


@given(data=st.data(), known=times)
def test_an_approval_is_known_from_its_own_time_on(data, known):
    said = data.draw(trusted(slots()))
    after = [
        Review(
            id=identity("yes", o.held), at=known + timedelta(seconds=1), key=o.held, approved=True
        )
        for o in said
        if o.held
    ]
    assert fold_slot(said, known_at=known, reviews=after) == fold_slot(said, known_at=known)


def test_a_decision_names_words_and_messages_in_any_order():
    one, two = identity(1), identity(2)
    key = review_key("user", "Lives in Rome", "Rome", [one, two])
    assert key == review_key("user", "Lives in Rome", "Rome", [two, one])
    assert key != review_key("user", "Lives in Rome!", "Rome", [one, two])
    assert key != review_key("user", "Lives in Rome", "Rome", [one])
