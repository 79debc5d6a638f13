"""An input as the fold reads it: ranked, in UTC, its precision resolved to the end of its unit.

Decides which inputs take part at all (rule 13). Observations and the two halves of an operator's
correction have the same form from here on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared.beliefs.moments import unit_end
from shared.beliefs.observations import (
    ClaimKind,
    Observation,
    Precision,
    Rank,
    TemporalState,
    Tombstone,
    effective_said_at,
    rank_key,
)


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

    statements: Mapping[tuple[str | None, str | None, str], datetime]
    messages: tuple[tuple[datetime, frozenset[UUID]], ...]

    def stops(self, observation: Observation) -> bool:
        """Whether what it says, or every message it rests on, was forgotten after it was said."""
        said = effective_said_at(observation)
        sources = observation.source_message_ids
        return self.stops_statement(
            observation.subject, observation.slot, observation.value_key, said
        ) or any(
            bool(sources) and said <= at and named.issuperset(sources)
            for at, named in self.messages
        )

    def stops_statement(
        self, subject: str, slot: str | None, value_key: str | None, said: datetime
    ) -> bool:
        """Whether the statement, said then, was forgotten later."""
        if value_key is None:
            return False
        at = self.statements.get((subject, slot, value_key))
        return at is not None and said <= at


def forgetting(tombstones: Iterable[Tombstone]) -> Forgetting:
    """The tombstones, indexed by what they name; of several the latest counts."""
    statements: dict[tuple[str | None, str | None, str], datetime] = {}
    messages: list[tuple[datetime, frozenset[UUID]]] = []
    for stone in tombstones:
        if stone.value_key is None:
            messages.append((stone.at, frozenset(stone.source_message_ids)))
            continue
        named = (stone.subject, stone.slot, stone.value_key)
        statements[named] = max(stone.at, statements.get(named, stone.at))
    return Forgetting(statements, tuple(messages))
