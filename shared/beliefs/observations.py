"""What goes into the law: observations, operators' corrections and tombstones, and their rank.

Decides who spoke later (rule 1) and what counts as one delivery. It never reads a clock: every
time here was said or recorded by somebody else.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeAlias, TypeVar
from uuid import UUID

ClaimKind: TypeAlias = Literal["holds", "ends", "denies"]
TemporalState: TypeAlias = Literal["current", "past", "future", "recurring"]
Cardinality: TypeAlias = Literal["one", "many"]
Precision: TypeAlias = Literal["instant", "day", "week", "month", "year", "years"]
NaturalKey: TypeAlias = tuple[tuple[tuple[int, int, str], ...], str]
Rank: TypeAlias = tuple[datetime, int, NaturalKey, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one message said about one (subject, slot); its content never changes.

    All datetimes carry a zone. For free text (`slot is None`) `value_key` is the key of the
    content, which is what a tombstone names.
    """

    fact_id: UUID
    subject: str
    slot: str | None
    value: str | None
    value_key: str | None
    cardinality: Cardinality
    claim: ClaimKind
    temporal_state: TemporalState
    said_at: datetime
    recorded_at: datetime
    message_key: str
    ordinal: int
    occurred_at: datetime | None = None
    occurred_precision: Precision | None = None
    ended_at: datetime | None = None
    ended_precision: Precision | None = None
    source_message_ids: tuple[UUID, ...] = ()
    origin: str | None = None
    """Whose words it rests on; None for an operator's own act."""
    held: str | None = None
    """What a decision about it names, where it was suspicious when it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """An operator's act (rule 12): the fact `fact_id` of (subject, slot) should say `value`.

    `fact_id` may name an observation or an earlier correction. The new belief carries the act's
    own `id`, in intervals and in standings. `old_value_key`, `valid_from` and `valid_to` record
    what the operator saw; they count where the fact is gone: forgotten, or of another generation.
    For free text (`slot is None`) the new sentence is an observation whose `fact_id` is the act's.
    """

    id: UUID
    at: datetime
    fact_id: UUID
    subject: str
    slot: str | None
    value: str | None
    value_key: str | None
    cardinality: Cardinality = "one"
    old_value_key: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """An order to forget (rule 13), given `at`.

    With `value_key` it names a statement: (subject, slot, value), or for free text (subject, None,
    content key). Without one it names messages, and forgets what rests on these alone: in every
    slot, or, if it names one, what was said about it without a value. With `origin` or `since` it
    is sweeping: it forgets all that rests on such words, or was recorded no earlier.
    """

    id: UUID
    at: datetime
    source_message_ids: tuple[UUID, ...] = ()
    subject: str | None = None
    slot: str | None = None
    value_key: str | None = None
    origin: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """An operator's decision about what was held: it counts, or is forgotten. See `quarantine`."""

    id: UUID
    at: datetime
    key: str
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherWords:
    """Another statement that says what the correction `act_id` replaced: see `other_words`."""

    id: UUID
    at: datetime
    act_id: UUID
    subject: str
    slot: str | None
    value_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """An operator takes an earlier act back: see `undoing`."""

    id: UUID
    at: datetime
    act_id: UUID


Act = TypeVar("Act", Correction, OtherWords, Review)
"""What counts from its time on, until it is undone."""


@lru_cache(maxsize=16_384)  # a fold asks for each message's key several times
def natural_key(message_key: str) -> NaturalKey:
    """Sorts digits by their number: m9 before m10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", message_key)
    return tuple(_part(part) for part in parts), message_key


def _part(part: str) -> tuple[int, int, str]:
    if part[0] in "0123456789":
        digits = part.lstrip("0")
        return 0, len(digits), digits
    return 1, 0, part


def effective_said_at(observation: Observation) -> datetime:
    """When it counts as said: nothing is said after it arrived (rule 1)."""
    return min(observation.said_at, observation.recorded_at).astimezone(UTC)


def rank_key(observation: Observation) -> Rank:
    """Who is later (rule 1): said, then the message in natural order, then its ordinal.

    The second element keeps operators' acts behind messages of the same instant. The fact's id is
    last and decides only between observations that the law cannot tell apart.
    """
    return (
        effective_said_at(observation),
        0,
        natural_key(observation.message_key),
        observation.ordinal,
        observation.fact_id.int,
    )


def act_rank(correction: Correction, ordinal: int) -> Rank:
    """An operator's act wins ties against what was said at the same instant (rule 12)."""
    return (
        correction.at.astimezone(UTC),
        1,
        natural_key(str(correction.id)),
        ordinal,
        correction.id.int,
    )


def deliveries(observations: Iterable[Observation]) -> list[Observation]:
    """One observation per fact id, in rank order, recorded when it first arrived (rule 1)."""
    first: dict[UUID, Observation] = {}
    for observation in observations:
        known = first.get(observation.fact_id)
        first[observation.fact_id] = observation if known is None else _one(known, observation)
    return sorted(first.values(), key=rank_key)


def _one(left: Observation, right: Observation) -> Observation:
    """The same content whichever copy came first, with the earlier arrival."""
    kept = left if left == right else min(left, right, key=_content)
    return replace(kept, recorded_at=min(left.recorded_at, right.recorded_at))


def _content(observation: Observation) -> tuple[datetime, str]:
    return observation.recorded_at, repr(observation)


def sources_of(observation: Observation) -> tuple[UUID, ...]:
    """The messages it rests on; a fact that was stated directly is its own."""
    return observation.source_message_ids or (observation.fact_id,)


def recorded_by(
    observations: Iterable[Observation], known_at: datetime | None
) -> list[Observation]:
    """What had arrived by `known_at`; everything without one."""
    return [o for o in observations if known_at is None or o.recorded_at <= known_at]


def acts_by(corrections: Iterable[Correction], known_at: datetime | None) -> list[Correction]:
    """Operators' acts made by `known_at`, each once, in the order they were made."""
    acts = {act.id: act for act in corrections if known_at is None or act.at <= known_at}
    return sorted(acts.values(), key=lambda act: (act.at, act.id.int))
