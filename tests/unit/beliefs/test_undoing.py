"""Acts that were taken back: as if never made, and still what was believed in between."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.beliefs import Correction, Tombstone, Undo, cluster, fold_slot
from tests.unit.beliefs.belief_strategies import (
    MOMENTS,
    acts,
    correction_lists,
    free_text,
    observations,
    pairs_of_facts,
    slots,
    stones,
    times,
    tombstone_lists,
)
from tests.unit.beliefs.belief_words import asked, corrects, forgets, holds, identity, said

LATE = MOMENTS[-1] + timedelta(days=999)
known = st.none() | times


def undo(act, at=LATE):
    return Undo(id=identity("undo", act.id, at), at=at, act_id=act.id)


def shown(timeline, without=()):
    """All that a timeline says but the standings of some acts."""
    standings = {f: s for f, s in timeline.standings.items() if f not in without}
    return (
        timeline.cardinality,
        timeline.intervals,
        timeline.recurring,
        timeline.plans,
        standings,
    )


@st.composite
def histories(draw):
    """Acts, and undos of some of them, once or more often, perhaps before they were made."""
    made, forgot = draw(correction_lists), draw(tombstone_lists)
    everything = [*made, *forgot]
    undone = draw(st.lists(st.sampled_from(everything), max_size=3)) if everything else []
    return made, forgot, [undo(act, draw(times)) for act in undone]


@given(said=slots(), history=histories(), act=acts())
def test_a_correction_undone_was_never_made(said, history, act):
    """Asked now, nothing is left of it but its own fact, which holds nowhere."""
    made, forgot, undos = history
    made = [other for other in made if other.id != act.id]
    before = fold_slot(said, made, forgot, undos=undos)
    after = fold_slot(said, [*made, act], forgot, undos=[*undos, undo(act)])
    assert shown(after, {act.id}) == shown(before, {act.id})
    assert after.standings[act.id].kind == "forgotten"


@given(said=slots(), history=histories(), stone=stones())
def test_a_tombstone_undone_was_never_set(said, history, stone):
    """Asked now, everything it stopped counts again."""
    made, forgot, undos = history
    forgot = [other for other in forgot if other.id != stone.id]
    before = fold_slot(said, made, forgot, undos=undos)
    after = fold_slot(said, made, [*forgot, stone], undos=[*undos, undo(stone)])
    assert shown(after) == shown(before)


@given(said=slots(), history=histories(), known=known, random=st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_acts_matters(said, history, known, random):
    """The same acts and undos, twice and shuffled, come to the same."""
    made, forgot, undos = history
    before = fold_slot(said, made, forgot, known, undos=undos)
    doubled = [inputs * 2 for inputs in (made, forgot, undos)]
    for inputs in doubled:
        random.shuffle(inputs)
    after = fold_slot(said, doubled[0], doubled[1], known, undos=doubled[2])
    assert shown(after) == shown(before)


@given(said=slots(), made=correction_lists, forgot=tombstone_lists, known=times)
def test_what_is_undone_later_is_still_what_was_known(said, made, forgot, known):
    """Between an act and its undo the act counts."""
    made = [act for act in made if act.at <= known]
    forgot = [stone for stone in forgot if stone.at <= known]
    undos = [undo(act, known + timedelta(seconds=1)) for act in (*made, *forgot)]
    after = fold_slot(said, made, forgot, known, undos=undos)
    assert shown(after) == shown(fold_slot(said, made, forgot, known))


@given(said=slots(), forgot=tombstone_lists, known=times)
def test_a_deletion_undone_hides_nothing_from_before(said, forgot, known):
    """What was known before the deletion is known again once it is taken back."""
    after_it = [stone for stone in forgot if stone.at > known]
    undos = [undo(stone) for stone in after_it]
    assert shown(fold_slot(said, (), after_it, known, undos=undos)) == shown(
        fold_slot(said, (), (), known)
    )


def test_several_erasures_together_stop_what_rests_on_all():
    """A fact rests on two messages: forgetting one leaves it, forgetting both does not."""
    both = replace(holds("2020", "Rome"), source_message_ids=(identity("m1"), identity("m2")))

    def erased(message):
        return Tombstone(id=identity(message), at=said("2021"), source_message_ids=(message,))

    stones = [erased(message) for message in both.source_message_ids]
    for few in ((), stones[:1], stones[1:]):
        assert fold_slot([both], (), few).standings[both.fact_id].kind == "belief"
    assert fold_slot([both], (), stones).standings[both.fact_id].kind == "forgotten"


def test_a_stone_for_what_has_no_value_stops_that_alone():
    """ "We divorced" is forgotten; what else the message said stays."""
    married = holds("2015", "Ana", slot="partner")
    divorced = holds("2022", None, slot="partner", claim="ends")
    other = holds(
        "2022", "Bea", slot="partner", state="past", since="2010", until="2011", ordinal=1
    )
    stone = Tombstone(
        id=identity("stone"),
        at=said("2023"),
        source_message_ids=divorced.source_message_ids,
        subject="user",
        slot="partner",
    )
    standings = fold_slot([married, divorced, other], (), [stone]).standings
    assert standings[divorced.fact_id].kind == "forgotten"
    assert standings[other.fact_id].kind == "belief"
    assert standings[married.fact_id].valid[-1][1] is None


def test_a_second_correction_in_a_slot_of_many_replaces_the_first():
    """Rex, corrected to Max and then to Bax, is Bax alone; Milo stays."""
    rex, milo = holds("2020", "Rex", slot="pet", many=True), holds("2020", "Milo", many=True)
    milo = replace(milo, slot="pet")
    acts = [
        corrects("2021", rex.fact_id, "Max", "pet"),
        corrects("2022", rex.fact_id, "Bax", "pet"),
    ]
    for order in (acts, acts[::-1]):
        values = {i.value for i in fold_slot([rex, milo], order).intervals}
        assert values == {"Bax", "Milo"}


def test_corrections_alone_keep_their_slot_of_many():
    """Where the corrected facts are gone, two corrected pets are still two."""
    acts = [
        replace(corrects(year, identity(year), name, "pet"), cardinality="many")
        for year, name in (("2021", "Max"), ("2022", "Bax"))
    ]
    timeline = fold_slot([], acts)
    assert (timeline.cardinality, len(timeline.intervals)) == ("many", 2)


def test_relabelled_facts_point_to_what_took_their_place():
    """The same value said by an operator: the old fact is retired, and says by what."""
    dallas = holds("2020", "Dallas")
    act = corrects("2022", dallas.fact_id, "Dallas")
    standings = fold_slot([dallas], [act]).standings
    assert standings[dallas.fact_id].superseded_by == act.id
    assert standings[act.id].valid == ((said("2020"), None),)


# ---- free text


def rewords(when, target, text, old=None) -> tuple[Correction, object]:
    """An operator's correction of a sentence, and the observation that it makes."""
    act = Correction(
        id=identity("act", when, text),
        at=said(when),
        fact_id=target,
        subject="user",
        slot=None,
        value=None,
        value_key=text.lower(),
        old_value_key=old,
    )
    made = replace(holds(when, text, slot=None, message=f"a:{act.id}"), fact_id=act.id)
    return act, replace(made, source_message_ids=())


