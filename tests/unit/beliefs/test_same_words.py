"""Corrections that change no statement, and corrected statements that come back in other words."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.beliefs import (
    Correction,
    OtherWords,
    Undo,
    cluster,
    effective_said_at,
    fold_slot,
    is_believed,
)
from tests.unit.beliefs.belief_strategies import (
    MOMENTS,
    correction,
    correction_lists,
    free_text,
    pairs_of_facts,
    slots,
    times,
    tombstone_lists,
)
from tests.unit.beliefs.belief_words import corrects, holds, identity, said

LATE = MOMENTS[-1] + timedelta(days=999)
everything = {"said": slots(), "acts": correction_lists, "stones": tombstone_lists}
DALLAS = holds("2018", "Dallas")


def believed(timeline):
    """What holds when, whichever facts it rests on."""
    intervals = [(i.value_key, i.valid_from, i.valid_to) for i in timeline.intervals]
    recurring = [(i.value_key, i.valid_from, i.valid_to) for i in timeline.recurring]
    plans = sorted((p.value_key or "", p.day, p.since, p.until) for p in timeline.plans if p.day)
    return timeline.cardinality, intervals, recurring, plans


def rewords(target, value, at=LATE):
    """An operator's other words for the same value."""
    act = correction(at, target, value)
    return replace(act, id=identity("reworded", target), old_value_key=value)


# ---- corrections that change no statement


@given(**everything, index=st.integers(0, 99))
def test_the_same_value_in_other_words_changes_nothing_that_is_believed(said, acts, stones, index):
    """Whatever the corrected fact's standing is, and whatever was corrected before."""
    assume(said)
    target = said[index % len(said)]
    before = fold_slot(said, acts, stones)
    assume(before.standings[target.fact_id].kind != "forgotten")
    act = rewords(target.fact_id, target.value)
    after = fold_slot(said, [*acts, act], stones)
    assert believed(after) == believed(before)


@given(**everything, index=st.integers(0, 99), value=st.sampled_from(["a", "b", "d"]))
def test_other_words_do_not_stand_in_the_way_of_a_correction(said, acts, stones, index, value):
    """A fact that was reworded first is corrected as if it had not been."""
    assume(said)
    target = said[index % len(said)]
    assume(fold_slot(said, acts, stones).standings[target.fact_id].kind != "forgotten")
    last = replace(
        correction(LATE + timedelta(days=1), target.fact_id, value), old_value_key=target.value_key
    )
    plain = fold_slot(said, [*acts, last], stones)
    reworded = fold_slot(said, [*acts, rewords(target.fact_id, target.value), last], stones)
    assert believed(reworded) == believed(plain)


def test_what_was_corrected_away_is_not_believed_again_in_other_words():
    """Dallas was wrong; spelling it better does not make it right."""
    wrong = corrects("2022", DALLAS.fact_id, "Austin")
    spelt = replace(corrects("2024", DALLAS.fact_id, "DALLAS"), old_value_key="dallas")
    timeline = fold_slot([DALLAS], [wrong, spelt])
    assert [i.value for i in timeline.intervals] == ["Austin"]
    assert timeline.standings[spelt.id].kind == "retired"
    assert fold_slot([], [replace(spelt, valid_from=None)]).intervals == ()


def test_other_words_stand_where_the_fact_stood():
    """The new wording is what is shown, for exactly as long as the old one held."""
    boston = holds("2020", "Boston")
    act = corrects("2024", DALLAS.fact_id, "DALLAS")
    standings = fold_slot([DALLAS, boston], [act]).standings
    assert standings[act.id].valid == ((said("2018"), said("2020")),)
    assert standings[DALLAS.fact_id].kind == "retired"
    assert standings[DALLAS.fact_id].superseded_by == act.id


# ---- other words for what a correction replaced


def in_other_words(act, value, at=None, slot="slot"):
    return OtherWords(
        id=identity("words", act.id, value),
        at=at or act.at,
        act_id=act.id,
        subject="user",
        slot=slot,
        value_key=value,
    )


