"""The law of embedding spaces: one counts, one may be filled beside it, and no change goes unseen."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.spaces import law
from shared.spaces.law import Address, Space, Spaces, SpacesRefusedError

MODELS = ("a", "b", "c", "d")
FIRST = Spaces((law.adopted(Address("a"), 8),))

steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(MODELS)),
        st.tuples(st.just("switch"), st.sampled_from(MODELS)),
        st.tuples(st.just("cancel"), st.just("")),
        st.tuples(st.just("prune"), st.sampled_from(MODELS)),
        st.tuples(st.just("a minute"), st.just("")),
        st.tuples(st.just("left out"), st.just("")),
    ),
    max_size=25,
)


def taken(spaces: Spaces, step: tuple[str, str]) -> Spaces:
    match step:
        case ("begin", model):
            return law.begun(spaces, Address(model), 8)
        case ("switch", model):
            seen = spaces.filling.skipped if spaces.filling else 0
            return law.switched(spaces, model, seen) or spaces
        case ("cancel", _):
            return law.cancelled(spaces)
        case ("prune", model):
            return law.pruned(spaces, model)
        case ("left out", _):
            return Spaces(tuple(replace(s, skipped=s.skipped + 1) for s in spaces.every))
    aged = (
        replace(s, retired_seconds=s.retired_seconds + 60) if s.retired_seconds is not None else s
        for s in spaces.every
    )
    return Spaces(tuple(aged))


@given(steps)
def test_one_space_counts_whatever_is_asked(asked: list[tuple[str, str]]) -> None:
    """Spaces itself refuses anything else; every change of the states grows the fence."""
    spaces = FIRST
    for step in asked:
        before = spaces
        with suppress(SpacesRefusedError):
            spaces = taken(spaces, step)
        states = {space.model: space.state for space in spaces.every}
        if states != {space.model: space.state for space in before.every}:
            assert spaces.active.epoch > before.active.epoch
        assert spaces.active not in spaces.beside


@given(steps)
def test_nothing_that_may_be_read_is_pruned(asked: list[tuple[str, str]]) -> None:
    """Neither the active space nor one that was active within the minute."""
    spaces = FIRST
    for step in asked:
        before = spaces
        with suppress(SpacesRefusedError):
            spaces = taken(spaces, step)
        for space in spaces.every:
            was = before.of(space.model)
            if space.state == "pruning" and was is not None and was.state != "pruning":
                assert was.state == "retired"
                assert was.retired_seconds is None or was.retired_seconds >= law.GRACE_SECONDS


def test_a_space_that_was_left_out_does_not_become_active() -> None:
    """A walk that began before facts left it out has not seen them."""
    spaces = law.begun(FIRST, Address("b"), 4)
    assert spaces.filling is not None
    later = taken(spaces, ("left out", ""))
    assert law.switched(later, "b", spaces.filling.skipped) is None
    assert later.filling is not None
    switched = law.switched(later, "b", later.filling.skipped)
    assert switched is not None
    assert switched.active.model == "b"
    assert [space.model for space in switched.beside] == ["a"]


def test_changing_back_fills_what_came_meanwhile_first() -> None:
    """The old space is filled again, at its length, and only then counts."""
    spaces = law.switched(law.begun(FIRST, Address("b"), 4), "b", 0)
    assert spaces is not None
    with pytest.raises(SpacesRefusedError, match="8"):
        law.begun(spaces, Address("a"), 16)
    back = law.begun(spaces, Address("a"), 8)
    assert back.active.model == "b"
    assert back.filling is not None
    assert back.filling.model == "a"


def test_a_second_migration_waits_for_the_first() -> None:
    """It is refused, and told how to end the first."""
    spaces = law.begun(FIRST, Address("b"), 4)
    with pytest.raises(SpacesRefusedError, match="cancel"):
        law.begun(spaces, Address("c"), 4)
    assert law.begun(spaces, Address("b"), 4).filling == spaces.filling


def test_two_active_spaces_cannot_be() -> None:
    with pytest.raises(ValueError, match="one of them active"):
        Spaces((Space(Address("a"), "active"), Space(Address("b"), "active")))
