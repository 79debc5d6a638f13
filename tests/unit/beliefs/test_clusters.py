"""Free text: what is one memory, what closes it, and that no bridge joins strangers."""

from itertools import permutations

import pytest

from shared.beliefs import Tombstone, cluster, status_at
from tests.unit.beliefs.belief_words import asked, forgets, holds, identity, said


def sentence(when, text, since=None, until=None, **more):
    """A free-text fact; its `value_key` is the key of its content."""
    return holds(when, text, since, until, slot=None, **more)


TEA, TEA_AGAIN = sentence("2020", "Drinks tea"), sentence("2021", "Is a tea drinker")
COFFEE = sentence("2022", "Gave up tea for coffee")


def pair(left, right):
    return left.fact_id, right.fact_id


def test_duplicates_are_one_memory():
    """The first said stands for both, since the first said."""
    standings = cluster([TEA_AGAIN, TEA], {pair(TEA_AGAIN, TEA)})
    assert standings[TEA.fact_id].valid == ((said("2020"), None),)
    assert standings[TEA.fact_id].evidence_count == 2
    assert standings[TEA_AGAIN.fact_id].canonical_id == TEA.fact_id


def test_no_bridge_joins_strangers():
    """B resembles A and C, which are strangers: B is with A, C alone, in any order."""
    a, b, c = (sentence(year, year) for year in ("2020", "2021", "2022"))
    for order in permutations([a, b, c]):
        standings = cluster(order, [pair(a, b), pair(c, b)])
        assert standings[b.fact_id].canonical_id == a.fact_id
        assert standings[c.fact_id].kind == "belief"


def test_the_first_complete_cluster_takes_it():
    """Of two strangers that both say the same as a third, the earlier takes it."""
    a, b, c = (sentence(year, year) for year in ("2020", "2021", "2022"))
    standings = cluster([c, b, a], [pair(c, a), pair(c, b)])
    assert standings[c.fact_id].canonical_id == a.fact_id


def test_what_supersedes_closes_where_it_starts():
    """Coffee closes both ways of saying tea."""
    standings = cluster(
        [TEA, TEA_AGAIN, COFFEE], [pair(TEA, TEA_AGAIN)], supersedes=[pair(COFFEE, TEA)]
    )
    assert standings[TEA.fact_id].valid == ((said("2020"), said("2022")),)
    assert standings[TEA.fact_id].superseded_by == COFFEE.fact_id
    assert standings[COFFEE.fact_id].superseded_by is None


def test_saying_it_again_brings_it_back():
    """Tea, coffee, tea again: believed twice."""
    back = sentence("2024", "Drinks tea again")
    standings = cluster([TEA, COFFEE, back], [pair(TEA, back)], supersedes=[pair(COFFEE, TEA)])
    assert standings[TEA.fact_id].valid == ((said("2020"), said("2022")), (said("2024"), None))
    assert standings[TEA.fact_id].superseded_by is None


def test_what_starts_earlier_supersedes_entirely():
    """Coffee "since 2019" leaves nothing of tea said in 2020."""
    coffee = sentence("2022", "Coffee since 2019", since="2019")
    standing = cluster([TEA, coffee], [], supersedes=[pair(coffee, TEA)])[TEA.fact_id]
    assert (standing.kind, standing.valid, standing.superseded_by) == (
        "retired",
        (),
        coffee.fact_id,
    )


def test_the_one_said_later_supersedes():
    """Whichever way round a pair is named; about itself or about strangers it changes nothing."""
    named = [pair(COFFEE, TEA), pair(TEA, COFFEE)]
    first, second = (cluster([TEA, COFFEE], [], supersedes=[one]) for one in named)
    assert first == second
    assert first[TEA.fact_id].superseded_by == COFFEE.fact_id
    nothing = [pair(TEA, TEA), (identity("stranger"), TEA.fact_id)]
    assert cluster([TEA, COFFEE], [], supersedes=nothing) == cluster([TEA, COFFEE], [])


def test_a_later_end_closes_the_earlier_saying():
    """ "Until 2023" ends what was said without an end."""
    until_2023 = sentence("2022", "Drinks tea until 2023", until="2023")
    standings = cluster([TEA, until_2023], [pair(TEA, until_2023)])
    assert standings[TEA.fact_id].valid == (
        (said("2020"), asked("2023").replace(month=1, day=1, hour=0)),
    )


@pytest.mark.parametrize(
    ("since", "until", "true_from"),
    [("2015", "2017", 2016), ("2015", None, 2016), (None, None, 2025), (None, "2018", 2019)],
)
def test_bygones_stay_true(since, until, true_from):
    """What is said in the past tense holds from its beginning on, and never stops being true."""
    bygone = sentence("2024", "Smoked", since, until, state="past")
    standing = cluster([bygone], [])[bygone.fact_id]
    years = [
        y for y in range(2010, 2030) if status_at(standing, "past", asked(str(y))) == "current"
    ]
    assert standing.kind == "belief"
    assert set(range(true_from, 2030)) <= set(years)
    assert 2010 not in years


def test_future_free_text_is_a_plan():
    """Planned until its day, then due; a fact never joins it; what supersedes it retires it."""
    trip = sentence("2024", "Will visit Japan", since="2025", state="future")
    went = sentence("2026", "Visited Japan")
    standing = cluster([trip, went], [pair(trip, went)])[trip.fact_id]
    assert [status_at(standing, "future", asked(y)) for y in ("2023", "2024", "2026")] == [
        "past",
        "planned",
        "due",
    ]
    retired = cluster([trip, went], [], supersedes=[pair(went, trip)])[trip.fact_id]
    assert (retired.kind, retired.superseded_by) == ("retired", went.fact_id)


def test_a_plan_closes_nothing_and_falls_only_to_later_facts():
    """Planning to give up tea is not giving it up, and what was said before retires no plan."""
    plan = sentence("2022", "Will give up tea", state="future")
    standings = cluster([TEA, plan], [], supersedes=[pair(plan, TEA), pair(TEA, plan)])
    assert standings[TEA.fact_id].valid == ((said("2020"), None),)
    assert standings[plan.fact_id].kind == "plan"


def test_two_subjects_never_merge():
    """Sara's tea is not the user's."""
    sara = sentence("2021", "Drinks tea", subject="Sara")
    assert cluster([TEA, sara], [pair(TEA, sara)])[sara.fact_id].kind == "belief"


def test_forgetting_a_sentence_or_its_message():
    """The content's key or the message stops it; what else rests on that message alone goes too."""
    for stone in (
        forgets("2023", "Drinks tea", slot=None),
        Tombstone(id=identity(1), at=said("2023"), source_message_ids=TEA.source_message_ids),
    ):
        standings = cluster([TEA, TEA_AGAIN], [pair(TEA, TEA_AGAIN)], [stone])
        assert standings[TEA.fact_id].kind == "forgotten"
        assert standings[TEA_AGAIN.fact_id].kind == "belief"


def test_only_what_was_recorded_is_clustered():
    """Before the second saying arrived there was one fact."""
    standings = cluster([TEA, TEA_AGAIN], [pair(TEA, TEA_AGAIN)], known_at=asked("2020"))
    assert set(standings) == {TEA.fact_id}
