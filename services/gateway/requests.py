"""What callers may send: bodies and path segments (behind the question mark: `query_strings`).

Fields nobody knows are refused: a filter that is silently ignored would be a wrong answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import Header, Path
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from services.gateway.auth import Scope
from services.gateway.event_store import EVENT_ID
from shared.facts.dates import ends_before
from shared.facts.statements import Statement
from shared.intake.messages import (
    Identifier,
    IncomingMessage,
    Instant,
    Lenient,
    Metadata,
    Text,
    storable,
)
from shared.redaction import is_secret
from shared.value_keys import KINDS

View = Literal["current", "all"]
LIST_LIMIT = 50
CONTEXT_TOKENS = 1_000

UserId = Annotated[Identifier, Path(description="Your own id of the user.", examples=["ana"])]
SessionId = Annotated[Identifier, Path(description="Your own id of the session.")]
FactId = Annotated[str, Path(description="The fact's id.")]
LetterId = Annotated[str, Path(description="The dead letter's id.")]
SlotPath = Annotated[
    Identifier, Field(max_length=100), Path(description="The slot's name, as in parking_spot.")
]
ChatLogId = Annotated[str, Path(description="The message's `chat_log_id`.")]
KeyId = Annotated[str, Path(description="The key's id.")]
Reason = Annotated[Text, Field(max_length=2_000)]
ShortText = Annotated[Text, Field(max_length=500)]
SlotName = Annotated[Text, Field(max_length=100)]
Limit = Annotated[int, Field(ge=1, le=100)]
Age = Annotated[float, Field(ge=0, le=3_153_600_000)]
"""Seconds, up to a hundred years."""

Cursor = Annotated[str, Field(max_length=2_000)]
LONGEST_KEY = 255
_KEY_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_KEY,
    # what is printable of Latin-1, as which headers are read, and no space at either end
    "pattern": "^[!-~¡-¬®-ÿ]([ -~¡-¬®-ÿ]*[!-~¡-¬®-ÿ])?$",
}
IdempotencyKey = Annotated[
    Annotated[str, WithJsonSchema(_KEY_SCHEMA)] | None,
    Header(description="1 to 255 printable characters; makes a retry safe."),
]
EventId = Annotated[str, WithJsonSchema({"type": "string", "pattern": EVENT_ID})]

AS_OF = "What was true at this moment; default: now, or `known_at`."
KNOWN_AT = "What was believed at this moment: only what had been recorded by then counts."

EXAMPLE_UNDO = {"reason": "It was somebody else who asked"}
EXAMPLE_MESSAGE: dict[str, Any] = {
    "user_id": "ana",
    "session_id": "chat-7",
    "role": "user",
    "content": "We moved to Lisbon in May, and I still can't stand coriander.",
    "timestamp": "2026-06-01T10:00:00Z",
    "message_id": "msg-1042",
}


def _no_text(value: object) -> object:
    """Refuse what pydantic would take for a number: JSON has numbers of its own."""
    if isinstance(value, str | bool):
        raise ValueError("must be a number")  # noqa: TRY004  pydantic wants ValueError
    return value


class RequestBody(Lenient):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Batch(RequestBody):
    """Messages that are stored together or not at all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"messages": [EXAMPLE_MESSAGE]}]})

    messages: list[IncomingMessage] = Field(min_length=1, description="1 to 500, in order.")


def _without_secret(value: str) -> str:
    """Refuse what no model may be shown and no fact may hold."""
    if is_secret(value):
        raise ValueError("holds a secret (a password, key or card number), which is never a fact")
    return value


def _said_twice_is_said(schema: dict[str, Any]) -> None:
    schema.pop("uniqueItems", None)


class RecallRequest(RequestBody):
    """What is known about a user that matters for a query."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_id": "ana", "query": "Where does she live?", "limit": 5}]
        }
    )

    user_id: Identifier
    query: Annotated[Text, Field(max_length=4_000)]
    limit: Annotated[Limit, BeforeValidator(_no_text)] = 5
    view: View = "current"
    categories: Annotated[list[ShortText], Field(max_length=50)] | None = None
    slots: Annotated[list[SlotName], Field(max_length=50)] | None = None
    metadata: Metadata | None = Field(None, description="Labels that must all be there.")
    max_age_days: Annotated[float, Field(gt=0, le=36_500), BeforeValidator(_no_text)] | None = None
    since: Instant | None = Field(None, description="On occurred_at, else said_at; inclusive.")
    until: Instant | None = Field(None, description="On occurred_at, else said_at; exclusive.")
    as_of: Instant | None = Field(None, description=AS_OF)
    known_at: Instant | None = Field(None, description=KNOWN_AT)
    min_score: Annotated[float, Field(ge=0, le=1), BeforeValidator(_no_text)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_no_text)] | None = Field(
        None, description="Trims the list to about so many tokens (4 characters each)."
    )
    include: Annotated[
        set[Literal["facts", "messages"]],
        Field(min_length=1, json_schema_extra=_said_twice_is_said),
    ] = Field(
        {"facts"}, description="With messages: also what was said, word for word, as `messages`."
    )
    hints: StrictBool = Field(
        True, description="Let the query's own words (slots, persons, times) weigh: docs/asking.md."
    )
    explain: StrictBool = False


class ContextRequest(RecallRequest):
    """A query, as recall takes it, and how the block for the prompt is written."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_id": "ana", "query": "Where does she live?", "max_tokens": 500}]
        }
    )

    format: Literal["markdown", "xml", "json"] = "markdown"
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_no_text)] | None = Field(
        None, description="The block takes about so many at most (4 characters each); 1,000."
    )

    @property
    def most_tokens(self) -> int:
        return self.max_tokens or CONTEXT_TOKENS

    def as_recall(self) -> RecallRequest:
        """The query alone: the block counts its tokens itself."""
        fields = self.model_dump(exclude={"format", "max_tokens"}, exclude_unset=True)
        return RecallRequest(**fields)


