"""What must be believed (pure): the law folded over the messages that were accepted.

Takes from the database only what a message's arrival decides: its row's id, key and times. What it
says is read from what the client sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any
from uuid import UUID

from shared import slots
from shared.beliefs import Observation, Standing, cluster, fold_slot
from shared.facts.statements import Statement, observed
from shared.ids import fact_id
from tests.chaos.world import Said, facts_of


@dataclass(frozen=True, slots=True)
class Arrival:
    """A stored message: what was meant, and what its arrival made of it."""

    said: Said
    id: UUID
    message_key: str
    said_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """One fact that must exist."""

    user: tuple[str, str]
    number: int
    content: str
    observation: Observation


def expected_facts(arrivals: Iterable[Arrival]) -> dict[UUID, Expected]:
    """Every fact that the accepted messages hold, by the id it must have."""
    found: dict[UUID, Expected] = {}
    for arrival in arrivals:
        if arrival.said.role != "user":
            continue
        for ordinal, raw in enumerate(facts_of(arrival.said.content)):
            fact = _expected(arrival, ordinal, raw)
            found[fact.observation.fact_id] = fact
    return found


def _expected(arrival: Arrival, ordinal: int, raw: Mapping[str, Any]) -> Expected:
    said = arrival.said
    statement = Statement.model_validate(raw)
    columns = observed(statement)
    observation = Observation(
        fact_id=fact_id(said.tenant, 1, arrival.id, ordinal),
        subject=statement.subject,
        slot=columns["slot"],
        value=statement.value if columns["slot"] else statement.content,
        value_key=columns["value_key"],
        cardinality=columns["cardinality"] or "many",
        claim=statement.claim,
        temporal_state=statement.temporal_state,
        said_at=arrival.said_at,
        recorded_at=arrival.recorded_at,
        message_key=arrival.message_key,
        ordinal=ordinal,
        occurred_at=columns["occurred_at"],
        occurred_precision=columns["occurred_precision"],
        ended_at=columns["ended_at"],
        ended_precision=columns["ended_precision"],
        source_message_ids=(arrival.id,),
    )
    return Expected((said.tenant, said.user), said.number, statement.content, observation)


def expected_standings(facts: Mapping[UUID, Expected]) -> dict[UUID, Standing]:
    """What each fact must stand as: every attribute and every user's free text, folded."""
    attributes: dict[tuple[object, ...], list[Observation]] = {}
    texts: dict[tuple[str, str], list[Expected]] = {}
    for fact in facts.values():
        if fact.observation.slot is None:
            texts.setdefault(fact.user, []).append(fact)
        else:
            key = (fact.user, fact.observation.subject, fact.observation.slot)
            attributes.setdefault(key, []).append(fact.observation)
    standings: dict[UUID, Standing] = {}
    for (_, _, slot), observations in attributes.items():
        spec = slots.resolve(str(slot))
        timeline = fold_slot(observations, lasts=spec.lasts if spec else None)
        standings.update(timeline.standings)
    for several in texts.values():
        standings.update(cluster([fact.observation for fact in several], _equal(several)))
    return standings


def _equal(facts: list[Expected]) -> list[tuple[UUID, UUID]]:
    """In this world sentences are the same or have nothing to do with each other."""
    by_content: dict[str, list[UUID]] = {}
    for fact in facts:
        by_content.setdefault(fact.content, []).append(fact.observation.fact_id)
    return [pair for same in by_content.values() for pair in combinations(same, 2)]
