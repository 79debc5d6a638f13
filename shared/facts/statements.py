"""From what somebody states to what is stored (pure): slots resolved, values keyed, dates read.

A `Statement` is the extraction contract's fact, however it came. Each is judged on its own: a bad
one is dropped with its reason, its neighbours are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.beliefs.observations import Precision
from shared.facts.dates import parse_date
from shared.intake.messages import Lenient, Metadata, Text, storable
from shared.slots import DEFAULT_CATEGORY, Catalogue, SlotSpec, built_in
from shared.trust import Source

DEFAULT_CONFIDENCE = 0.8
SELF = "user"
_LEAST = 1e-37


def _date(value: str) -> str:
    parse_date(value)
    return value


def _confidence(value: Any) -> Any:
    """Read "0.9" and "90%" as what they mean; models write both."""
    if isinstance(value, str):
        text = value.strip()
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    return value


def _of_a_real(value: float) -> float:
    """Take what PostgreSQL's `real` is too coarse to hold for nothing."""
    return value if value > _LEAST else 0.0


ShortText = Annotated[Text, Field(max_length=500)]
Date = Annotated[str, AfterValidator(_date), Field(examples=["2015-06"])]


class Statement(Lenient):
    """One self-contained sentence about somebody, and what it is about."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    content: Annotated[Text, Field(max_length=2_000, examples=["Lives in Lisbon"])]
    category: ShortText | None = None
    subject: ShortText = SELF
    slot: Annotated[str, Field(max_length=100), AfterValidator(storable)] | None = None
    value: ShortText | None = None
    cardinality: Literal["one", "many"] | None = None
    claim: Literal["holds", "ends", "denies"] = "holds"
    temporal_state: Literal["current", "past", "future", "recurring"] = "current"
    confidence: Annotated[
        float, Field(ge=0, le=1), BeforeValidator(_confidence), AfterValidator(_of_a_real)
    ] = DEFAULT_CONFIDENCE
    occurred_at: Date | None = None
    ended_at: Date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFact:
    """A row of `memory_facts` before any stage has touched it."""

    tenant: str
    user: str
    id: UUID
    generation: int
    statement: Statement
    category: str
    slot: str | None
    value_key: str | None
    cardinality: str | None
    occurred_at: datetime | None
    occurred_precision: Precision | None
    ended_at: datetime | None
    ended_precision: Precision | None
    said_at: datetime | None
    recorded_at: datetime | None
    message_key: str
    ordinal: int
    quote: str | None = None
    source_message_ids: tuple[UUID, ...] = ()
    extraction_id: UUID | None = None
    session: str | None = None
    agent_id: str | None = None
    speaker: str | None = None
    metadata: Metadata | None = None
    source: Source = "user"
    suspicions: tuple[str, ...] = ()
    """Why it is held for review; none: it is not."""


def observed(statement: Statement, catalogue: Catalogue | None = None) -> dict[str, Any]:
    """Work out the columns that follow from a statement and the tenant's catalogue."""
    known = catalogue or built_in()
    spec, slot = _resolve_slot(statement, known)
    occurred_at, occurred_precision = _read(statement.occurred_at)
    ended_at, ended_precision = _read(statement.ended_at)
    return {
        "statement": statement,
        "category": statement.category or (spec.category if spec else DEFAULT_CATEGORY),
        "slot": slot,
        "value_key": _value_key(slot, statement, known),
        "cardinality": known.cardinality(slot, statement.cardinality) if slot else None,
        "occurred_at": occurred_at,
        "occurred_precision": occurred_precision,
        "ended_at": ended_at,
        "ended_precision": ended_precision,
    }


def _resolve_slot(statement: Statement, catalogue: Catalogue) -> tuple[SlotSpec | None, str | None]:
    """Find the slot, or keep one the catalogue does not know in one spelling.

    A claim that something holds needs a value; without one it is free text.
    """
    named = (statement.slot or "").strip()
    if not named or (statement.value is None and statement.claim == "holds"):
        return None, None
    return catalogue.resolve(named), catalogue.name_of(named)


def _value_key(slot: str | None, statement: Statement, catalogue: Catalogue) -> str | None:
    if slot is None:
        return catalogue.value_key(None, statement.content)
    return catalogue.value_key(slot, statement.value) if statement.value else None


def _read(date: str | None) -> tuple[datetime | None, Precision | None]:
    return parse_date(date) if date else (None, None)
