"""The streams as an AsyncAPI 3 document (pure): made from the code that writes and reads them.

Entries are flat: every field is a string, so every property here is one. `docs/asyncapi.json`
is generated from this, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.events import VERSION, Event, RowsBell, SessionBell, Settled
from shared.intake.messages import StreamMessage
from shared.metrics.labels import EVENT
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, SETTLED, STAGES

Json = dict[str, Any]

_DESCRIPTION = """\
Put messages on `memoire:messages` from any language, and follow `memoire:facts:settled`.

An entry of a stream is flat: its fields are strings of UTF-8. `memoire:facts:settled` is public and
may be read by any number of consumer groups; every other stream is a work queue of Mémoire's own
stages, shown here so that one can see what is on it. `docs/publishing.md` has examples.
"""

_WHEN = datetime(2026, 5, 2, 10, tzinfo=UTC)
_ROW = UUID("0196900f-5c00-7000-8000-000000000001")
_EXAMPLES: dict[str, tuple[Event, str]] = {
    "sessionBell": (
        SessionBell("default", "ana", "default", _WHEN),
        "Messages of this session wait for extraction. Mémoire rings it; nobody else needs to.",
    ),
    "rowsBell": (
        RowsBell("default", "ana", (_ROW,), _WHEN),
        "These facts (or jobs) of this user wait for the stage that reads the stream.",
    ),
    "settled": (
        Settled("default", "ana", _ROW, "fact.settled", _ROW.hex),
        "What became of a fact. Told at least once: know facts by their id and event.",
    ),
}
_FIELDS: Mapping[str, Json] = {
    "v": {"const": VERSION, "description": "Version of the entry."},
    "tenant": {"description": "The tenant."},
    "user": {"description": "The tenant's own id of the user."},
    "user_id": {"description": "The tenant's own id of the user."},
    "session": {"description": "The tenant's own id of the session."},
    "ids": {
        "pattern": "^[0-9a-f]{32}(,[0-9a-f]{32}){0,99}$",
        "description": "Ids of rows, 32 hex digits each, at most 100.",
    },
    "at": {"format": "date-time", "description": "The rows' announced_at, by PostgreSQL's clock."},
    "fact_id": {"format": "uuid", "description": "Read it at GET /v1/facts/{fact_id}."},
    "event": {
        "enum": sorted(EVENT.values or ()),
        "description": "What became of it. There may be more one day.",
    },
    "trace_id": {
        "pattern": "^[0-9a-f]{32}$",
        "description": "The message's (or stated fact's) trace: GET /v1/traces/{trace_id}.",
    },
}
_KEPT = ("enum", "format", "pattern", "minLength", "maxLength", "description", "examples")


def document(version: str = f"{VERSION}.0.0") -> Json:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Mémoire", "version": version, "description": _DESCRIPTION},
        "channels": dict(_channels()),
        "operations": dict(_operations()),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def names() -> dict[str, str]:
    """The name of each stream's channel."""
    names = {MESSAGES: "messages", EXTRACTED: "extracted", EMBEDDED: "embedded"}
    names |= {COMPARED: "compared", SETTLED: "settled"}
    return names | {stream: f"{kind}Jobs" for kind, stream in JOBS.items()}


def _carried(stream: str) -> list[str]:
    """What a stream carries, by name."""
    if stream == MESSAGES:
        return ["message", "sessionBell"]
    return ["settled"] if stream == SETTLED else ["rowsBell"]


def _channels() -> Iterator[tuple[str, Json]]:
    for stream, name in names().items():
        public = stream == SETTLED
        yield (
            name,
            {
                "address": stream,
                "messages": {
                    each: {"$ref": f"#/components/messages/{each}"} for each in _carried(stream)
                },
                "description": "Public: read it with a consumer group of your own."
                if public
                else "A work queue: entries are deleted when they are done.",
                "bindings": {"redis": {"type": "stream"}},
            },
        )


def _operations() -> Iterator[tuple[str, Json]]:
    """What outside programs may do, and what each stage does."""
    yield "publishMessage", _operation("receive", "messages", ["message"], "Take in a message")
    yield "followFacts", _operation("send", "settled", ["settled"], "Tell what became of facts")
    for stage, streams in STAGES.items():
        for stream in streams:
            name = names()[stream]
            what = f"{stage} works on {stream}"
            made = _operation("receive", name, _carried(stream), what)
            yield f"{stage}Reads{name[0].upper()}{name[1:]}", {**made, "x-consumer-group": stage}


def _operation(action: str, channel: str, carried: list[str], summary: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{each}"} for each in carried],
        "summary": summary,
    }


def _messages() -> Json:
    told = {name: about for name, (_, about) in _EXAMPLES.items()}
    told["message"] = (
        "A chat message, from any program. What makes no sense becomes a dead letter with its "
        "reason; fields that are not named here are ignored."
    )
    examples: dict[str, Mapping[str, str]] = {
        name: event.encode() for name, (event, _) in _EXAMPLES.items()
    }
    examples["message"] = {"user_id": "ana", "role": "user", "content": "I moved to Lisbon"}
    return {
        name: {
            "name": name,
            "summary": about,
            "payload": {"$ref": f"#/components/schemas/{name}"},
            "examples": [{"payload": dict(examples[name])}],
        }
        for name, about in sorted(told.items())
    }


def _schemas() -> Json:
    """Of events the fields they are encoded to, of messages those that are read."""
    schemas = {name: _of_event(event) for name, (event, _) in _EXAMPLES.items()}
    return {"message": message_schema(), **schemas}


def _of_event(event: Event) -> Json:
    fields = event.encode()
    return {
        "type": "object",
        "required": list(fields),
        "properties": {name: {"type": "string", **_FIELDS[name]} for name in fields},
    }


def message_schema() -> Json:
    """The fields of a message on the stream, each a string."""
    schema = StreamMessage.model_json_schema()
    return {
        "type": "object",
        "required": schema["required"],
        "properties": {name: _flat(field) for name, field in schema["properties"].items()},
        "additionalProperties": {"type": "string"},
    }


def _flat(field: Json) -> Json:
    """A field as it stands in an entry: a string, of JSON where it is an object."""
    said = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    kept = {key: value for key, value in {**field, **said}.items() if key in _KEPT}
    if "default" in field and field["default"] is not None:
        kept["default"] = field["default"]
    if said.get("type") == "object":
        kept |= {"contentMediaType": "application/json", "contentSchema": {"type": "object"}}
    return {"type": "string", **kept}