@st.composite
def worded(draw, slot="slot"):
    """Corrections, other words for what they replaced, and undos of some corrections."""
    acts = draw(correction_lists)
    values = st.sampled_from(["a", "b", "c"])
    words = [in_other_words(act, draw(values), slot=slot) for act in acts if draw(st.booleans())]
    undone = [act for act in acts if draw(st.integers(0, 3)) == 0]
    named = {act.id for act in undone}
    parts = [*undone, *(one for one in words if one.act_id in named)]
    undos = [Undo(id=identity("undo", one.id), at=LATE, act_id=one.id) for one in parts]
    return acts, words, undos


@given(
    said=slots(),
    inputs=worded(),
    known=st.none() | times,
    random=st.randoms(use_true_random=False),
)
def test_neither_order_nor_repetition_of_other_words_matters(said, inputs, known, random):
    acts, words, undos = inputs
    before = fold_slot(said, acts, (), known, undos=undos, other_words=words)
    words = words * 2
    random.shuffle(words)
    assert fold_slot(said, acts, (), known, undos=undos, other_words=words) == before


@given(said=slots(), inputs=worded())
def test_what_other_words_name_rests_on_later_statements_alone(said, inputs):
    """Said no later than the correction, it is no evidence of anything; nor is it forgotten."""
    acts, words, _ = inputs
    timeline = fold_slot(said, acts, other_words=words)
    stopped = {
        o.fact_id
        for o in said
        for one in words
        if o.value_key == one.value_key and effective_said_at(o) <= one.at
    }
    assert not stopped & {fact for i in timeline.intervals for fact in i.evidence}
    assert {timeline.standings[fact].kind for fact in stopped} <= {"retired"}


@given(said=slots(), inputs=worded(), known=times)
def test_before_the_correction_its_other_words_were_believed(said, inputs, known):
    """Unlike what was forgotten, what was corrected later was known before."""
    acts, words, _ = inputs
    later = [one for one in words if one.at > known]
    plain = fold_slot(said, acts, (), known)
    assert fold_slot(said, acts, (), known, other_words=later) == plain


@given(said=slots(), inputs=worded())
def test_other_words_go_with_the_correction_that_was_undone(said, inputs):
    acts, words, undos = inputs
    undone = {undo.act_id for undo in undos}
    left = [one for one in words if one.id not in undone]
    with_all = fold_slot(said, acts, undos=undos, other_words=words)
    assert with_all == fold_slot(said, acts, undos=undos, other_words=left)


@given(said=free_text(), same=pairs_of_facts, inputs=worded(slot=None), known=st.none() | times)
def test_sentences_in_other_words_hold_nowhere(said, same, inputs, known):
    """Nor does what duplicates them fall with them; a later statement counts."""
    acts, words, undos = inputs
    made = [replace(act, slot=None) for act in acts]
    standings = cluster(said, same, (), known, (), made, undos, words)
    assert set(standings) == {o.fact_id for o in said if known is None or o.recorded_at <= known}
    undone = {undo.act_id for undo in undos} if known is None else set()
    for one in words:
        if one.id in undone or (known is not None and one.at > known):
            continue
        for o in said:
            if o.value_key == one.value_key and effective_said_at(o) <= one.at:
                assert o.fact_id not in standings or standings[o.fact_id].kind == "retired"


def test_a_sentence_in_other_words_says_what_took_its_place():
    jazz = holds("2020", "Is fond of jazz", slot=None)
    blues = replace(holds("2022", "Loves blues", slot=None), source_message_ids=())
    act = Correction(
        id=blues.fact_id,
        at=said("2022"),
        fact_id=identity("gone"),
        subject="user",
        slot=None,
        value=None,
        value_key="loves blues",
        old_value_key="loves jazz",
    )
    words = in_other_words(act, "is fond of jazz", slot=None)
    standings = cluster([jazz, blues], [], corrections=[act], other_words=[words])
    assert standings[jazz.fact_id].superseded_by == act.id
    again = replace(holds("2024", "Is fond of jazz", slot=None), message_key="m99")
    told = cluster([jazz, blues, again], [], corrections=[act], other_words=[words])
    assert is_believed(told[again.fact_id], said("2025"))
