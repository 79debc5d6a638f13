"""The stories of BELIEFS.md, in its order and its words, told in every order and twice over."""

import random
from dataclasses import replace
from itertools import permutations

import pytest

from tests.unit.beliefs.belief_words import (
    Told,
    corrects,
    dated,
    denies,
    ends,
    forgets,
    holds,
    past,
    plans,
    recurring,
    redelivered,
)

SF, DALLAS = holds("2018", "SF"), holds("2020", "Dallas")
SINCE_2019 = holds("2022", "Dallas", since="2019")
TO_AUSTIN = corrects("2026", SINCE_2019.fact_id, "Austin")
PLAN = (SF, plans("2026-05-02", "Dallas", "2026-06"))
PARIS = holds("2026-05-04", "Paris", until="2026-05-11")
EVA = {"slot": "sister", "many": True}
PET = {"slot": "pet", "many": True}

# what was said | (as of, known by or None, what holds)
STORIES = {
    "SF, Dallas, SF again": (
        [SF, DALLAS, holds("2024", "SF")],
        [("2019", None, "SF"), ("2021", None, "Dallas"), ("2025", None, "SF")],
    ),
    "in Dallas since 2019": (
        [holds("2010", "SF"), holds("2026", "Dallas", since="2019")],
        [("2018", None, "SF"), ("2020", None, "Dallas"), ("2027", "2025", "SF")],
    ),
    "left Dallas": (
        [SF, DALLAS, ends("2024", "Dallas")],
        [("2025", None, ""), ("2021", None, "Dallas"), ("2019", None, "SF")],
    ),
    "quit Google": (
        [holds("2015", "Apple"), holds("2020", "Google"), ends("2025", "Google")],
        [("2026", None, ""), ("2017", None, "Apple")],
    ),
    "used to live in Boston": (
        [DALLAS, past("2024", "Boston")],
        [("2023", None, "Dallas"), ("2025", None, "Dallas")],
    ),
    "lived in Boston in 2015": (
        [holds("2017", "SF"), past("2026", "Boston", "2015")],
        [("2015-06", None, "Boston"), ("2016-01", None, ""), ("2020", None, "SF")],
    ),
    "quit Google in 2025": (
        [holds("2023", "Google"), holds("2025", "Apple"), ends("2026", "Google", "2025")],
        [("2027", None, "Apple"), ("2024", None, "Google")],
    ),
    "we divorced": (
        [holds("2015", "Ana"), ends("2022")],
        [("2020", None, "Ana"), ("2023", None, "")],
    ),
    "Rex died, heard before Rex": (
        [ends("2024", "Rex", **PET), holds("2020", "Rex", arrived="2026", **PET)],
        [("2021", None, "Rex"), ("2025", None, "")],
    ),
    "no pets": (
        [holds("2020", "Rex", **PET), denies("2024", **PET)],
        [("2021", None, "Rex"), ("2025", None, "")],
    ),
    "never worked at Meta": (
        [holds("2022", "Google"), holds("2024", "Meta"), denies("2025", "Meta")],
        [("2024-06", None, "Google"), ("2026", None, "Google"), ("2024-06", "2024-06", "Meta")],
    ),
    "no sister Eva": (
        [holds("2022", "Eva", **EVA), denies("2023", "Eva", **EVA)],
        [("2022-06", None, ""), ("2022-06", "2022-06", "Eva")],
    ),
    "moving to Dallas in June": (
        [*PLAN],
        [("2026-05-15", None, "SF"), ("2026-08", None, "SF")],
    ),
    "Dallas is nice, I live here": (
        [*PLAN, holds("2026-09", "Dallas")],
        [("2026-07", None, "Dallas"), ("2026-05-15", None, "SF")],
    ),
    "the plan, then Austin": (
        [*PLAN, holds("2026-09", "Austin")],
        [("2026-10", None, "Austin"), ("2026-08", None, "SF")],
    ),
    "not in Dallas yet": (
        [*PLAN, denies("2026-05-20", "Dallas")],
        [("2026-05-25", None, "SF")],
    ),
    "an operator says Austin": (
        [SINCE_2019, TO_AUSTIN],
        [("2021", None, "Austin"), ("2027", None, "Austin"), ("2021", "2025", "Dallas")],
    ),
    "an old chat after the correction": (
        [SINCE_2019, TO_AUSTIN, holds("2023", "Dallas", arrived="2027")],
        [("2028", None, "Austin")],
    ),
    "the user after the correction": (
        [SINCE_2019, TO_AUSTIN, holds("2026-06", "Dallas")],
        [("2027", None, "Dallas"), ("2021", None, "Austin")],
    ),
    "DELETE": (
        [holds("2022", "Dallas"), holds("2023", "Dallas"), forgets("2024", "Dallas")],
        [("2022-06", None, ""), ("2025", None, ""), ("2023", "2023", "")],
    ),
    "said again after DELETE": (
        [holds("2022", "Dallas"), forgets("2024", "Dallas"), holds("2025", "Dallas")],
        [("2023", None, ""), ("2026", None, "Dallas")],
    ),
    "delivered again years later": (
        [SF, DALLAS, redelivered(SF, "2026"), redelivered(DALLAS, "2026")],
        [("2019", None, "SF"), ("2021", "2019", "SF"), ("2021", "2021", "Dallas")],
    ),
    "in Paris until the 11th": (
        [SF, holds("2026-05-04", "Paris", until="2026-05-11")],
        [("2026-05-06", None, "Paris"), ("2026-06", None, "SF")],
    ),
    "moved today, dated tomorrow": (
        [SF, holds("2026-05-03", "Dallas", since="2026-05-04")],
        [("2026-05-03", None, "Dallas"), ("2026-05-02", None, "SF")],
    ),
    "every summer in Italy": (
        [SF, recurring("2024", "Italy")],
        [("2025", None, "SF")],
    ),
    "a clock ahead": (
        [holds("2062", "SF", arrived="2024"), holds("2025", "Dallas")],
        [("2026", None, "Dallas"), ("2063", None, "Dallas"), ("2024", None, "SF")],
    ),
    "not in Dallas in 2019": (
        [holds("2026", "Dallas", since="2019"), denies("2027", "Dallas", "2019", "2020")],
        [("2019-06", None, ""), ("2021", None, "Dallas")],
    ),
    "chess one, golf many": (
        [holds("2020", "chess"), holds("2021", "golf", many=True)],
        [("2022", None, "chess golf")],
    ),
    "leaving Google in June": (
        [holds("2023", "Google"), ends("2026-05-02", "Google", "2026-06", state="future")],
        [("2026-05-15", None, "Google"), ("2026-08", None, "Google")],
    ),
    # what the rules say beyond the table
    "not X but Y takes the start of X": (
        [SF, denies("2024", "SF", message="m"), holds("2024", "Oakland", message="m", ordinal=1)],
        [("2019", None, "Oakland"), ("2025", None, "Oakland"), ("2019", "2023", "SF")],
    ),
    "not X but Y leaves earlier stays alone": (
        [
            SF,
            DALLAS,
            holds("2022", "SF"),
            denies("2024", "SF", since="2022", message="m"),
            holds("2024", "Oakland", message="m", ordinal=1),
        ],
        [("2019", None, "SF"), ("2021", None, "Dallas"), ("2023", None, "Oakland")],
    ),
    "an internship does not end today's job": (
        [holds("2020", "Google"), past("2025", "Google", "2012")],
        [("2026", None, "Google"), ("2012-06", None, "Google"), ("2015", None, "")],
    ),
    "used to work at Google": (
        [holds("2020", "Google"), past("2025", "Google")],
        [("2024", None, "Google"), ("2026", None, "")],
    ),
    "worked at Google until 2023": (
        [holds("2020", "Google"), past("2025", "Google", until="2023")],
        [("2022", None, "Google"), ("2024", None, "")],
    ),
    "in 2015, although stated in 2020": (
        [holds("2020", "Google", since="2014"), past("2025", "Google", "2015")],
        [("2019", None, "Google"), ("2026", None, "Google")],
    ),
    "a stated end closes what was said before": (
        [DALLAS, holds("2023", "Dallas", until="2024")],
        [("2023", None, "Dallas"), ("2025", None, "")],
    ),
    "we divorced, I am with Eva": (
        [
            holds("2015", "Ana"),
            holds("2022", "Eva", message="m", ordinal=0),
            ends("2022", message="m", ordinal=1),
        ],
        [("2020", None, "Ana"), ("2023", None, "Eva")],
    ),
    "since 2015, although SF in June 2015": (
        [holds("2015-06", "SF"), holds("2020", "Dallas", since="2015")],
        [("2015-06-01", None, "SF"), ("2015-08", None, "Dallas"), ("2015-03", None, "")],
    ),
    "moved today, after SF this morning": (
        [holds("2026-05-03T09", "SF"), holds("2026-05-03T18", "Dallas", since="2026-05-03")],
        [("2026-05-03T12", None, "SF"), ("2026-05-03T19", None, "Dallas")],
    ),
    "left in 2023, although there in June 2023": (
        [DALLAS, holds("2023-06", "Dallas"), ends("2024", "Dallas", "2023")],
        [("2023-06-01", None, "Dallas"), ("2023-08", None, "")],
    ),
    "until the 11th, said on the 11th": (
        [SF, holds("2026-05-11", "Paris", until="2026-05-11")],
        [("2026-05-11T23", None, "Paris"), ("2026-05-12", None, "SF")],
    ),
    "lived there from 2015 to 2015": (
        [past("2026", "Boston", "2015", "2015")],
        [("2015", None, "Boston"), ("2016", None, "")],
    ),
    "a few years ago": (
        [holds("2019", "SF"), holds("2024", "SF"), holds("2026", "Dallas", since="2023~")],
        [("2023-06", None, "SF"), ("2024-06", None, "Dallas")],
    ),
    "an empty claim succeeds nobody": (
        [SF, holds("2022", "Dallas"), ends("2023", "Dallas", "2021")],
        [("2022", None, "SF"), ("2024", None, "SF")],
    ),
    "m9 before m10": (
        [holds("2020", "SF", message="m9"), holds("2020", "Dallas", message="m10")],
        [("2021", None, "Dallas")],
    ),
    "later in the same message": (
        [
            holds("2020", "Dallas", message="m", ordinal=10),
            holds("2020", "SF", message="m", ordinal=9),
        ],
        [("2021", None, "Dallas")],
    ),
    "two plans, the latest said": (
        [*PLAN, plans("2026-05-10", "Austin", "2026-07"), holds("2026-09", "Dallas")],
        [("2026-08", None, "SF"), ("2026-10", None, "Dallas")],
    ),
    "a plan called off, then Dallas after all": (
        [*PLAN, denies("2026-05-20", "Dallas", state="future"), holds("2026-09", "Dallas")],
        [("2026-08", None, "SF"), ("2026-10", None, "Dallas")],
    ),
    "back in a slot that lasts is no story of plans": (
        [*PLAN, holds("2026-06-20", "SF"), holds("2026-09", "Dallas")],
        [("2026-06-20T12", None, "SF"), ("2026-06-25", None, "Dallas")],
    ),
    "no pets until 2022": (
        [holds("2020", "Rex", since="2019", **PET), denies("2024", until="2022", **PET)],
        [("2021", None, ""), ("2023", None, "Rex")],
    ),
    "an old chat with a third city": (
        [SINCE_2019, TO_AUSTIN, holds("2023", "Boston", arrived="2027")],
        [("2021", None, "Austin"), ("2028", None, "Austin")],
    ),
    "a correction wins ties": (
        [SINCE_2019, holds("2026", "Boston"), TO_AUSTIN],
        [("2021", None, "Austin"), ("2028", None, "Austin")],
    ),
    "a correction survives a replay": (
        [
            holds("2022", "Dallas", since="2019", message="replayed"),
            replace(TO_AUSTIN, old_value_key="dallas", valid_from=dated("2019")),
        ],
        [("2021", None, "Austin"), ("2028", None, "Austin")],
    ),
    "mending what lasted some days": (
        [SF, PARIS, corrects("2027", PARIS.fact_id, "Lyon")],
        [("2026-05-06", None, "Lyon"), ("2026-06", None, "SF"), ("2028", None, "SF")],
    ),
    "a visit mended into no visit at all": (
        [SF, PARIS, corrects("2027", PARIS.fact_id, "SF")],
        [("2026-05-06", None, "SF"), ("2028", None, "SF")],
    ),
    "mending a home mends it around a visit": (
        [SF, PARIS, corrects("2027", SF.fact_id, "Oakland")],
        [("2019", None, "Oakland"), ("2026-06", None, "Oakland"), ("2028", None, "Oakland")],
    ),
    "a day at Google is not the end of it": (
        [holds("2020", "Google"), past("2025", "Google", "2020-03-01")],
        [("2021", None, "Google"), ("2026", None, "Google")],
    ),
    "in 2015 is 2015": (
        [holds("2015", "Google"), past("2025", "Google", "2015")],
        [("2015-12", None, "Google"), ("2016", None, "")],
    ),
    "a future denial is about plans": (
        [SF, denies("2024", "SF", state="future")],
        [("2023", None, "SF"), ("2025", None, "SF")],
    ),
    "since 2015, twice stated, although SF in March 2015": (
        [
            holds("2015-03", "SF"),
            holds("2015-05", "Dallas"),
            holds("2015-06", "Dallas"),
            holds("2020", "Dallas", since="2015"),
        ],
        [("2015-03-01", None, "SF"), ("2015-04", None, "Dallas"), ("2015-02", None, "")],
    ),
    "Mia since 2015, beside Rex": (
        [holds("2015-06", "Rex", **PET), holds("2020", "Mia", since="2015", **PET)],
        [("2015-03", None, "Mia"), ("2015-08", None, "Mia Rex")],
    ),
    "not X since 2022 but Y": (
        [
            SF,
            denies("2024", "SF", since="2022", message="m"),
            holds("2024", "Oakland", message="m", ordinal=1),
        ],
        [("2021", None, "SF"), ("2023", None, "Oakland")],
    ),
    "not X but Y, after a visit": (
        [
            SF,
            holds("2020", "Paris", until="2021"),
            denies("2024", "SF", message="m"),
            holds("2024", "Oakland", message="m", ordinal=1),
        ],
        [("2019", None, "Oakland"), ("2023", None, "Oakland")],
    ),
    "a mention of 2012 does not shorten 2010 to 2015": (
        [past("2020", "Boston", "2010", "2015"), past("2022", "Boston", "2012")],
        [("2011", None, "Boston"), ("2014", None, "Boston"), ("2015-06", None, "")],
    ),
    "left this year, and just now": (
        [holds("2023-06-01T10", "Dallas"), ends("2023-06-01T18", "Dallas", "2023")],
        [("2023-06-01T12", None, "Dallas"), ("2023-06-01T20", None, "")],
    ),
    "mending the past leaves the present": (
        [SF, DALLAS, corrects("2026", SF.fact_id, "Oakland")],
        [("2019", None, "Oakland"), ("2021", None, "Dallas"), ("2027", None, "Dallas")],
    ),
    "a correction corrected": (
        [SINCE_2019, TO_AUSTIN, corrects("2027", TO_AUSTIN.id, "Waco")],
        [("2021", None, "Waco"), ("2028", None, "Waco"), ("2028", "2026", "Austin")],
    ),
    "a correction of what was forgotten": (
        [SINCE_2019, TO_AUSTIN, forgets("2027", "Dallas")],
        [("2021", None, ""), ("2028", None, "Austin")],
    ),
    "a correction forgotten": (
        [SINCE_2019, TO_AUSTIN, forgets("2027", "Austin")],
        [("2021", None, ""), ("2028", None, "")],
    ),
    "a corrected plan": (
        [*PLAN, corrects("2026-05-12", PLAN[1].fact_id, "Waco"), holds("2026-09", "Waco")],
        [("2026-05-15", None, "SF"), ("2026-07", None, "Waco")],
    ),
    "a corrected ending": (
        [SF, ends("2024", "LA"), corrects("2025", ends("2024", "LA").fact_id, "SF")],
        [("2023", None, "SF"), ("2024-06", None, ""), ("2024-06", "2024-06", "SF")],
    ),
    "an old chat of DELETEd Dallas": (
        [forgets("2024", "Dallas"), holds("2023", "Dallas", arrived="2027")],
        [("2028", None, "")],
    ),
    "every summer, in a slot of many": (
        [recurring("2024", "chess", many=True)],
        [("2025", None, "chess")],
    ),
}


