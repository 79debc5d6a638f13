"""What a message must look like (pure): the same for HTTP and for Redis.

Identifiers are the caller's own strings. Times carry their zone. What PostgreSQL cannot hold (NUL,
lone surrogates) is refused here, so that nothing behind this module can fail on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shared.errors import PoisonError
from shared.ids import chat_log_id, time_ordered_id
from shared.tracing.context import valid

DEFAULT_SESSION = "default"
_YEARS = range(1900, 2200)
_MAX_DEPTH = 32
_DIGITS = 16


def _identifier(value: str) -> str:
    if not value.isprintable() or "/" in value:
        raise ValueError("must be printable characters without a slash")
    if value.strip() != value:
        raise ValueError("must not begin or end with a space")
    if value in {".", ".."}:
        raise ValueError("must not be a path segment with a meaning of its own")
    return value


def storable(value: str) -> str:
    """Refuse what PostgreSQL cannot hold as text."""
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode") from error
    return value


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _instant(value: object) -> datetime:
    """Read an ISO 8601 time with its zone, and bring it to UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)  # a ValueError names what is wrong
    if not isinstance(value, datetime):
        raise ValueError("must be an ISO 8601 time")  # noqa: TRY004  pydantic wants ValueError
    if value.tzinfo is None:
        raise ValueError("must carry a zone, as in 2026-05-02T10:00:00Z")
    if value.year not in _YEARS:
        raise ValueError(f"must lie between {_YEARS.start} and {_YEARS.stop - 1}")
    return value.astimezone(UTC)


