"""What of a model's answer about pairs is believed, whatever it answers."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.deduper.candidates import FreeText, pair_of
from services.deduper.judging.verdicts import WORDS, question, read_answer
from services.deduper.thresholds import BY_MODEL
from shared.ids import derived_id

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
FLOORS = BY_MODEL["all-MiniLM-L6-v2-int8"]


def said(day, content):
    return FreeText(derived_id(day), "user", content, 1, BEGAN + timedelta(day), f"m{day}", 0)


def pair(new, old, day=1):
    return pair_of(said(day, old), said(day + 100, new), 0.8, FLOORS)


PAIRS = [
    pair("Strolls the hills", "Walks the hills", 1),
    pair("Has three dogs", "Has two dogs", 2),
    pair("Gave up tea", "Drinks tea", 3),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=9,
)
items = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["p1", "p2", "p3", "p4", "P1", 1, None]),
        "verdict": st.sampled_from([*WORDS, " Supersedes ", "same", None, ["duplicate"]]),
        "reason": st.text(max_size=20) | st.none() | st.integers(),
    },
)
answers = st.fixed_dictionaries(
    {"verdicts": st.lists(items | json_values, max_size=6) | json_values}
)


def test_the_question_is_the_contract():
    document = question(PAIRS[:1])
    assert document == {
        "task": "judge",
        "pairs": [
            {
                "id": "p1",
                "new": {"content": "Strolls the hills", "at": "2024-04-11T00:00:00Z"},
                "old": {"content": "Walks the hills", "at": "2024-01-02T00:00:00Z"},
            }
        ],
    }


@given(answers | st.dictionaries(st.text(max_size=5), json_values, max_size=3))
def test_every_pair_gets_one_verdict_whatever_is_answered(answer):
    """Nothing raises, nothing is invented, and a merge a guard forbids never comes out."""
    reading = read_answer(answer, PAIRS, "oracle")
    assert sorted((v.first, v.second) for v in reading.verdicts) == sorted(p.key for p in PAIRS)
    by_key = {(v.first, v.second): v for v in reading.verdicts}
    assert by_key[PAIRS[1].key].verdict != "duplicate"
    for verdict in reading.verdicts:
        assert verdict.verdict in {*WORDS, "doubtful"}
        assert verdict.judge == "oracle"
        assert verdict.reason
        assert "\x00" not in verdict.reason


def test_a_good_answer_is_believed():
    words = ["duplicate", "refines", "supersedes"]
    answer = {
        "verdicts": [
            {"id": f"p{number}", "verdict": word, "reason": "because"}
            for number, word in enumerate(words, start=1)
        ]
    }
    reading = read_answer(answer, PAIRS, "oracle")
    assert [verdict.verdict for verdict in reading.verdicts] == words
    assert reading.dropped == {}


def test_what_is_dropped_is_counted_by_reason():
    answer = {
        "verdicts": [
            {"id": "p1", "verdict": "refines", "reason": ""},
            {"id": "p1", "verdict": "duplicate", "reason": ""},
            {"id": "p9", "verdict": "duplicate", "reason": ""},
            {"id": "p2", "verdict": "perhaps", "reason": ""},
            "nonsense",
        ]
    }
    reading = read_answer(answer, PAIRS, "oracle")
    assert reading.dropped == {
        "second verdict": 1,
        "unknown pair": 2,
        "unknown verdict": 1,
        "no verdict": 2,
    }