def told_every_way(inputs):
    """Every order of up to three inputs, some orders of more; then everything twice, shuffled."""
    shuffler = random.Random(7)
    orders = list(permutations(inputs))
    yield from orders if len(orders) <= 6 else shuffler.sample(orders, 6)
    for _ in range(2):
        yield shuffler.sample([*inputs, *inputs], 2 * len(inputs))


@pytest.mark.parametrize("story", STORIES)
def test_what_holds_when(story):
    """Each story has its ending, whatever order its inputs arrive in and however often."""
    inputs, expectations = STORIES[story]
    slot = next(one.slot for one in inputs if hasattr(one, "slot"))
    for told in told_every_way(inputs):
        for when, known, expected in expectations:
            assert Told(told).believed(when, known, slot) == expected.split(), (when, known)


def test_evidence_of_three_stays():
    """San Francisco, Dallas, San Francisco: three beliefs with one observation each."""
    for told in told_every_way(STORIES["SF, Dallas, SF again"][0]):
        assert [len(i.evidence) for i in Told(told).timeline().intervals] == [1, 1, 1]


def test_children_are_many_and_a_name_is_one():
    """Leo and Mia stand side by side; Bea takes the place of Bob."""
    children = {"slot": "child", "many": True}
    told = Told(
        [
            holds("2020", "Mia", **children),
            holds("2022", "Leo", **children),
            holds("2018", "Bob", slot="name"),
            holds("2024", "Bea", slot="name"),
        ]
    )
    assert told.believed("2025", slot="child") == ["Leo", "Mia"]
    assert told.believed("2025", slot="name") == ["Bea"]
    assert told.believed("2019", slot="name") == ["Bob"]


