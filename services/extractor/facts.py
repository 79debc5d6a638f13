"""From an extractor's answer to observations (pure): each fact is judged on its own.

A fact is kept when it says something, names messages that were sent, is grounded in them, holds no
secret, and is not junk. What fails is dropped and counted by its reason; the rest are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from services.extractor.echoes import shown
from services.extractor.evidence import Evidence
from services.extractor.grounding import folded, occurs
from services.extractor.junk import Saying, junk_reason
from services.extractor.leniency import put_right, quote_of, source_ids
from services.extractor.trusted import (
    Heard,
    Provenance,
    Said,
    heard_around,
    heard_too,
    provenance,
)
from services.extractor.turns import ChatTurn
from shared.facts.statements import NewFact, Statement, observed
from shared.ids import fact_id
from shared.redaction import is_secret, redact
from shared.slots import Catalogue
from shared.trust import source_of, speaks_for_user

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

    def having_lost(self, before: Mapping[str, int]) -> Validated:
        """The same, with what was lost before anything was validated."""
        return Validated(self.facts, dict(Counter(before) + Counter(self.dropped)))


@dataclass(frozen=True, slots=True)
class _Source:
    """A message that was sent, and what the extractor was shown of it."""

    message: SourceMessage
    shown: Evidence
    heard: Heard


@dataclass(frozen=True, slots=True)
class _Kept:
    """A fact that may stand, and the messages it rests on, first said first."""

    statement: Statement
    quote: str | None
    rests_on: Sequence[SourceMessage]
    provenance: Provenance

    @property
    def key(self) -> tuple[object, ...]:
        """What another fact of the same message must differ in to say something else."""
        said = self.statement
        about = (said.subject.casefold(), said.claim, said.temporal_state, said.slot)
        times = (said.occurred_at, said.ended_at)
        return (self.rests_on[0].id, *about, *times, folded(said.value or ""), folded(said.content))


def validate(
    raw_facts: object,
    messages: Sequence[SourceMessage],
    *,
    generation: int,
    extraction_id: UUID,
    context: Sequence[ChatTurn] = (),
    catalogue: Catalogue | None = None,
    guards: bool = True,
) -> Validated:
    """Keep what rests on these messages and makes sense, in the answer's order.

    `messages` are as they were stored. `context` are the turns that were shown beside them: naming
    one too does no harm. With `guards` what is suspicious is held for review.
    """
    sources = {str(message.id): _source(message) for message in messages}
    around = heard_around(context) if guards else None
    said = [source.heard for source in sources.values()]
    said_too = [*(each for each in said if speaks_for_user(each.source)), *heard_too(context)]
    beside = {turn.id for turn in context}
    ordinals: Counter[UUID] = Counter()
    dropped: Counter[str] = Counter()
    told: set[tuple[object, ...]] = set()
    facts: list[NewFact] = []
    for raw in _listed(raw_facts, dropped):
        kept = _judged(raw, sources, beside, around, said_too)
        if isinstance(kept, _Kept) and kept.key in told:
            kept = "duplicate"
        if isinstance(kept, str):
            dropped[kept] += 1
            continue
        told.add(kept.key)
        first = kept.rests_on[0].id
        columns = observed(kept.statement, catalogue)
        ordinal = ordinals[first]
        facts.append(_new_fact(kept, columns, generation, ordinal, extraction_id))
        ordinals[first] += 1
    return Validated(facts, dict(dropped))


def in_generation(fact: NewFact, generation: int) -> NewFact:
    """The same fact in a generation: another one may have been promoted while a model thought."""
    if fact.generation == generation:
        return fact
    row = fact_id(fact.tenant, generation, fact.source_message_ids[0], fact.ordinal)
    return replace(fact, generation=generation, id=row)


def _listed(raw_facts: object, dropped: Counter[str]) -> Iterable[Any]:
    facts = raw_facts if isinstance(raw_facts, list) else []
    if len(facts) > _MAX_FACTS:
        dropped["too_many"] += len(facts) - _MAX_FACTS
    return facts[:_MAX_FACTS]


def _source(message: SourceMessage) -> _Source:
    text = shown(message.role, message.content)
    heard = Heard(text, source_of(message.role, message.metadata))
    return _Source(message, Evidence(text), heard)


def _judged(
    raw: object,
    sources: Mapping[str, _Source],
    context: Collection[str],
    around: Sequence[Heard] | None,
    said_too: Sequence[Heard],
) -> _Kept | str:
    """Judge one fact; returns the reason when it is to be dropped."""
    if not isinstance(raw, dict):
        return "not_an_object"
    named = source_ids(raw)
    if not named:
        return "no_source"
    if any(row not in sources and row not in context for row in named):
        return "unknown_source"
    rests_on = sorted(
        {row: sources[row] for row in named if row in sources}.values(),
        key=lambda source: (source.message.said_at, source.message.message_key),
    )
    if not rests_on:
        return "not_said_by_user"
    return _grounded(raw, rests_on, around, said_too)


def _grounded(
    raw: Mapping[str, Any],
    rests_on: Sequence[_Source],
    around: Sequence[Heard] | None,
    said_too: Sequence[Heard],
) -> _Kept | str:
    """Compare a fact with what its messages say, as the extractor was shown them.

    Without `around` nobody asks whose words they are.
    """
    quote = quote_of(raw)
    said_in = [each for each in rests_on if quote is None or occurs(quote, each.shown.folded)]
    fields = put_right(raw, (said_in or rests_on)[0].message.said_at)
    if isinstance(fields, str):
        return fields
    if _holds_secret(fields, quote):
        return "secret"
    if not said_in:
        return "quote_not_found"
    try:
        said = Statement.model_validate(fields)
    except ValidationError as error:
        return f"invalid_{error.errors()[0]['loc'][0]}"
    saying = Saying(said.content, said.value, said.subject, said.claim, said.temporal_state)
    junk = junk_reason(saying, quote, [each.shown for each in rests_on])
    if junk:
        return junk
    whose = Provenance("user")
    if around is not None:
        compared = Said(said.content, said.value, said.subject, quote, said.category)
        whose = provenance(compared, [each.heard for each in rests_on], around, said_too)
    return _Kept(said, quote, [each.message for each in rests_on], whose)


def _holds_secret(fields: Mapping[str, Any], quote: str | None) -> bool:
    """A quote may show where a secret was; what is believed may not."""
    said = (fields["content"], fields["value"], fields["subject"])
    return any(is_secret(each) for each in said if each) or redact(quote or "") != (quote or "")


def _new_fact(
    kept: _Kept,
    columns: Mapping[str, Any],
    generation: int,
    ordinal: int,
    extraction_id: UUID,
) -> NewFact:
    first = kept.rests_on[0]
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
        quote=kept.quote.replace("\x00", "")[:_QUOTE_CHARACTERS] if kept.quote else None,
        source_message_ids=tuple(message.id for message in kept.rests_on),
        extraction_id=extraction_id,
        session=first.session,
        agent_id=first.agent_id,
        speaker=first.speaker,
        metadata=first.metadata,
        source=kept.provenance.source,
        suspicions=kept.provenance.suspicions,
    )