TEA, TEA_AGAIN = holds("2020", "Likes tea", slot=None), holds("2024", "Likes tea!", slot=None)


def test_a_corrected_sentence_replaces_the_old_one_from_its_beginning():
    """The old one is retired by the new one; known before, it was believed."""
    act, made = rewords("2022", TEA.fact_id, "Likes tee")
    standings = cluster([TEA, made], [], corrections=[act])
    assert (standings[TEA.fact_id].kind, standings[TEA.fact_id].superseded_by) == (
        "retired",
        act.id,
    )
    assert standings[act.id].valid == ((said("2020"), None),)
    before = cluster([TEA, made], [], (), asked("2021"), corrections=[act])
    assert set(before) == {TEA.fact_id}
    assert before[TEA.fact_id].kind == "belief"


def test_a_duplicate_of_what_it_corrects_does_not_swallow_the_correction():
    """However alike the two sentences are, the new one stands alone; a later one joins it."""
    act, made = rewords("2022", TEA.fact_id, "Likes tea, iced")
    pairs = [(TEA.fact_id, act.id), (TEA.fact_id, TEA_AGAIN.fact_id), (act.id, TEA_AGAIN.fact_id)]
    standings = cluster([TEA, made, TEA_AGAIN], pairs, corrections=[act])
    assert standings[TEA.fact_id].kind == "retired"
    assert standings[TEA_AGAIN.fact_id].canonical_id == act.id


def test_a_later_statement_of_the_old_sentence_counts_again():
    act, made = rewords("2022", TEA.fact_id, "Likes tee", old="likes tea")
    again = replace(holds("2024", "Likes tea", slot=None), subject="user")
    imported = holds("2021", "Likes tea", slot=None)
    standings = cluster([TEA, made, again, imported], [], corrections=[act])
    assert standings[again.fact_id].valid == ((said("2024"), None),)
    assert standings[imported.fact_id].superseded_by == act.id