# what was said | (as of, which plans stand)
PLANS = {
    "silence": ([*PLAN], [("2026-05-15", "Dallas planned"), ("2026-08", "Dallas due")]),
    "confirmed": (
        [*PLAN, holds("2026-09", "Dallas")],
        [("2026-05-15", "Dallas planned"), ("2026-07", ""), ("2026-10", "")],
    ),
    "another city": (
        [*PLAN, holds("2026-09", "Austin")],
        [("2026-08", "Dallas due"), ("2026-10", "")],
    ),
    "another city within the day's unit": (
        [*PLAN, holds("2026-06-20", "SF")],
        [("2026-08", "Dallas due")],
    ),
    "not yet": ([*PLAN, denies("2026-05-20", "Dallas")], [("2026-05-25", "Dallas planned")]),
    "called off": (
        [*PLAN, denies("2026-05-20", "Dallas", state="future")],
        [("2026-05-15", "Dallas planned"), ("2026-05-25", "")],
    ),
    "called off without a name": (
        [*PLAN, denies("2026-05-20", state="future")],
        [("2026-05-25", "")],
    ),
    "no day": ([SF, plans("2026-05", "Dallas")], [("2030", "Dallas planned")]),
    "two plans": (
        [*PLAN, plans("2026-05-20", "Austin", "2026-07")],
        [("2026-05-15", "Dallas planned"), ("2026-05-25", "Austin planned")],
    ),
    "postponed": (
        [*PLAN, plans("2026-05-20", "Dallas", "2026-10")],
        [("2026-08", "Dallas planned"), ("2026-11", "Dallas due")],
    ),
    "not there but here": (
        [
            *PLAN,
            plans("2026-05-20", "Austin", "2026-07", message="m"),
            denies("2026-05-20", state="future", message="m", ordinal=1),
        ],
        [("2026-05-15", "Dallas planned"), ("2026-05-25", "Austin planned")],
    ),
    "in a slot of many": (
        [
            plans("2026-05", "chess", "2026-06", many=True),
            plans("2026-05", "golf", "2026-06", many=True),
            holds("2026-09", "golf", many=True),
        ],
        [("2026-05-15", "chess planned golf planned"), ("2026-10", "chess due")],
    ),
    "before it was announced": ([*PLAN], [("2026-04", "")]),
    "confirmed, and the confirmation denied": (
        [*PLAN, holds("2026-09", "Dallas"), denies("2026-10", "Dallas")],
        [("2026-11", "Dallas due")],
    ),
}


@pytest.mark.parametrize("story", PLANS)
def test_which_plans_stand_when(story):
    """A plan stands until its day and beyond, until it is confirmed, cancelled or falls."""
    inputs, expectations = PLANS[story]
    for told in told_every_way(inputs):
        for when, expected in expectations:
            assert " ".join(sorted(Told(told).planned(when))) == expected, when
