"""What callers get: the public shapes of DESIGN §6, field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.gateway.auth import Scope
from shared.trust import Source as WhoseWords

Status = Literal["current", "planned", "due", "past", "merged", "forgotten"]
Outcome = Literal["accepted", "duplicate"]


class ErrorDetail(BaseModel):
    index: int | None = None
    field: str
    reason: str


class ErrorContent(BaseModel):
    code: str = Field(examples=["invalid_request"])
    message: str
    details: list[ErrorDetail]


class ErrorBody(BaseModel):
    """Every failure."""

    error: ErrorContent


class Fact(BaseModel):
    """One observation, and what became of it.

    `status` is null while it does not count: until it is settled, or while it is held for review.
    """

    id: UUID
    user_id: str
    session_id: str | None
    content: str = Field(examples=["Lives in Lisbon"])
    category: str = Field(examples=["biographical"])
    subject: str = Field(examples=["user"])
    slot: str | None = Field(examples=["home_city"])
    value: str | None = Field(examples=["Lisbon"])
    cardinality: Literal["one", "many"] | None
    claim: Literal["holds", "ends", "denies"]
    temporal_state: Literal["current", "past", "future", "recurring"]
    occurred_at: str | None = Field(description="As precise as it is known.", examples=["2026-05"])
    ended_at: str | None
    time_precision: str | None
    said_at: datetime
    recorded_at: datetime
    confidence: float
    quote: str | None
    source_message_ids: list[UUID]
    extraction_id: UUID | None
    agent_id: str | None
    speaker: str | None
    metadata: dict[str, Any] | None
    state: Literal["extracted", "embedded", "compared", "settled"]
    status: Status | None
    canonical_id: UUID | None
    valid_from: datetime | None
    valid_to: datetime | None
    superseded_by: UUID | None
    evidence_count: int
    essential: bool
    pinned: bool = Field(description="It never fades, since somebody said so.")
    fades_at: datetime | None = Field(
        description="From when it is left out unless it is asked for; null: never, as far as known."
    )
    source: WhoseWords = Field(description="Whose words it rests on, the least trusted of them.")
    trust: float = Field(description="How far they are trusted, 0 to 1; weighs in recall.")
    quarantine: list[str] | None = Field(
        description="Why it is held for review; null: it is not. What is held is not recalled."
    )


class RecalledFact(Fact):
    score: float = Field(description="How relevant, 0 to 1, whatever else was found.")
    explain: dict[str, Any] | None = None


class Freshness(BaseModel):
    """What was said and does not count yet."""

    pending: int
    oldest_seconds: float | None


class Recalled(BaseModel):
    relevant_facts: list[RecalledFact]
    messages: list[RecalledMessage] = Field(
        default_factory=list, description="Only where `include` asks for messages."
    )
    freshness: Freshness
    explain: dict[str, Any] | None = None


class FactInContext(Fact):
    score: float | None = Field(None, description="Of what the query found; else it is absent.")
    explain: dict[str, Any] | None = None


class Context(BaseModel):
    """A block for a prompt, and the facts in it in their order."""

    context: str = Field(examples=['## Memory\n…\n- "Lives in Lisbon" (since 2026-05)\n'])
    tokens: int = Field(description="About how many it takes, at 4 characters each.")
    facts: list[FactInContext]
    explain: dict[str, Any] | None = None


class Accepted(BaseModel):
    status: Outcome
    chat_log_id: UUID
    trace_id: str


class BatchAccepted(BaseModel):
    messages: list[Accepted]


class FactAccepted(BaseModel):
    status: Outcome
    fact_id: UUID
    trace_id: str


class TraceStage(BaseModel):
    stage: str = Field(examples=["extractor"])
    state: Literal["pending", "done", "dead"]
    at: datetime | None
    attempts: int


class TraceFailure(BaseModel):
    stage: str
    error_class: str
    error: str
    attempts: int
    next_attempt_at: datetime | None
    dead_at: datetime | None


class TracedExtraction(BaseModel):
    """The call that read a message, with its session's others: what it kept, and dropped why."""

    extractor: str | None = Field(examples=["llm"])
    model: str | None
    prompt: str | None = Field(examples=["extract.v2"])
    facts: int = Field(description="How many facts the call left; 0 is a good answer.")
    dropped: dict[str, int] = Field(
        description="How many were dropped, by reason: `docs/extraction.md`.",
        examples=[{"quote_not_found": 1}],
    )


class TracedJob(BaseModel):
    """What a job was about, and what it did so far."""

    kind: str
    requested_at: datetime
    due_slot: datetime | None = Field(description="The slot of its schedule; null: asked for.")
    started_at: datetime | None
    result: dict[str, Any] | None


