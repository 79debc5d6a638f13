"""Arbitrary inputs of one slot: few values, few times, so that they collide often."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from shared.beliefs import Correction, Observation, Tombstone
from tests.unit.beliefs.belief_words import identity

START = datetime(2020, 1, 1, tzinfo=UTC)
TIMES = [START + timedelta(days=days, hours=days % 24) for days in range(0, 1200, 61)]
MOMENTS = sorted({t + timedelta(hours=h) for t in TIMES for h in (-1, 0, 1)})

times = st.sampled_from(TIMES)
values = st.sampled_from(["a", "b", "c"])
precisions = st.sampled_from(["instant", "day", "week", "month", "year", "years"])
claims = st.sampled_from(["holds", "holds", "holds", "ends", "denies"])
states = st.sampled_from(["current", "current", "current", "past", "future", "recurring"])


@st.composite
def observations(draw, cardinality=None, states=states, claims=claims, precisions=precisions):
    """One observation; messages share numbers, and each says at most three things."""
    message, ordinal = draw(st.integers(1, 12)), draw(st.integers(0, 2))
    said = TIMES[message * 7 % len(TIMES)]
    occurred, ended = (draw(st.none() | times) for _ in range(2))
    value = draw(values | st.none())
    return Observation(
        fact_id=identity(message, ordinal),
        subject="user",
        slot="slot",
        value=value,
        value_key=value,
        cardinality=cardinality or draw(st.sampled_from(["one", "one", "one", "many"])),
        claim=draw(claims),
        temporal_state=draw(states),
        said_at=said,
        recorded_at=said + timedelta(days=[0, 0, 400, -30][message % 4]),
        message_key=f"m{message}",
        ordinal=ordinal,
        occurred_at=occurred,
        occurred_precision=draw(precisions) if occurred else None,
        ended_at=ended,
        ended_precision=draw(precisions) if ended else None,
        source_message_ids=(identity(message),),
    )


def slots(max_size=8, **more):
    """The observations of one slot: each fact once, in any order."""
    return st.lists(observations(**more), max_size=max_size, unique_by=lambda o: o.fact_id)


exact = {
    "states": st.sampled_from(["current", "current", "past"]),
    "precisions": st.just("instant"),
}


@st.composite
def acts(draw):
    """An operator's correction of some fact, which may not exist."""
    at, value = draw(times), draw(values)
    target = identity(draw(st.integers(1, 12)), draw(st.integers(0, 2)))
    return correction(at, target, value)


def correction(at, target, value):
    return Correction(
        id=identity("act", at, target, value),
        at=at,
        fact_id=target,
        subject="user",
        slot="slot",
        value=value,
        value_key=value,
    )


@st.composite
def stones(draw):
    """A tombstone for a statement, or for some messages."""
    at, value = draw(times), draw(values | st.none())
    messages = () if value else tuple(identity(draw(st.integers(1, 12))) for _ in range(3))
    return Tombstone(
        id=identity("stone", at, value, messages),
        at=at,
        source_message_ids=messages,
        subject="user" if value else None,
        slot="slot" if value else None,
        value_key=value,
    )


correction_lists = st.lists(acts(), max_size=2)
tombstone_lists = st.lists(stones(), max_size=2)
pairs_of_facts = st.lists(
    st.tuples(*[st.builds(identity, st.integers(1, 6), st.integers(0, 2))] * 2), max_size=20
)


def free_text(max_size=8):
    """Free-text observations of one subject."""
    said = slots(max_size, claims=st.just("holds"))
    return said.map(lambda many: [replace(o, slot=None) for o in many])