class StatedFact(Statement):
    """A fact the application states itself, without a message."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"content": "Lives in Lisbon", "slot": "home_city", "value": "Lisbon"}]
        },
    )

    slot: SlotName | None = None
    timestamp: Instant | None = Field(None, description="When it was said; default: now.")
    message_id: Identifier | None = Field(None, description="Your own id: makes a retry safe.")
    metadata: Metadata | None = None

    _no_secret = field_validator("content", "value", "subject")(_without_secret)

    @field_validator("ended_at")
    @classmethod
    def _not_before_it_began(cls, value: str | None, info: ValidationInfo) -> str | None:
        begins = info.data.get("occurred_at")
        if value and begins and ends_before(begins, value):
            raise ValueError("must not lie before occurred_at")
        return value

    @field_validator("confidence", mode="before")
    @classmethod
    def _no_text(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a number")  # noqa: TRY004  pydantic wants ValueError
        return value


class FactCorrection(RequestBody):
    """What should be said instead; at least one of value, content, category, metadata, pinned."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"value": "Porto", "reason": "The user wrote to support"}]}
    )

    value: ShortText | None = Field(None, description="The slot's right value.")
    content: Annotated[Text, Field(max_length=2_000)] | None = Field(
        None, description="The right sentence; without one the value is replaced in the old one."
    )
    category: ShortText | None = None
    metadata: Metadata | None = Field(None, description="Takes the place of all the old labels.")
    pinned: StrictBool | None = Field(
        None, description="Whether it is kept from fading; of no words."
    )
    reason: Reason | None = Field(None, description="Why; kept in the fact's history.")

    _no_secret = field_validator("value", "content")(_without_secret)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.model_fields_set <= {"reason"}:
            raise ValueError("one of value, content, category, metadata and pinned is needed")
        if self.pinned is not None and (self.value is not None or self.content is not None):
            raise ValueError("pinned goes without value and content: pin what they come to")
        return self


class UndoRequest(RequestBody):
    """Why the last correction or deletion is taken back."""

    reason: Reason | None = None


class Redrive(RequestBody):
    """Which dead letters get another set of attempts: some, a stage's or class's, or all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stage": "extractor"}]})

    ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None
    stage: SlotName | None = None
    error_class: SlotName | None = Field(None, examples=["poison"])
    all: Literal[True] | None = None
    older_than_seconds: Annotated[Age, BeforeValidator(_no_text)] | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        described = self.stage is not None or self.error_class is not None
        if sum((self.ids is not None, described, self.all is not None)) != 1:
            raise ValueError("say which: ids, stage and error_class, or all")
        return self


class Drop(Redrive):
    """Which dead letters are given up for good, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"stage": "extractor", "reason": "test traffic"}]}
    )

    reason: Annotated[Text, Field(max_length=1_000)]


class Mend(RequestBody):
    """What a dead entry should have said: all its fields, as they go onto the stream."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"payload": {"user_id": "ana", "role": "user", "content": "I moved"}}]
        }
    )

    payload: Annotated[dict[Text, Annotated[str, AfterValidator(storable)]], Field(min_length=1)]


class KeyRequest(RequestBody):
    """A key to be made, for the tenant of the one that asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "app", "scope": "write"}]})

    name: Annotated[Text, Field(max_length=200)]
    scope: Scope = "write"
    user_id: Identifier | None = Field(
        None, description="Opens this user's memory alone, as for a client on their own device."
    )
    expires_at: Instant | None = None

    @model_validator(mode="after")
    def _no_admin_of_one(self) -> Self:
        if self.user_id is not None and self.scope == "admin":
            raise ValueError("scope: a key of one user is read or write")
        return self


class OwnSlot(RequestBody):
    """How a slot of the tenant's own behaves; what is not said is the catalogue's, or a default."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"cardinality": "one", "synonyms": ["parking_space"]}]}
    )

    category: Annotated[Text, Field(max_length=100)] | None = None
    cardinality: Literal["one", "many"] | None = None
    kind: Annotated[Text, WithJsonSchema({"enum": sorted(KINDS)})] | None = Field(
        None, description="How two spellings of a value are compared: text, place, org, …"
    )
    synonyms: Annotated[list[SlotName], Field(max_length=100)] | None = None
    lasts_days: Annotated[float, Field(gt=0, le=36_500), BeforeValidator(_no_text)] | None = Field(
        None, description="How long a claim without an end holds; null: until something ends it."
    )