class Trace(BaseModel):
    """How far a message, stated fact or job has come."""

    trace_id: str
    chat_log_id: UUID | None
    status: Literal["open", "settled", "dead"]
    stages: list[TraceStage]
    facts: list[Fact]
    failures: list[TraceFailure]
    extraction: TracedExtraction | None = Field(None, description="Null until it is done.")
    job: TracedJob | None = Field(None, description="Null unless this is a job's trace.")


class User(BaseModel):
    user_id: str
    created_at: datetime


class Users(BaseModel):
    users: list[User]
    next_cursor: str | None


class Facts(BaseModel):
    facts: list[Fact]
    next_cursor: str | None


class TimelineInterval(BaseModel):
    value: str
    fact_id: UUID
    valid_from: datetime | None
    valid_to: datetime | None
    evidence: list[UUID]


class TimelineSlot(BaseModel):
    """What recurs in a slot of one ("every summer in Italy") stands beside its intervals."""

    subject: str
    slot: str
    cardinality: Literal["one", "many"]
    intervals: list[TimelineInterval]
    recurring: list[TimelineInterval] = Field(
        default_factory=list, description="Left out where there is none."
    )


class Timeline(BaseModel):
    slots: list[TimelineSlot]


class ChatMessage(BaseModel):
    """A raw message; `state` says how far its extraction is."""

    chat_log_id: UUID
    session_id: str
    role: str
    content: str
    timestamp: datetime
    recorded_at: datetime
    message_id: str | None
    agent_id: str | None
    speaker: str | None
    metadata: dict[str, Any] | None
    state: Literal["received", "extracting", "extracted"]


class RecalledMessage(ChatMessage):
    score: float = Field(description="How relevant its words are, 0 to 1.")


class ChatMessages(BaseModel):
    messages: list[ChatMessage]
    next_cursor: str | None


class Extraction(BaseModel):
    id: UUID
    extractor: str | None
    model: str | None
    prompt: str | None
    created_at: datetime


class RemovedMessage(BaseModel):
    """A message whose words retention removed; the fact that rests on it stays."""

    id: UUID
    removed_at: datetime


class Source(BaseModel):
    fact_id: UUID
    messages: list[ChatMessage]
    removed: list[RemovedMessage]
    quote: str | None
    extraction: Extraction | None


class HistoryEvent(BaseModel):
    event: str
    at: datetime
    data: dict[str, Any] | None


class FactVerdict(BaseModel):
    """What was decided about a fact and another one: by whom, when and why."""

    fact_id: UUID
    verdict: str
    judge: str = Field(description="`guards`, or the model that was asked.")
    reason: str
    at: datetime


class Act(BaseModel):
    """What an operator did: who, when, why. `new_fact_id` is the correction's own fact."""

    id: UUID
    kind: Literal[
        "correction", "deletion", "erasure", "forgetting", "approval", "rejection", "undo"
    ]
    at: datetime
    actor: str
    reason: str | None
    fact_id: UUID | None
    new_fact_id: UUID | None = None
    undoes: UUID | None = Field(None, description="The act that an undo takes back.")


class History(BaseModel):
    """`generation`: which run of which prompt it belongs to; 0 was stated directly."""

    fact_id: UUID
    generation: int
    counts: bool = Field(description="Whether that generation is the one in use.")
    events: list[HistoryEvent]
    evidence: list[UUID]
    verdicts: list[FactVerdict]
    acts: list[Act]


class Forgotten(BaseModel):
    """How many messages were erased, and how many facts that rested on them alone."""

    messages: int
    facts: int


class Profile(BaseModel):
    """What is known about a user in a few lines; stale when something it rests on has changed."""

    content: str
    stale: bool
    stale_since: datetime | None
    stale_fact: UUID | None
    written_at: datetime
    rests_on: list[UUID]


class Conscious(BaseModel):
    essential: list[Fact]
    profile: Profile | None


class JobAccepted(BaseModel):
    trace_id: str


class Key(BaseModel):
    id: UUID
    name: str
    scope: Scope
    user_id: str | None = Field(description="The only user it opens; null: the whole tenant.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To about a minute.")


class ShownKey(Key):
    key: str = Field(description="Shown this once.", examples=["mem_0198…_…"])


class Keys(BaseModel):
    keys: list[Key]
    next_cursor: str | None


class Slot(BaseModel):
    """An attribute; `proposed` when only facts name it."""

    name: str = Field(examples=["home_city"])
    source: Literal["catalogue", "tenant", "proposed"]
    category: str
    cardinality: Literal["one", "many"]
    or_as_said: bool = Field(description="A statement's own cardinality counts.")
    kind: str = Field(description="How two spellings of a value are compared.")
    synonyms: list[str]
    lasts_days: float | None
    facts: int | None = Field(description="Of a proposed one: how many facts name it, up to 1,000.")


class Slots(BaseModel):
    slots: list[Slot]
    refolding: bool = Field(description="Some beliefs do not follow the last change yet.")
    next_cursor: None = Field(description="Null: the list is whole, 500 proposed ones at most.")
