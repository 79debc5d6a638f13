"""The laws of free text, for arbitrary facts and verdicts."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.beliefs import Tombstone, cluster, effective_said_at, rank_key
from tests.unit.beliefs.belief_strategies import MOMENTS, free_text, pairs_of_facts, times
from tests.unit.beliefs.belief_words import identity

everything = {"said": free_text(), "same": pairs_of_facts, "newer": pairs_of_facts}


@given(**everything, random=st.randoms(use_true_random=False))
def test_any_order_and_number_gives_the_same_clusters(said, same, newer, random):
    """Order, copies and which of a pair was named first change nothing."""
    before = cluster(said, same, supersedes=newer)
    said = said * 2
    same, newer = ([tuple(reversed(pair)) for pair in pairs] * 2 for pairs in (same, newer))
    for inputs in (said, same, newer):
        random.shuffle(inputs)
    assert cluster(said, same, supersedes=newer) == before


@given(**everything)
def test_complete_link_never_bridges(said, same, newer):
    """Any two facts of a cluster are duplicates of each other by verdict."""
    joined = {}
    for fact, standing in cluster(said, same, supersedes=newer).items():
        joined.setdefault(standing.canonical_id, set()).add(fact)
    verdicts = {frozenset(pair) for pair in same}
    for members in joined.values():
        assert all({a, b} in verdicts for a in members for b in members if a != b)


@given(**everything)
def test_the_canonical_fact_is_the_lowest_ranked(said, same, newer):
    """What is merged points to a fact said earlier, which is not merged itself."""
    rank = {o.fact_id: rank_key(o) for o in said}
    standings = cluster(said, same, supersedes=newer)
    assert set(standings) == set(rank)
    for fact, standing in standings.items():
        assert rank[standing.canonical_id] <= rank[fact]
        assert standings[standing.canonical_id].canonical_id == standing.canonical_id


@given(**everything)
def test_strangers_stand_alone(said, same, newer):
    """Without verdicts every fact is its own; with them evidence is only moved, never lost."""
    assert all(s.kind != "merged" for s in cluster(said, []).values())
    counted = [s for s in cluster(said, same, supersedes=newer).values() if s.kind != "merged"]
    plain = [s for s in counted if s.kind in {"belief", "plan"}]
    assert sum(s.evidence_count for s in plain) <= len(said)


@given(**everything, known=times)
def test_later_facts_do_not_change_what_was_known(said, same, newer, known):
    """Facts recorded after `known_at` change nothing there."""
    told = [o for o in said if o.recorded_at <= known]
    assert cluster(said, same, (), known, newer) == cluster(told, same, supersedes=newer)


@given(**everything, index=st.integers(0, 7))
def test_forgetting_is_never_having_heard(said, same, newer, index):
    """A forgotten sentence leaves the others as if it had not been said."""
    stone = Tombstone(
        id=identity(index),
        at=MOMENTS[-1] + timedelta(days=999),
        subject="user",
        value_key=["a", "b", "c"][index % 3],
    )
    left = [o for o in said if o.value_key != stone.value_key]
    standings = cluster(said, same, [stone], supersedes=newer)
    kept = {fact: s for fact, s in standings.items() if s.kind != "forgotten"}
    assert kept == cluster(left, same, supersedes=newer)


@given(**everything)
def test_only_what_is_said_later_closes(said, same, newer):
    """Without a later fact that supersedes it or ends it, an open fact stays open."""
    standings = cluster(said, same, supersedes=newer)
    last = max(said, key=rank_key, default=None)
    if last and last.temporal_state in {"current", "recurring"} and not last.ended_at:
        standing = standings[standings[last.fact_id].canonical_id]
        assert standing.valid[-1][1] is None


@given(**everything)
def test_stretches_are_ordered_and_begin_by_when_they_were_said(said, same, newer):
    """No stretch overlaps the next or begins in the future of what it rests on."""
    latest = max((effective_said_at(o) for o in said), default=None)
    for standing in cluster(said, same, supersedes=newer).values():
        ends = [bound for stretch in standing.valid for bound in stretch]
        assert ends == sorted(ends, key=lambda end: end or MOMENTS[-1] + timedelta(days=9999))
        assert all(start <= latest for start, _ in standing.valid)


@given(**everything)
def test_who_is_superseded_was_said_before(said, same, newer):
    """A successor outranks the first saying of what it closes, and a verdict names the two."""
    rank = {o.fact_id: rank_key(o) for o in said}
    standings = cluster(said, same, supersedes=newer)
    members = {}
    for fact, standing in standings.items():
        members.setdefault(standing.canonical_id, set()).add(fact)
    verdicts = {frozenset(pair) for pair in newer}
    for fact, standing in standings.items():
        if by := standing.superseded_by:
            pairs = [(a, b) for a in members[by] for b in members[fact]]
            assert any({a, b} in verdicts and rank[a] > rank[fact] for a, b in pairs)


@given(**everything)
def test_without_a_verdict_nobody_is_superseded(said, same, newer):
    """Duplicates alone never retire a fact."""
    assert all(s.superseded_by is None for s in cluster(said, same).values())