def test_deleting_the_new_sentence_leaves_the_old_one_retired():
    act, made = rewords("2022", TEA.fact_id, "Likes tee")
    stone = forgets("2023", "Likes tee", slot=None)
    standings = cluster([TEA, made], [], [stone], corrections=[act])
    assert {s.kind for s in standings.values()} == {"retired", "forgotten"}
    assert standings[TEA.fact_id].superseded_by is None


sentences = {"said": free_text(), "same": pairs_of_facts, "newer": pairs_of_facts}


@st.composite
def reworded(draw):
    """Corrections of sentences, with the observations they make, and undos of some."""
    made, facts = [], []
    for number in range(draw(st.integers(0, 3))):
        target = draw(
            st.builds(identity, st.integers(1, 12), st.integers(0, 2))
            | st.sampled_from([act.id for act in made] or [identity("none")])
        )
        at, value = draw(times), draw(st.sampled_from(["a", "b", "d"]))
        act = Correction(
            id=identity("act", number, at),
            at=at,
            fact_id=target,
            subject="user",
            slot=None,
            value=None,
            value_key=value,
            old_value_key=draw(st.sampled_from([None, "a", "b"])),
        )
        fact = replace(
            draw(observations(states=st.just("current"), claims=st.just("holds"))),
            fact_id=act.id,
            slot=None,
            value_key=value,
            said_at=at,
            recorded_at=at,
            message_key=f"a:{act.id}",
            source_message_ids=(),
        )
        made, facts = [*made, act], [*facts, fact]
    undone = draw(st.lists(st.sampled_from(made), max_size=2)) if made else []
    return made, facts, [undo(act, draw(times)) for act in undone]


@given(
    **sentences,
    rewordings=reworded(),
    stones=tombstone_lists,
    known=known,
    random=st.randoms(use_true_random=False),
)
def test_clusters_depend_on_no_order_and_no_repetition(
    said, same, newer, rewordings, stones, known, random
):
    acts, facts, undos = rewordings
    inputs = [[*said, *facts] * 2, same * 2, stones * 2, newer * 2, acts * 2, undos * 2]

    def clustered():
        observed, pairs, forgot, supersedes, corrections, undone = inputs
        return cluster(observed, pairs, forgot, known, supersedes, corrections, undone)

    before = clustered()
    for part in inputs:
        random.shuffle(part)
    assert clustered() == before
    told = {o.fact_id for o in inputs[0] if known is None or o.recorded_at <= known}
    assert set(before) == told


@given(**sentences, rewordings=reworded(), stones=tombstone_lists)
def test_sentences_corrected_and_restored_are_as_before(said, same, newer, rewordings, stones):
    """With every correction undone, nothing is left of them."""
    acts, facts, _ = rewordings
    undos = [undo(act) for act in acts]
    after = cluster([*said, *facts], same, stones, None, newer, acts, undos)
    before = cluster(said, same, stones, supersedes=newer)
    corrected = {act.id for act in acts}
    assert {f: s for f, s in after.items() if f not in corrected} == before
    assert {after[act].kind for act in corrected} <= {"forgotten"}


@given(**sentences, rewordings=reworded())
def test_every_sentence_has_a_standing_that_is_shown(said, same, newer, rewordings):
    acts, facts, undos = rewordings
    standings = cluster([*said, *facts], same, (), None, newer, acts, undos)
    for fact, standing in standings.items():
        assert (standing.canonical_id == fact) == (standing.kind != "merged")
        assert standings[standing.canonical_id].kind != "merged"
        assert standing.superseded_by is None or standing.superseded_by in standings
        assert bool(standing.valid) == (standing.kind == "belief")


@given(said=free_text(), text=st.sampled_from(["x", "y"]))
def test_the_last_correction_of_a_sentence_is_believed(said, text):
    """Corrected last of all, the new sentence holds and the old one nowhere."""
    if not said:
        return
    target = max(said, key=lambda o: o.recorded_at)
    act = Correction(
        id=identity("last"),
        at=LATE,
        fact_id=target.fact_id,
        subject="user",
        slot=None,
        value=None,
        value_key=text,
        old_value_key=target.value_key,
    )
    made = replace(
        target,
        fact_id=act.id,
        value_key=text,
        said_at=LATE,
        recorded_at=LATE,
        temporal_state="current",
        ended_at=None,
        ended_precision=None,
        message_key="z",
        source_message_ids=(),
    )
    standings = cluster([*said, made], [], corrections=[act])
    assert standings[act.id].valid[-1][1] is None
    assert standings[target.fact_id].kind == "retired"
    assert standings[target.fact_id].superseded_by == act.id
