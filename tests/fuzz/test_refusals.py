"""What fuzzing found once, one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.errors import PoisonError
from shared.intake.messages import Limits, read_stream_message
from tests.integration.test_gateway_app import Api, code, serve

_MESSAGE = {"user_id": "ana", "role": "user", "content": "I live in Lisbon"}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/keys", "GET, POST"),
        ("/v1/facts/any", "DELETE, GET, PATCH"),
        ("/v1/dead-letters/drop", "POST"),  # and not the PATCH of /v1/dead-letters/{letter_id}
        ("/v1/users/ana/optimize", "POST"),
    ],
)
async def test_a_wrong_method_is_told_all_that_are_right(api: Api, path: str, allowed: str) -> None:
    refused = await api.client.request("OPTIONS", path)
    assert (refused.status_code, code(refused)) == (405, "method_not_allowed")
    assert refused.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/v1/users/%ff/facts", "/v1/quarantine?user_id=%fe"])
async def test_bytes_that_are_not_utf8_name_nobody(api: Api, path: str) -> None:
    """Read leniently, %ff and %fe would be one user."""
    refused = await api.client.get(path)
    assert (refused.status_code, code(refused)) == (422, "invalid_request")


@pytest.mark.parametrize("field", ["explain", "hints"])
@pytest.mark.parametrize("said", [0, 1, "yes"])
async def test_only_true_and_false_are_booleans(api: Api, field: str, said: object) -> None:
    body = {"user_id": "ana", "query": "Where?", field: said}
    refused = await api.post("/v1/recall", body)
    assert (refused.status_code, code(refused)) == (422, "invalid_request")


@pytest.mark.parametrize("field", ["limit", "max_tokens", "min_score"])
async def test_text_is_no_number(api: Api, field: str) -> None:
    refused = await api.post("/v1/recall", {"user_id": "ana", "query": "Where?", field: "1"})
    assert (refused.status_code, code(refused)) == (422, "invalid_request")


async def test_null_is_not_said_and_the_document_says_so(api: Api) -> None:
    body = {"user_id": "ana", "query": "Where?", "explain": None, "limit": None, "view": None}
    assert (await api.post("/v1/recall", body)).status_code == 200
    shown = (await api.get("/openapi.json")).json()["components"]["schemas"]["RecallRequest"]
    for name, schema in shown["properties"].items():
        assert (name in shown["required"]) != ({"type": "null"} in schema.get("anyOf", [])), name


async def test_a_number_of_seconds_is_no_day(api: Api) -> None:
    refused = await api.client.get("/v1/usage?to=0")
    assert (refused.status_code, code(refused)) == (422, "invalid_request")


def test_metadata_of_an_entry_nested_beyond_reading_is_refused_for_good() -> None:
    fields = {**_MESSAGE, "metadata": '{"a":' + "[" * 60_000 + "]" * 60_000 + "}"}
    with pytest.raises(PoisonError, match="nested"):
        read_stream_message(fields, Limits(), entry_id="1-1")


async def test_a_confidence_next_to_nothing_is_stored(api: Api) -> None:
    stated = await api.post("/v1/users/ana/facts", {"content": "Likes tea", "confidence": 5e-324})
    assert stated.status_code == 202


async def test_a_parameter_given_twice_is_refused(api: Api) -> None:
    refused = await api.client.get("/v1/users?limit=1&limit=2")
    assert (refused.status_code, code(refused)) == (422, "invalid_request")
