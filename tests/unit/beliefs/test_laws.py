"""The laws of slots, for arbitrary inputs (HYPOTHESIS_PROFILE=nightly for many more of them)."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.beliefs import (
    Tombstone,
    believed_at,
    due_to_end,
    effective_said_at,
    fold_slot,
    planned_at,
    rank_key,
    status_at,
)
from tests.unit.beliefs.belief_strategies import (
    MOMENTS,
    correction,
    correction_lists,
    exact,
    observations,
    slots,
    times,
    tombstone_lists,
)
from tests.unit.beliefs.belief_words import holds, identity
from tests.unit.beliefs.naive_reading import NaiveReading

everything = {"said": slots(), "acts": correction_lists, "stones": tombstone_lists}
known = st.none() | times
LAST = holds("2030", "a", slot="slot", message="z")


def shown(timeline):
    """All that a timeline says, for comparison."""
    return (
        timeline.cardinality,
        timeline.intervals,
        timeline.recurring,
        timeline.plans,
        dict(timeline.standings),
    )


def values_at(timeline, moment):
    return [interval.value_key for interval in believed_at(timeline, moment)]


@given(**everything, known=known, random=st.randoms(use_true_random=False))
def test_any_order_gives_the_same_timeline(said, acts, stones, known, random):
    """What is believed does not depend on the order of arrival."""
    before = fold_slot(said, acts, stones, known)
    for inputs in (said, acts, stones):
        random.shuffle(inputs)
    assert shown(fold_slot(said, acts, stones, known)) == shown(before)


@given(**everything, known=known)
def test_any_number_of_deliveries_gives_the_same_timeline(said, acts, stones, known):
    """Delivered once, twice or again years later: the first arrival counts."""
    again = [replace(o, recorded_at=o.recorded_at + timedelta(days=999)) for o in said]
    twice = fold_slot([*again, *said], acts * 2, stones * 2, known)
    assert shown(twice) == shown(fold_slot(said, acts, stones, known))


@given(**everything, extra=slots(3), known=times)
def test_later_inputs_do_not_change_what_was_known(said, acts, stones, extra, known):
    """Except for tombstones, what arrives after `known_at` changes nothing there."""
    before = fold_slot(said, acts, stones, known)
    facts = {o.fact_id for o in said}
    late = [
        replace(o, recorded_at=known + timedelta(seconds=1), said_at=o.said_at)
        for o in extra
        if o.fact_id not in facts
    ]
    acts_later = [replace(act, id=identity(act), at=known + timedelta(seconds=1)) for act in acts]
    after = fold_slot([*said, *late], [*acts, *acts_later], stones, known)
    assert shown(after) == shown(before)


@given(**everything, known=times)
def test_known_at_is_the_fold_of_what_was_recorded(said, acts, stones, known):
    """Knowing less is the same as having been told less."""
    told = [o for o in said if o.recorded_at <= known]
    done = [act for act in acts if act.at <= known]
    assert shown(fold_slot(said, acts, stones, known)) == shown(fold_slot(told, done, stones))


@given(said=slots(10, cardinality="one"), acts=correction_lists, stones=tombstone_lists)
def test_a_slot_of_one_holds_one_value_at_a_time(said, acts, stones):
    """Intervals never overlap, and none is empty."""
    intervals = fold_slot(said, acts, stones).intervals
    for one, following in pairwise(intervals):
        assert one.valid_to is not None
        assert one.valid_to <= following.valid_from
    assert all(i.valid_to is None or i.valid_from < i.valid_to for i in intervals)


@given(**everything)
def test_equal_neighbours_are_one_interval(said, acts, stones):
    """Two intervals of one value never touch."""
    by_value = {}
    for interval in fold_slot(said, acts, stones).intervals:
        by_value.setdefault(interval.value_key, []).append(interval)
    for intervals in by_value.values():
        for one, following in pairwise(intervals):
            assert one.valid_to < following.valid_from


@given(**everything, known=known)
def test_evidence_is_given_and_of_the_value(said, acts, stones, known):
    """Every interval rests on inputs of its value, recorded by then, each once."""
    given_values = {o.fact_id: o.value_key for o in said if known is None or o.recorded_at <= known}
    given_values |= {act.id: act.value_key for act in acts if known is None or act.at <= known}
    timeline = fold_slot(said, acts, stones, known)
    for interval in (*timeline.intervals, *timeline.recurring):
        assert {given_values[fact] for fact in interval.evidence} == {interval.value_key}
        assert len(set(interval.evidence)) == len(interval.evidence)


@given(said=slots(), stones=tombstone_lists)
def test_the_canonical_fact_is_the_lowest_ranked(said, stones):
    """The evidence comes by rank, and its first stands for it."""
    by_id = {o.fact_id: o for o in said}
    for interval in fold_slot(said, (), stones).intervals:
        ranked = sorted((by_id[fact] for fact in interval.evidence), key=rank_key)
        assert interval.evidence == tuple(o.fact_id for o in ranked)
        assert interval.fact_id == interval.evidence[0]


@given(said=slots(8, cardinality="many"))
def test_values_of_a_slot_of_many_are_independent(said):
    """A value's timeline is the same without the other values' claims."""
    assume(not any(o.claim == "denies" and o.value_key for o in said))  # not X but Y joins two
    whole = fold_slot(said)
    for value in ("a", "b", "c"):
        alone = fold_slot([o for o in said if o.value_key in {None, value}])
        assert alone.intervals == tuple(i for i in whole.intervals if i.value_key == value)


@given(said=slots(), golf=observations(cardinality="many"))
def test_many_as_soon_as_any_observation_says_so(said, golf):
    """Rule 10, whichever arrives first."""
    others = [o for o in said if o.fact_id != golf.fact_id]
    assert fold_slot([golf, *others]).cardinality == "many"


@given(**everything, known=known, value=st.sampled_from(["a", "b", "c"]))
def test_what_was_forgotten_never_shows(said, acts, stones, known, value):
    """Nothing said no later than its tombstone shows, at any `known_at`."""
    at = MOMENTS[-1] + timedelta(days=1)
    stone = Tombstone(id=identity(value), at=at, subject="user", slot="slot", value_key=value)
    timeline = fold_slot(said, acts, [*stones, stone], known)
    shown_values = {
        i.value_key for i in (*timeline.intervals, *timeline.recurring, *timeline.plans)
    }
    assert value not in shown_values
    kinds = {
        timeline.standings[o.fact_id].kind
        for o in said
        if o.value_key == value and o.fact_id in timeline.standings
    }
    assert kinds <= {"forgotten"}


@given(said=slots(), stones=tombstone_lists)
def test_forgetting_is_never_having_heard(said, stones):
    """The timeline after a tombstone is that of the inputs it left."""
    timeline = fold_slot(said, (), stones)
    left = [o for o in said if timeline.standings[o.fact_id].kind != "forgotten"]
    alone = fold_slot(left)
    assert (timeline.intervals, timeline.plans) == (alone.intervals, alone.plans)


@given(**everything, known=known)
def test_folding_the_evidence_again_changes_nothing(said, acts, stones, known):
    """The fold is idempotent: with the inputs that it kept, it says the same."""
    once = fold_slot(said, acts, stones, known)
    kept = [o for o in said if o.fact_id in once.standings]
    assert shown(fold_slot(kept, acts, stones, known)) == shown(once)


@given(**everything)
def test_status_is_read_from_the_timeline(said, acts, stones):
    """At every moment exactly the canonical facts of what holds are current."""
    timeline = fold_slot(said, acts, stones)
    for moment in MOMENTS:
        held = [*believed_at(timeline, moment)]
        held += [
            i
            for i in timeline.recurring
            if i in believed_at(replace(timeline, intervals=timeline.recurring), moment)
        ]
        current = {
            f for f, s in timeline.standings.items() if status_at(s, "current", moment) == "current"
        }
        assert current == {interval.fact_id for interval in held}


@given(**everything)
def test_every_input_has_one_standing(said, acts, stones):
    """No fact is left without a row, and what is merged points to a belief or a plan."""
    standings = fold_slot(said, acts, stones).standings
    assert set(standings) == {o.fact_id for o in said} | {act.id for act in acts}
    for fact, standing in standings.items():
        assert (standing.canonical_id == fact) == (standing.kind != "merged")
        assert (
            standings[standing.canonical_id].kind in {"belief", "plan"} or standing.kind != "merged"
        )
        assert bool(standing.valid) == (standing.kind == "belief")
        assert standing.superseded_by is None or standing.superseded_by in standings


@given(said=slots(10, cardinality="one"))
def test_one_plan_stands_at_a_time(said):
    """In a slot of one; and a plan that stands is not believed at its own word."""
    timeline = fold_slot(said)
    for moment in MOMENTS:
        assert len(planned_at(timeline, moment)) <= 1


@given(said=slots(), moment=st.sampled_from(MOMENTS))
def test_plans_alone_are_never_believed(said, moment):
    """Without a claim that something holds, nothing does."""
    hopes = [o for o in said if o.temporal_state == "future" or o.claim != "holds"]
    assert values_at(fold_slot(hopes), moment) == []


@given(said=slots(cardinality="one"))
def test_announced_ends_close_nothing(said):
    """A future ending leaves every interval as it is."""
    without = [o for o in said if not (o.claim == "ends" and o.temporal_state == "future")]
    timeline = fold_slot(said)
    assert timeline.intervals == fold_slot(without).intervals
    for standing in timeline.standings.values():
        assert not (due_to_end(standing, MOMENTS[-1]) and standing.kind != "belief")


@given(said=slots(cardinality="one"), value=st.sampled_from(["a", "b"]), acts=correction_lists)
def test_the_last_word_holds_from_when_it_was_said(said, value, acts):
    """Whatever was said before, "I live in X now" is believed from then on."""
    now = MOMENTS[-1] + timedelta(days=3000)
    last = replace(
        LAST, value=value, value_key=value, said_at=now, recorded_at=now, cardinality="one"
    )
    timeline = fold_slot([*said, last], acts)
    assert values_at(timeline, now + timedelta(days=1)) == [value]


@given(said=slots(cardinality="one"), value=st.sampled_from(["d", "e"]))
def test_a_correction_wins_until_the_user_speaks(said, value):
    """Corrected last of all, the present is what the operator says."""
    here = replace(LAST, said_at=MOMENTS[-1], recorded_at=MOMENTS[-1])
    told = [*said, here]
    present = believed_at(fold_slot(told), MOMENTS[-1])[0]
    now = MOMENTS[-1] + timedelta(days=3000)
    act = correction(now, present.fact_id, value)
    timeline = fold_slot(told, [act])
    assert values_at(timeline, now) == [value]
    assert timeline.intervals[-1].valid_from <= present.valid_from


@given(said=slots(), since=times)
def test_denied_for_ever_is_never_believed(said, since):
    """What is denied last without dates holds nowhere."""
    now = MOMENTS[-1] + timedelta(days=3000)
    denial = replace(LAST, claim="denies", value="a", value_key="a", said_at=now, recorded_at=now)
    assert "a" not in {i.value_key for i in fold_slot([*said, denial]).intervals}


@given(said=slots(), lasts=st.sampled_from([timedelta(days=7), timedelta(days=300)]))
def test_what_lasts_is_over_some_time_after_it_was_said(said, lasts):
    """In a slot that lasts, nothing is open."""
    timeline = fold_slot(said, lasts=lasts)
    assert all(i.valid_to is not None for i in (*timeline.intervals, *timeline.recurring))
    open_claims = [effective_said_at(o) + lasts for o in said if o.ended_at is None]
    stated = [o.ended_at + timedelta(days=1100) for o in said if o.ended_at]
    assert all(i.valid_to <= max(open_claims + stated) for i in timeline.intervals)


@pytest.mark.parametrize("size", [3, 8])
@given(data=st.data())
def test_the_fold_agrees_with_a_plain_reading(size, data):
    """At every moment the fold says what the rules say when read aloud."""
    said = data.draw(slots(size, cardinality="one", **exact))
    denying = {o.message_key for o in said if o.claim == "denies"}
    said = [o for o in said if o.claim == "denies" or o.message_key not in denying]
    timeline, reading = fold_slot(said), NaiveReading(said)
    for moment in MOMENTS:
        expected = reading.believed(moment)
        assert values_at(timeline, moment) == ([expected] if expected else []), moment
