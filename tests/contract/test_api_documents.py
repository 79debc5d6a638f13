"""The two API documents are what the code does, and what is published follows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.asyncapi import document, names
from shared.intake.messages import Limits, read_stream_message
from shared.topology import MESSAGES, SETTLED, STAGES
from tests.contract.api_documents import ASYNCAPI, DOCS, OPENAPI, describe_http, describe_streams

_PUBLISHING = DOCS / "publishing.md"


@pytest.mark.parametrize(
    ("page", "described"),
    [(OPENAPI, describe_http), (ASYNCAPI, describe_streams)],
    ids=lambda x: getattr(x, "name", ""),
)
def test_a_document_is_generated_never_written(page: Path, described: Any) -> None:
    """`python -m tests.contract.api_documents` writes both."""
    assert page.read_text() == described()


def test_every_stream_has_a_channel_and_every_stage_an_operation() -> None:
    made = document()
    addresses = {channel["address"] for channel in made["channels"].values()}
    assert addresses == {
        MESSAGES,
        SETTLED,
        *(one for streams in STAGES.values() for one in streams),
    }
    assert addresses == set(names())
    reading: dict[str, set[str]] = {}
    for operation in made["operations"].values():
        if stage := operation.get("x-consumer-group"):
            channel = _resolved(made, operation["channel"]["$ref"])
            reading.setdefault(stage, set()).add(channel["address"])
    assert reading == {stage: set(streams) for stage, streams in STAGES.items()}


def test_every_reference_leads_somewhere() -> None:
    made = document()
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(made)):
        assert _resolved(made, reference)


def test_examples_follow_their_schemas() -> None:
    """What is required is there, and nothing else."""
    made = document()
    for name, message in made["components"]["messages"].items():
        schema = made["components"]["schemas"][name]
        for example in message["examples"]:
            assert set(schema["required"]) <= example["payload"].keys() <= set(schema["properties"])


def test_a_message_with_every_field_of_the_schema_is_taken() -> None:
    schema = document()["components"]["schemas"]["message"]
    fields = {name: _some(name, field) for name, field in schema["properties"].items()}
    message = read_stream_message(fields, Limits(), entry_id="1746180000000-0")
    assert message.tenant == fields["tenant"]
    assert message.traceparent == fields["traceparent"]


def _some(name: str, field: dict[str, Any]) -> str:
    if "enum" in field:
        return str(field["enum"][0])
    if field.get("format") == "date-time":
        return "2026-05-02T10:00:00Z"
    if "contentMediaType" in field:
        return '{"a": 1}'
    if name == "traceparent":
        return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    return "x"


@pytest.mark.parametrize("language", ["python", "js", "go", "sh"])
def test_examples_of_publishing_name_fields_that_exist(language: str) -> None:
    """Each language's example adds to the stream what the schema knows."""
    blocks = re.findall(rf"```{language}\n(.*?)```", _PUBLISHING.read_text(), re.DOTALL)
    assert any(MESSAGES in block for block in blocks)
    assert any(SETTLED in block for block in blocks)
    known = document()["components"]["schemas"]["message"]
    for required in known["required"]:
        assert any(required in block for block in blocks)


def _resolved(made: dict[str, Any], reference: str) -> Any:
    found: Any = made
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found if "$ref" not in found else _resolved(made, found["$ref"])