def _json_object(value: object) -> object:
    """Read metadata that comes as JSON text, as it does in a stream entry."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except RecursionError as error:  # no ValueError: the entry would be tried again and again
        raise ValueError("must not be nested so deeply") from error


def _storable_json(value: dict[str, Any]) -> dict[str, Any]:
    _check_json(value, _MAX_DEPTH)
    return value


def _check_json(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError("must not be nested so deeply")
    match value:
        case str():
            storable(value)
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124
            raise ValueError("must not contain NaN or infinity")
        case dict():
            for key, item in value.items():
                storable(key)
                _check_json(item, depth - 1)
        case list():
            for item in value:
                _check_json(item, depth - 1)


Identifier = Annotated[
    str, Field(min_length=1, max_length=128), AfterValidator(storable), AfterValidator(_identifier)
]
Text = Annotated[str, Field(min_length=1), AfterValidator(storable), AfterValidator(_said)]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant, json_schema_input_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
Metadata = Annotated[dict[str, Any], AfterValidator(_storable_json)]
Role = Literal["user", "assistant", "system", "tool"]


class Lenient(BaseModel):
    """Reads null as "not said": many clients write out what was never set."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, said: Any) -> Any:
        if not isinstance(said, dict):
            return said
        return {name: value for name, value in said.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show that whatever need not be said may be null."""
        shown = handler(core_schema)
        own = handler.resolve_ref_schema(shown)
        for name, field_schema in own.get("properties", {}).items():
            if name not in own.get("required", ()):
                own["properties"][name] = _or_null(field_schema)
        return shown


_ABOUT = {"title", "description", "default", "examples"}


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    if any(way.get("type") == "null" for way in schema.get("anyOf", ())):
        return schema
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    value = {key: value for key, value in schema.items() if key not in _ABOUT}
    return {"anyOf": [value, {"type": "null"}], **about}


class IncomingMessage(Lenient):
    """One chat message as an application sends it."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True)

    user_id: Identifier = Field(description="Your own id of the user.", examples=["ana"])
    session_id: Identifier = Field(DEFAULT_SESSION, description="Your own id of the session.")
    role: Role = Field(examples=["user"])
    content: Text = Field(examples=["I moved to Lisbon"])
    timestamp: Instant | None = Field(None, description="When it was said; default: now.")
    message_id: Identifier | None = Field(None, description="Your own id: makes a retry safe.")
    agent_id: Identifier | None = None
    speaker: Identifier | None = None
    metadata: Metadata | None = Field(None, description="Your own labels, filterable in recall.")


class StreamMessage(IncomingMessage):
    """The same as flat strings; what no field of ours names is somebody else's business."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant: Identifier = "default"
    traceparent: Annotated[str | None, BeforeValidator(valid)] = Field(
        None, description="W3C trace context: its facts are told under your trace."
    )
    metadata: Annotated[Metadata | None, BeforeValidator(_json_object)] = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes of UTF-8."""

    content_bytes: int = 32_768
    metadata_bytes: int = 4_096


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of one item."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is fit to be stored. `said_at` None: when it arrives."""

    tenant: str
    user: str
    id: UUID
    key: str
    session: str
    role: Role
    content: str
    said_at: datetime | None
    agent_id: str | None
    speaker: str | None
    metadata: dict[str, Any] | None
    content_sha256: bytes = field(repr=False)
    traceparent: str | None = None


def exceeds(message: IncomingMessage, limits: Limits) -> list[Problem]:
    """List the fields that are larger than the limits."""
    problems = []
    if len(message.content.encode()) > limits.content_bytes:
        problems.append(Problem("content", f"is larger than {limits.content_bytes} bytes"))
    metadata = json.dumps(message.metadata, ensure_ascii=False) if message.metadata else ""
    if len(metadata.encode()) > limits.metadata_bytes:
        problems.append(Problem("metadata", f"is larger than {limits.metadata_bytes} bytes"))
    return problems


def accept(
    message: IncomingMessage,
    tenant: str,
    *,
    said_at: datetime | None = None,
    entry_id: str | None = None,
    traceparent: str | None = None,
) -> Message:
    """Give a message its identity: by its `message_id`, else by its entry, else a new one.

    An entry without a `message_id` is known by its id and by what it says. By its id alone it
    would be taken for another once the stream was emptied and ids began anew.
    """
    said = fingerprint(message)
    key, row = _identity(message, tenant, entry_id and f"{entry_id}:{said.hex()[:_DIGITS]}")
    return Message(
        tenant=tenant,
        user=message.user_id,
        id=row,
        key=key,
        session=message.session_id,
        role=message.role,
        content=message.content,
        said_at=message.timestamp or said_at,
        agent_id=message.agent_id,
        speaker=message.speaker,
        metadata=message.metadata,
        content_sha256=said,
        traceparent=traceparent,
    )


def _identity(message: IncomingMessage, tenant: str, entry_key: str | None) -> tuple[str, UUID]:
    if message.message_id is not None:
        key = f"m:{message.message_id}"
    elif entry_key is not None:
        key = f"r:{entry_key}"
    else:
        row = time_ordered_id()
        return f"u:{row.hex}", row
    return key, chat_log_id(tenant, message.user_id, key)


def fingerprint(message: IncomingMessage) -> bytes:
    """Digest all that the caller said of this message: a retry says the same."""
    said = (
        message.session_id,
        message.role,
        message.content,
        message.timestamp.isoformat() if message.timestamp else None,
        message.agent_id,
        message.speaker,
        message.metadata,
    )
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def read_stream_message(fields: Mapping[str, str], limits: Limits, *, entry_id: str) -> Message:
    """Read a message from a stream entry's fields; raises PoisonError saying what is wrong.

    Without a `timestamp` it was said when it was added: the entry id's milliseconds.
    """
    try:
        message = StreamMessage.model_validate(dict(fields))
    except ValidationError as error:
        raise PoisonError(describe(error)) from error
    if problems := exceeds(message, limits):
        raise PoisonError("; ".join(f"{p.field} {p.reason}" for p in problems))
    return accept(
        message,
        message.tenant,
        said_at=_added_at(entry_id),
        entry_id=entry_id,
        traceparent=message.traceparent,
    )


def _added_at(entry_id: str) -> datetime | None:
    milliseconds = int(entry_id.partition("-")[0])
    try:
        added = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return added if added.year in _YEARS else None


def describe(error: ValidationError) -> str:
    """Put what pydantic found into one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'entry'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
