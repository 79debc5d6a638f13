"""An input as the fold reads it: ranked, in UTC, its precision resolved to the end of its unit.

Decides which inputs take part at all (rule 13). Observations and the two halves of an operator's
correction have the same form from here on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

from shared.beliefs.moments import unit_end
from shared.beliefs.observations import (
    ClaimKind,
    Correction,
    Observation,
    Precision,
    Rank,
    TemporalState,
    Tombstone,
    effective_said_at,
    rank_key,
    sources_of,
)

Named: TypeAlias = tuple[str | None, str | None, str | None]
"""A subject, a slot (None: free text) and the key of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A stated date: it lies somewhere in [at, until); exact when both are equal."""

    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ranked input of a slot. `quiet`: its end says nothing about earlier equal claims."""

    rank: Rank
    fact_id: UUID
    message: str
    said: datetime
    recorded: datetime
    claim: ClaimKind
    state: TemporalState
    value: str | None
    value_key: str | None
    start: Moment | None
    end: Moment | None
    quiet: bool = False

    @property
    def is_claim(self) -> bool:
        """It says that a value holds, held, or recurs (rule 2)."""
        return self.claim == "holds" and self.state != "future" and self.value_key is not None

    @property
    def is_open(self) -> bool:
        """It states no end, so that another value can succeed it for good (rule 4)."""
        return self.end is None and self.state != "past"

    @property
    def is_statement(self) -> bool:
        """It says that its value is true at the very time of saying (rules 7 and 8)."""
        if not self.is_claim or self.state != "current":
            return False
        return self.end is None or self.end.until > self.said or self.end.at > self.said


def entry_of(observation: Observation) -> Entry:
    """The observation in the fold's form."""
    return Entry(
        rank=rank_key(observation),
        fact_id=observation.fact_id,
        message=observation.message_key,
        said=effective_said_at(observation),
        recorded=observation.recorded_at.astimezone(UTC),
        claim=observation.claim,
        state=observation.temporal_state,
        value=observation.value,
        value_key=observation.value_key,
        start=_moment(observation.occurred_at, observation.occurred_precision),
        end=_moment(observation.ended_at, observation.ended_precision),
    )


def _moment(at: datetime | None, precision: Precision | None) -> Moment | None:
    if at is None:
        return None
    return Moment(at=at.astimezone(UTC), until=unit_end(at.astimezone(UTC), precision))


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Rule 13: a tombstone stops what it names, said no later than itself, whenever it arrives."""

    statements: Mapping[Named, datetime]
    messages: Mapping[UUID, datetime]
    valueless: Mapping[tuple[str | None, str, UUID], datetime]
    sweeping: Sequence[Tombstone] = ()

    def stops(self, observation: Observation) -> bool:
        """Whether what it says, or every message it rests on, was forgotten after it was said."""
        statement = (observation.subject, observation.slot, observation.value_key)
        said = effective_said_at(observation)
        named = self._stops(statement, sources_of(observation), said)
        return named or any(_sweeps(stone, observation, said) for stone in self.sweeping)

    def stops_act(self, act: Correction) -> bool:
        """Whether what an operator said was forgotten later."""
        return self._stops((act.subject, act.slot, act.value_key), (act.id,), act.at)

    def _stops(self, statement: Named, sources: Sequence[UUID], said: datetime) -> bool:
        subject, slot, value_key = statement
        if all(_stopped(said, self.messages.get(source)) for source in sources):
            return True
        if value_key is not None:
            return _stopped(said, self.statements.get((subject, slot, value_key)))
        if slot is None:
            return False
        return all(_stopped(said, self.valueless.get((subject, slot, s))) for s in sources)


def _stopped(said: datetime, at: datetime | None) -> bool:
    return at is not None and said <= at


def _sweeps(stone: Tombstone, observation: Observation, said: datetime) -> bool:
    """Whether it is of the words and the time that were forgotten; operators' acts never are."""
    if observation.origin is None or said > stone.at:
        return False
    if stone.origin is not None and stone.origin != observation.origin:
        return False
    return stone.since is None or observation.recorded_at >= stone.since


def forgetting(tombstones: Iterable[Tombstone]) -> Forgetting:
    """The tombstones, indexed by what they name; of several the latest counts."""
    statements: dict[Named, datetime] = {}
    messages: dict[UUID, datetime] = {}
    valueless: dict[tuple[str | None, str, UUID], datetime] = {}
    sweeping: list[Tombstone] = []
    for stone in tombstones:
        if stone.origin is not None or stone.since is not None:
            sweeping.append(stone)
            continue
        if stone.value_key is not None:
            named = (stone.subject, stone.slot, stone.value_key)
            statements[named] = max(stone.at, statements.get(named, stone.at))
            continue
        for source in stone.source_message_ids:
            if stone.slot is None:
                messages[source] = max(stone.at, messages.get(source, stone.at))
            else:
                key = (stone.subject, stone.slot, source)
                valueless[key] = max(stone.at, valueless.get(key, stone.at))
    return Forgetting(statements, messages, valueless, sweeping)
