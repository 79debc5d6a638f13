"""The OpenAPI document's examples are requests that work."""

from __future__ import annotations

from typing import Any

from tests.integration.test_gateway_app import Api, serve

_METHODS = ("post", "patch", "put")


async def test_every_example_is_accepted(database_url: str) -> None:
    """Each documented body, sent as it stands, is neither malformed nor invalid."""
    async with serve(database_url, None) as api:
        document = (await api.get("/openapi.json")).json()
        sent = [
            (method, path, (await _send(api, method, path, example)).status_code)
            for path, methods in document["paths"].items()
            for method in _METHODS
            for example in _examples(document, methods.get(method, {}).get("requestBody"))
        ]
    assert len(sent) >= 7
    assert {path for _, path, _ in sent} >= {"/v1/facts/{fact_id}", "/v1/facts/{fact_id}/undo"}
    assert [each for each in sent if each[2] >= 300] == []


async def _send(api: Api, method: str, path: str, body: Any) -> Any:
    """Send it about a user, a fact that was corrected before, and an entry that is dead."""
    [letter] = await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,"
        " payload, dead_at) VALUES (gen_random_uuid(), 'extractor', gen_random_uuid(), 'default',"
        " 5, 'poison', 'bad', '{\"role\": \"robot\"}', now()) RETURNING id"
    )
    fact = await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    await api.client.patch(f"/v1/facts/{fact}", json={"value": "Braga"})
    filled = path.replace("{user_id}", "ana").replace("{fact_id}", str(fact))
    filled = filled.replace("{letter_id}", str(letter["id"]))
    if path.endswith(("/approve", "/reject")):
        held = (
            "UPDATE memory_facts SET suspicions = '{order}', standing = 'quarantined' WHERE id = "
        )
        await api.sql(f"{held}%(id)s", id=fact)
    if "{act_id}" in path:
        done = await api.post("/v1/users/ana/forget", {"source": "tool"})
        filled = filled.replace("{act_id}", done.json()["act_id"])
    return await api.client.request(method, filled, json=body)


def _examples(document: dict[str, Any], body: dict[str, Any] | None) -> list[Any]:
    """The examples of a body's own schema, or of the model it names, alone or beside null."""
    if body is None:
        return []
    schema = body["content"]["application/json"]["schema"]
    refs = [one.get("$ref", "") for one in (schema, *schema.get("anyOf", ()))]
    models = [document["components"]["schemas"].get(ref.rpartition("/")[2], {}) for ref in refs]
    named = [example for model in models for example in model.get("examples", ())]
    found: list[Any] = schema.get("examples") or named
    return found
