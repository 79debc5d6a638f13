"""What each fact's row is told: kind, canonical fact, stretches, plans and successors."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.beliefs import (
    Tombstone,
    due_to_end,
    ending_at,
    plan_status_at,
    rank_key,
    recurring_at,
    status_at,
)
from shared.beliefs.moments import FOREVER, unit_end
from tests.unit.beliefs.belief_words import (
    Told,
    asked,
    corrects,
    dated,
    denies,
    ends,
    fold,
    forgets,
    holds,
    identity,
    past,
    plans,
    recurring,
    redelivered,
    said,
)

SF, DALLAS = holds("2018", "SF"), holds("2020", "Dallas")
GOOGLE, LEAVING = holds("2023", "Google"), ends("2026-05-02", "Google", "2026-06", state="future")
PLAN = plans("2026-05-02", "Dallas", "2026-06")


def standing_of(fact, *inputs, **more):
    """The standing of one of the inputs after all of them."""
    return Told(inputs).timeline(**more).standings[fact.fact_id]


def status_of(fact, when, *inputs):
    return status_at(standing_of(fact, *inputs), fact.temporal_state, asked(when))


def test_a_succeeded_belief_knows_its_successor():
    """San Francisco held until Dallas began, and is superseded by it."""
    standing = standing_of(SF, SF, DALLAS)
    assert standing.kind == "belief"
    assert standing.valid == ((said("2018"), said("2020")),)
    assert standing.superseded_by == DALLAS.fact_id


def test_the_successor_shown_is_canonical():
    """What a restatement began is credited to the fact that stands for it."""
    since_2019 = holds("2026", "Dallas", since="2019")
    assert standing_of(SF, SF, DALLAS, since_2019).superseded_by == DALLAS.fact_id


def test_equal_values_merge_into_the_first_said():
    """The lowest-ranked fact is canonical; the others are its evidence."""
    again = holds("2021", "Dallas")
    assert standing_of(DALLAS, again, DALLAS).evidence_count == 2
    merged = standing_of(again, again, DALLAS)
    assert (merged.kind, merged.canonical_id, merged.valid) == ("merged", DALLAS.fact_id, ())
    assert status_of(again, "2022", again, DALLAS) == "merged"


def test_a_visit_splits_the_home():
    """In Paris until Sunday: San Francisco before and after, and nobody superseded Paris."""
    paris = holds("2026-05-04", "Paris", until="2026-05-11")
    home = standing_of(SF, SF, paris)
    assert home.valid == ((said("2018"), said("2026-05-04")), (dated("2026-05-11"), None))
    assert home.superseded_by is None
    assert standing_of(paris, SF, paris).superseded_by is None
    assert [status_of(SF, day, SF, paris) for day in ("2026-05-01", "2026-05-06", "2026-06")] == [
        "current",
        "past",
        "current",
    ]


@pytest.mark.parametrize(
    ("fact", "others"),
    [
        (ends("2024", "Dallas"), [DALLAS]),
        (denies("2024", "Dallas"), [DALLAS]),
        (holds("2020", "Meta"), [denies("2024", "Meta")]),
        (past("2024", "Boston"), []),
        (holds("2024", None), []),
        (PLAN, [denies("2026-05-10", "Dallas", state="future")]),
        (ends("2024", "Dallas", state="future"), []),
        (denies("2024", state="future"), []),
        (past("2020", "Boston", "2015"), [holds("2024", "SF", since="2010")]),
    ],
)
def test_what_holds_nowhere_is_retired_and_past(fact, others):
    """Endings, denials, the denied, the empty and fallen plans are past, and stay visible."""
    standing = standing_of(fact, fact, *others)
    assert (standing.kind, standing.canonical_id, standing.valid) == ("retired", fact.fact_id, ())
    assert status_of(fact, "2030", fact, *others) == "past"


def test_a_hidden_claim_names_what_hides_it():
    """What never came to hold is superseded by what held where it would have begun."""
    boston, since_2010 = past("2020", "Boston", "2015"), holds("2024", "SF", since="2010")
    assert standing_of(boston, boston, since_2010).superseded_by == since_2010.fact_id


def test_a_bygone_is_current_only_within_its_dates():
    """Boston in 2015: believed for 2015, past ever since."""
    boston = past("2026", "Boston", "2015")
    assert [status_of(boston, year, boston) for year in ("2014", "2015", "2016")] == [
        "past",
        "current",
        "past",
    ]


def test_a_plan_is_planned_then_due():
    """Before its day planned, from then on due; before it was announced nothing."""
    days = {"2026-04": "past", "2026-05-15": "planned", "2026-06": "due", "2030": "due"}
    assert {day: status_of(PLAN, day, SF, PLAN) for day in days} == days
    assert standing_of(PLAN, SF, PLAN).planned_for == dated("2026-06")


def test_a_plan_said_twice_is_one_plan():
    """The first said stands for both, with the day said last."""
    again = plans("2026-05-20", "Dallas", "2026-10")
    standing = standing_of(PLAN, PLAN, again)
    assert (standing.kind, standing.evidence_count) == ("plan", 2)
    assert standing.planned_for == dated("2026-10")
    assert standing_of(again, PLAN, again).canonical_id == PLAN.fact_id


def test_a_confirmed_plan_is_superseded_by_its_confirmation():
    """The plan has done its work; the belief takes over."""
    here = holds("2026-09", "Dallas")
    standing = standing_of(PLAN, PLAN, here)
    assert (standing.kind, standing.superseded_by) == ("retired", here.fact_id)
    assert standing_of(here, PLAN, here).valid == ((dated("2026-06"), None),)


def test_a_confirmation_in_time_begins_when_said():
    """Already in Dallas in May, although June was planned."""
    here = holds("2026-05-20", "Dallas")
    assert standing_of(here, PLAN, here).valid == ((said("2026-05-20"), None),)


def test_an_announced_end_keeps_the_belief():
    """Leaving in June: Google stays current and is due to end from June on."""
    told = [GOOGLE, LEAVING]
    standing = standing_of(GOOGLE, *told)
    assert standing.planned_for == dated("2026-06")
    assert [due_to_end(standing, asked(day)) for day in ("2026-05-15", "2026-08")] == [False, True]
    assert status_of(GOOGLE, "2026-08", *told) == "current"
    (end,) = ending_at(Told(told).timeline(), asked("2026-08"))
    assert (end.belief_id, plan_status_at(end, asked("2026-08"))) == (GOOGLE.fact_id, "due")


@pytest.mark.parametrize(
    "then",
    [
        holds("2026-09", "Google"),
        denies("2026-05-20", "Google", state="future"),
        ends("2026-06", "Google"),
        holds("2026-06", "Apple"),
    ],
)
def test_an_announced_end_does_not_stand_for_ever(then):
    """Said again after June, called off, or really over: no longer due to end."""
    told = [GOOGLE, LEAVING, then]
    assert ending_at(Told(told).timeline(), asked("2026-10")) == ()
    assert standing_of(GOOGLE, *told).planned_for is None


def test_the_latest_announced_end_stands():
    """Leaving in June, no, in October."""
    later = ends("2026-05-20", None, "2026-10", state="future")
    assert standing_of(GOOGLE, GOOGLE, LEAVING, later).planned_for == dated("2026-10")


def test_what_was_said_before_the_day_leaves_the_announced_end():
    """Still at Google in May, and leaving in June all the same."""
    still = holds("2026-05-10", "Google")
    assert standing_of(GOOGLE, GOOGLE, LEAVING, still).planned_for == dated("2026-06")


@pytest.mark.parametrize("over", [ends("2025", "Google"), ends("2022", "Google", state="future")])
def test_an_announced_end_is_about_what_is_believed_then(over):
    """Nothing is due to end that had ended, or had not begun, when it was announced."""
    leaving = [] if over.temporal_state == "future" else [LEAVING]
    timeline = Told([GOOGLE, over, *leaving]).timeline()
    assert [plan for plan in timeline.plans if plan.kind == "end"] == []


def test_an_end_announced_on_a_visit_is_about_the_home():
    """In Paris until the 11th, "leaving San Francisco in June": the home is due to end."""
    paris = holds("2026-05-04", "Paris", until="2026-05-11")
    leaving = ends("2026-05-05", "SF", "2026-06", state="future")
    assert standing_of(SF, SF, paris, leaving).planned_for == dated("2026-06")


def test_a_nameless_announced_end_spares_its_own_message():
    """Joining Acme, leaving the job in June: it is the other one that ends."""
    acme = holds("2026-04", "Acme", message="m")
    leaving = ends("2026-04", None, "2026-06", state="future", message="m", ordinal=1)
    assert standing_of(acme, GOOGLE, acme, leaving).planned_for is None


def test_a_gap_supersedes_nobody():
    """Left San Francisco in 2019; Dallas, a year later, did not close it."""
    assert standing_of(SF, SF, ends("2019", "SF"), DALLAS).superseded_by is None


def test_what_was_denied_and_said_again_is_not_superseded_by_itself():
    """A denied saying is retired; the later one of the same value did not take its place."""
    again = holds("2022", "Dallas", since="2019")
    standing = standing_of(DALLAS, DALLAS, denies("2021", "Dallas"), again)
    assert (standing.kind, standing.superseded_by) == ("retired", None)


def test_what_lasts_a_week_lasts_from_when_it_was_said():
    """In Paris right now, since the first: until a week after saying so (rule 11)."""
    paris = holds("2026-05-04", "Paris", since="2026-05-01")
    (interval,) = fold([paris], lasts=timedelta(days=7)).intervals
    assert interval.valid_from == dated("2026-05-01")
    assert interval.valid_to == said("2026-05-11")


def test_a_message_is_forgotten_with_what_rests_on_it_alone():
    """Two messages say it: forgetting one leaves it; what is said later counts."""
    stone = Tombstone(id=identity(1), at=said("2024"), source_message_ids=DALLAS.source_message_ids)
    both = replace(DALLAS, source_message_ids=(*DALLAS.source_message_ids, identity("other")))
    later = replace(DALLAS, said_at=said("2025"), recorded_at=said("2025"))
    assert standing_of(DALLAS, DALLAS, stone).kind == "forgotten"
    assert standing_of(both, both, stone).kind == "belief"
    assert standing_of(later, later, stone).kind == "belief"


def test_an_act_on_another_slot_changes_nothing():
    """Corrections of a user may be passed to each of the slots."""
    act = corrects("2026", DALLAS.fact_id, "Austin", slot="location")
    assert Told([DALLAS, act]).timeline() == Told([DALLAS]).timeline()


@pytest.mark.parametrize(
    ("precision", "end"),
    [
        ("instant", "2023-12-31"),
        ("day", "2024-01-01"),
        ("month", "2024-01-31"),
        ("year", "2024-12-31"),
        ("years", "2026-12-31"),
        (None, "2023-12-31"),
    ],
)
def test_a_unit_begins_at_its_date(precision, end):
    """A day, a month, a year, or a few of them, which are three."""
    assert unit_end(dated("2023-12-31"), precision) == dated(end)


def test_a_unit_of_a_short_month_ends_with_it():
    """A month from the 31st of January; and no unit leaves the calendar."""
    assert unit_end(dated("2023-01-31"), "month") == dated("2023-02-28")
    assert unit_end(FOREVER, "years") == unit_end(FOREVER, "day") == FOREVER


def test_a_forgotten_fact_is_forgotten_at_any_known_at():
    """A tombstone also covers what was known before it."""
    stone = forgets("2024", "Dallas")
    for known in (None, "2021", "2025"):
        assert standing_of(DALLAS, DALLAS, stone, known=known).kind == "forgotten"
    assert status_of(DALLAS, "2021", DALLAS, stone) == "forgotten"


def test_what_was_not_recorded_yet_has_no_standing():
    """Under `known_at` there is no row for what had not arrived."""
    timeline = Told([SF, DALLAS]).timeline(known="2019")
    assert set(timeline.standings) == {SF.fact_id}


def test_the_first_arrival_counts():
    """A message delivered again years later was known since the first time."""
    again = redelivered(SF, "2026")
    for inputs in ([SF, again], [again, SF]):
        assert standing_of(SF, *inputs, known="2019").kind == "belief"


def test_a_correction_has_a_standing_of_its_own():
    """The act's id stands for the new belief and supersedes the corrected fact."""
    since_2019 = holds("2022", "Dallas", since="2019")
    act = corrects("2026", since_2019.fact_id, "Austin")
    standings = Told([since_2019, act]).timeline().standings
    assert standings[act.id].valid == ((dated("2019"), None),)
    assert standings[since_2019.fact_id].superseded_by == act.id
    gone = Told([since_2019, act, forgets("2027", "Austin")]).timeline().standings
    assert gone[act.id].kind == "forgotten"


def test_a_habit_stands_beside_a_slot_of_one():
    """Every summer in Italy is believed, and competes with nobody for the home."""
    italy = recurring("2024", "Italy")
    timeline = Told([SF, italy]).timeline()
    assert [i.value for i in recurring_at(timeline, asked("2025"))] == ["Italy"]
    assert [i.value for i in timeline.intervals] == ["SF"]
    assert status_of(italy, "2025", SF, italy) == "current"
    assert status_of(italy, "2027", SF, italy, ends("2026", "Italy")) == "past"


def test_rank_is_said_then_message_then_ordinal():
    """Never later than its arrival, m9 before m10, and the ordinal last."""
    in_order = [
        holds("2062", "a", arrived="2019"),
        holds("2020", "a", message="m9", ordinal=7),
        holds("2020", "a", message="m10", ordinal=0),
        holds("2020", "a", message="m10", ordinal=1),
        holds("2020", "a", message="n", ordinal=0),
    ]
    assert sorted(set(in_order), key=rank_key) == in_order
