"""The OpenAPI document's examples are requests that work."""

from __future__ import annotations

from typing import Any

from tests.integration.test_gateway_app import Api, serve


async def test_every_example_is_accepted(database_url: str) -> None:
    """Each documented body, sent as it stands, is neither malformed nor invalid."""
    async with serve(database_url, None) as api:
        document = (await api.get("/openapi.json")).json()
        sent = [
            (path, (await _send(api, path, example)).status_code)
            for path, methods in document["paths"].items()
            for example in _examples(document, methods.get("post", {}).get("requestBody"))
        ]
    assert len(sent) >= 5
    assert [each for each in sent if each[1] >= 300] == []


async def _send(api: Api, path: str, body: Any) -> Any:
    return await api.post(path.replace("{user_id}", "ana"), body)


def _examples(document: dict[str, Any], body: dict[str, Any] | None) -> list[Any]:
    if body is None:
        return []
    schema = body["content"]["application/json"]["schema"]
    named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    found: list[Any] = schema.get("examples") or named.get("examples") or []
    return found
