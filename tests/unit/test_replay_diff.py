"""How two generations differ: beliefs are compared, whatever their rows are called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.extractor.replay.diff import Belief, compare

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def belief(content: str, *messages: int, **fields: Any) -> Belief:
    value = fields.get("value")
    return Belief(
        **{
            "fact_id": uuid4(),
            "subject": "user",
            "slot": None,
            "value": None,
            "key": (value or content).casefold(),
            "content": content,
            "single": False,
            "is_plan": False,
            "valid": ((MAY, None),),
            "planned_for": None,
            "messages": frozenset(UUID(int=m) for m in messages),
            **fields,
        }
    )


def city(value: str, *messages: int, **fields: Any) -> Belief:
    fields = {"slot": "home_city", "value": value, "single": True, **fields}
    return belief(f"Lives in {value}", *messages, **fields)


def counts(old: list[Belief], new: list[Belief]) -> tuple[int, int, int, int]:
    diff = compare(old, new)
    return len(diff.added), len(diff.lost), len(diff.changed), len(diff.unchanged)


BELIEFS = st.lists(
    st.builds(
        lambda content, slot, messages, start: belief(
            content,
            *messages,
            slot=slot,
            value=content if slot else None,
            single=slot == "home_city",
            valid=((start, None),),
        ),
        st.sampled_from(["Likes tea", "Likes green tea", "Dallas", "Plays chess"]),
        st.sampled_from([None, "home_city", "pet"]),
        st.sets(st.integers(1, 6), min_size=1, max_size=2),
        st.sampled_from([MAY, JUNE]),
    ),
    max_size=12,
)


@given(BELIEFS, BELIEFS)
def test_every_belief_is_accounted_for_once(old: list[Belief], new: list[Belief]):
    diff = compare(old, new)
    pairs = [*diff.changed, *diff.unchanged]
    assert sorted(b.fact_id for b in [*diff.lost, *(p.old for p in pairs)]) == sorted(
        b.fact_id for b in old
    )
    assert sorted(b.fact_id for b in [*diff.added, *(p.new for p in pairs)]) == sorted(
        b.fact_id for b in new
    )
    assert all(pair.differs for pair in diff.changed)
    assert not any(pair.differs for pair in diff.unchanged)


@given(BELIEFS)
def test_nothing_differs_from_itself(beliefs: list[Belief]):
    assert counts(beliefs, beliefs) == (0, 0, 0, len(beliefs))


@given(BELIEFS, BELIEFS, st.randoms())
def test_the_order_of_neither_side_matters(old, new, random):
    once = compare(old, new)
    again = compare(random.sample(old, len(old)), random.sample(new, len(new)))
    assert once.added == again.added
    assert once.lost == again.lost
    assert {(p.old.fact_id, p.new.fact_id) for p in once.changed} == {
        (p.old.fact_id, p.new.fact_id) for p in again.changed
    }


def test_other_ids_and_another_full_stop_are_no_difference():
    assert counts([belief("Likes tea", 1)], [belief("likes tea.", 1, key="likes tea")]) == (
        0,
        0,
        0,
        1,
    )


def test_another_value_of_the_same_message_is_a_change_of_value():
    diff = compare([city("Dallas", 1)], [city("Austin", 1)])
    assert [pair.differs for pair in diff.changed] == [("value", "content")]


def test_another_value_of_an_attribute_of_one_is_a_change_wherever_it_was_said():
    assert counts([city("Dallas", 1)], [city("Austin", 2)]) == (0, 0, 1, 0)


def test_another_friend_of_another_message_is_one_lost_and_one_added():
    old = belief("Has a friend Sara", 1, slot="friend", value="Sara")
    new = belief("Has a friend Tom", 2, slot="friend", value="Tom")
    assert counts([old], [new]) == (1, 1, 0, 0)


def test_the_same_value_at_another_time_is_a_change_of_time():
    [pair] = compare([city("Dallas", 1)], [city("Dallas", 1, valid=((JUNE, None),))]).changed
    assert pair.differs == ("time",)


def test_a_plan_that_became_a_belief_is_a_change_of_time():
    plan = city("Dallas", 1, is_plan=True, valid=(), planned_for=JUNE)
    [pair] = compare([plan], [city("Dallas", 1)]).changed
    assert pair.differs == ("time",)


def test_san_francisco_twice_is_paired_stretch_by_stretch():
    old = [city("SF", 1), city("SF", 3, valid=((JUNE, None),))]
    new = [city("SF", 3, valid=((JUNE, None),)), city("SF", 1)]
    assert counts(old, new) == (0, 0, 0, 2)


def test_a_sentence_put_differently_is_a_change_and_another_fact_of_the_message_is_not():
    old = [belief("Likes to drink green tea", 1)]
    new = [belief("Likes green tea", 1), belief("Was born in Porto", 1)]
    diff = compare(old, new)
    assert [pair.new.content for pair in diff.changed] == ["Likes green tea"]
    assert [added.content for added in diff.added] == ["Was born in Porto"]


def test_what_was_free_text_and_is_an_attribute_now_is_a_change():
    [pair] = compare([belief("Lives in Dallas", 1)], [city("Dallas", 1)]).changed
    assert pair.differs == ("value",)


def test_facts_about_two_people_are_never_one():
    old, new = belief("Likes tea", 1), belief("Likes tea", 1, subject="Sara")
    assert counts([old], [new]) == (1, 1, 0, 0)
