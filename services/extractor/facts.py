"""From a model's answer to observations (pure): each fact is validated on its own.

A bad fact is dropped and counted by its reason; the rest are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from shared.facts.statements import NewFact, Statement, observed
from shared.ids import fact_id
from shared.slots import Catalogue

_MAX_FACTS = 1_000
_QUOTE_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMessage:
    """A stored message that is being extracted."""

    tenant: str
    user: str
    id: UUID
    session: str
    role: str
    content: str
    said_at: datetime
    recorded_at: datetime
    message_key: str
    agent_id: str | None
    speaker: str | None
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Validated:
    """What is kept of an answer, and how many facts were dropped for which reason."""

    facts: list[NewFact]
    dropped: dict[str, int]


def validate(
    raw_facts: object,
    messages: Sequence[SourceMessage],
    *,
    generation: int,
    extraction_id: UUID,
    context: Collection[str] = (),
    catalogue: Catalogue | None = None,
) -> Validated:
    """Keep what rests on these messages and makes sense, in the answer's order.

    `context` has the ids of turns that were shown beside them: naming one too does no harm.
    """
    sources = {str(message.id): message for message in messages}
    ordinals: Counter[UUID] = Counter()
    dropped: Counter[str] = Counter()
    facts: list[NewFact] = []
    for raw in _as_list(raw_facts):
        kept = _read(raw, sources, context)
        if isinstance(kept, str):
            dropped[kept] += 1
            continue
        statement, rests_on = kept
        first = rests_on[0]
        facts.append(
            _new_fact(
                observed(statement, catalogue),
                rests_on,
                raw,
                generation,
                ordinals[first.id],
                extraction_id,
            )
        )
        ordinals[first.id] += 1
    return Validated(facts, dict(dropped))


def in_generation(fact: NewFact, generation: int) -> NewFact:
    """The same fact in a generation: another one may have been promoted while a model thought."""
    if fact.generation == generation:
        return fact
    row = fact_id(fact.tenant, generation, fact.source_message_ids[0], fact.ordinal)
    return replace(fact, generation=generation, id=row)


def _as_list(raw_facts: object) -> Iterable[Any]:
    return raw_facts[:_MAX_FACTS] if isinstance(raw_facts, list) else ()


def _read(
    raw: object, sources: Mapping[str, SourceMessage], context: Collection[str]
) -> tuple[Statement, list[SourceMessage]] | str:
    """Read one fact; returns the reason when it is to be dropped."""
    if not isinstance(raw, dict):
        return "not_an_object"
    named = raw.get("source_message_ids")
    if not isinstance(named, list) or not named:
        return "no_source"
    if any(str(row) not in sources and str(row) not in context for row in named):
        return "unknown_source"
    rests_on = {str(row): sources[str(row)] for row in named if str(row) in sources}
    if not rests_on:
        return "not_said_by_user"
    try:
        statement = Statement.model_validate(raw)
    except ValidationError as error:
        return f"invalid_{error.errors()[0]['loc'][0]}"
    return statement, sorted(rests_on.values(), key=lambda m: (m.said_at, m.message_key))


def _new_fact(
    columns: Mapping[str, Any],
    rests_on: Sequence[SourceMessage],
    raw: Mapping[str, Any],
    generation: int,
    ordinal: int,
    extraction_id: UUID,
) -> NewFact:
    first = rests_on[0]
    quote = raw.get("quote")
    return NewFact(
        **columns,
        tenant=first.tenant,
        user=first.user,
        id=fact_id(first.tenant, generation, first.id, ordinal),
        generation=generation,
        said_at=first.said_at,
        recorded_at=first.recorded_at,
        message_key=first.message_key,
        ordinal=ordinal,
        quote=quote.replace("\x00", "")[:_QUOTE_CHARACTERS] if isinstance(quote, str) else None,
        source_message_ids=tuple(message.id for message in rests_on),
        extraction_id=extraction_id,
        session=first.session,
        agent_id=first.agent_id,
        speaker=first.speaker,
        metadata=first.metadata,
    )
