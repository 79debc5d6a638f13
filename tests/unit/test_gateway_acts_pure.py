"""What an operator's request comes to, without a database."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.errors import CommandError
from services.console.memory import recall
from services.gateway.corrections import corrected, digest, labels_asked, labels_now
from services.gateway.requests import FactCorrection
from shared.ids import derived_id

ACT = derived_id("act")


def row(content: str, slot: str | None = "home_city", value: str | None = "Rome", **more):
    return {
        "tenant_id": "default",
        "user_id": "ana",
        "content": content,
        "category": "biographical",
        "subject": "user",
        "slot": slot,
        "value": value,
        "cardinality": "one",
        "claim": "holds",
        "temporal_state": "current",
        "occurred_at": None,
        "occurred_precision": None,
        "ended_at": None,
        "ended_precision": None,
        "session_id": "s",
        "agent_id": None,
        "metadata": {"a": 1},
        **more,
    }


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)


@given(value=words.filter(str.strip), before=words, after=words)
def test_a_new_value_leaves_the_rest_of_the_sentence(value, before, after):
    """Whatever characters it has, nothing of it is read as a pattern."""
    content = f"{before} Rome {after}"
    new = corrected(row(content), FactCorrection(value=value), ACT)
    assert new.statement.value == value
    if "rome" not in (before + after).lower():
        assert new.statement.content == f"{before} {value} {after}"


def test_what_is_not_mentioned_stays():
    new = corrected(row("Lives in Rome"), FactCorrection(category="own"), ACT)
    assert (new.category, new.metadata, new.statement.content) == ("own", {"a": 1}, "Lives in Rome")
    assert (new.id, new.generation, new.speaker) == (ACT, 0, "operator")
    assert new.value_key == "rome"


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ({"category": "own"}, {"category": "own"}),
        ({"category": "own", "metadata": {}}, {"category": "own", "metadata": {}}),
        ({"value": "Rome", "content": "Lives in Rome"}, {}),
        ({"value": "Rome", "metadata": {"b": 2}}, {"metadata": {"b": 2}}),
        ({"value": "rome"}, None),
        ({"content": "Has a home in Rome", "category": "own"}, None),
    ],
)
def test_only_what_says_something_else_is_a_correction(asked, labels):
    """The same value and sentence, however often they are sent along, are none."""
    assert labels_asked(row("Lives in Rome"), FactCorrection(**asked)) == labels
    if "value" in asked:
        sentence = row("Lives in Rome", slot=None, value=None)
        assert labels_asked(sentence, FactCorrection(**asked)) is None, "refused later on"


asked_labels = st.fixed_dictionaries(
    {}, optional={"category": st.sampled_from("abc"), "metadata": st.sampled_from([{}, {"a": 1}])}
)


@given(st.lists(st.tuples(asked_labels, st.booleans()), min_size=1))
def test_labels_are_those_of_the_acts_that_were_not_undone(told):
    """An act taken back leaves what was there without it, whenever that was asked for."""
    before = {"category": "z", "metadata": None}
    acts = [
        {"labels": {"asked": asked, "before": before}, "undone": undone} for asked, undone in told
    ]
    expected = dict(before)
    for asked, undone in told:
        expected |= {} if undone else asked
    assert labels_now(acts) == expected


def test_two_requests_have_two_digests():
    """Order of keys makes no difference; anything else does."""
    assert digest("PATCH", ACT, {"a": 1, "b": 2}) == digest("PATCH", ACT, {"b": 2, "a": 1})
    assert digest("PATCH", ACT, {"a": 1}) != digest("undo", ACT, {"a": 1})
    assert digest("PATCH", ACT, {"a": 1}) != digest("PATCH", ACT, {"a": "1"})


def test_a_moment_that_is_none_is_refused_before_anything_is_asked():
    with pytest.raises(CommandError, match="--as-of: 'soon' is no time"):
        recall(Path("nowhere"), "ana", "x", limit=5, explain=False, times={"as_of": "soon"})
