"""Keys: who may do what, for whose data, and until when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.gateway import auth
from shared.clock import utc_now
from tests.integration.test_gateway_app import ADMIN, Api, code, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def _status(api: Api, key: str, path: str = "/v1/users") -> int:
    return (await api.client.get(path, headers={"X-API-Key": key})).status_code


@pytest.mark.parametrize(
    "key",
    ["", "nonsense", "mem_", "mem__", f"mem_{'0' * 32}_secret", "é", "mem_x_y", f"x_{'0' * 32}_s"],
)
async def test_without_a_valid_key_nothing_opens(api: Api, key: str) -> None:
    for headers in (
        {"X-API-Key": key.encode()},
        {"X-API-Key": "", "Authorization": f"Bearer {key}".encode()},
    ):
        answer = await api.client.get("/v1/users", headers=headers)
        assert (answer.status_code, code(answer)) == (401, "unauthorized")


async def test_a_key_opens_by_either_header(api: Api) -> None:
    key = await api.key("read")
    assert await _status(api, key) == 200
    bearer = {"X-API-Key": "", "Authorization": f"Bearer {key}"}
    assert (await api.client.get("/v1/users", headers=bearer)).status_code == 200
    assert await _status(api, key[:-1]) == 401
    assert await _status(api, key + "x") == 401


async def test_scopes_include_each_other(api: Api) -> None:
    message = {"user_id": "ana", "role": "user", "content": "hi"}
    calls = [
        ("read", "GET", "/v1/users", None),
        ("read", "POST", "/v1/recall", {"user_id": "ana", "query": "x"}),
        ("write", "POST", "/v1/ingest", message),
        ("write", "POST", "/v1/ingest/batch", {"messages": [message]}),
        ("write", "POST", "/v1/users/ana/facts", {"content": "Likes tea"}),
        ("admin", "GET", "/v1/keys", None),
        ("admin", "POST", "/v1/keys", {"name": "n"}),
        ("admin", "GET", "/v1/dead-letters", None),
        ("admin", "POST", "/v1/dead-letters/redrive", {"all": True}),
    ]
    for held in auth.SCOPES:
        headers = {"X-API-Key": await api.key(held)}
        for needed, method, path, body in calls:
            answer = await api.client.request(method, path, json=body, headers=headers)
            if auth.SCOPES.index(held) >= auth.SCOPES.index(needed):
                assert answer.status_code < 300, (held, path)
            else:
                assert (answer.status_code, code(answer)) == (403, "forbidden"), (held, path)


async def test_a_key_is_made_shown_once_listed_and_revoked(api: Api) -> None:
    made = (await api.post("/v1/keys", {"name": "app"})).json()
    told = {"id", "name", "scope", "user_id", "created_at", "expires_at", "revoked_at"}
    assert set(made) == told | {"key", "last_used_at"}
    assert made["scope"] == "write"
    assert await _status(api, made["key"]) == 200
    [listed] = (await api.get("/v1/keys")).json()["keys"]
    assert listed == {k: v for k, v in made.items() if k != "key"}
    [stored] = await api.sql("SELECT * FROM api_keys")
    assert made["key"].rpartition("_")[2] not in str(stored)
    revoked = await api.client.delete(f"/v1/keys/{made['id']}")
    assert (revoked.status_code, revoked.json()["id"]) == (200, made["id"])
    assert revoked.json()["revoked_at"] is not None
    assert await _status(api, made["key"]) == 401
    again = await api.client.delete(f"/v1/keys/{made['id']}")
    assert again.json() == revoked.json()


async def test_revoking_elsewhere_works_when_the_memory_of_the_key_ends(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_SECONDS", 3.0)
    key = await api.key("read")
    assert await _status(api, key) == 200
    await api.sql("UPDATE api_keys SET revoked_at = now() - interval '1 second'")
    assert await _status(api, key) == 200  # remembered

    async def refused() -> bool:
        return await _status(api, key) == 401

    from tests.integration.test_gateway_app import eventually

    await eventually(refused)


async def test_a_rotated_key_ends_at_once_or_after_the_overlap(api: Api) -> None:
    old = (await api.post("/v1/keys", {"name": "app", "scope": "read"})).json()
    new = (await api.post(f"/v1/keys/{old['id']}/rotate")).json()
    assert (new["name"], new["scope"]) == ("app", "read")
    assert [await _status(api, k["key"]) for k in (old, new)] == [401, 200]
    newest = (await api.post(f"/v1/keys/{new['id']}/rotate?overlap_seconds=60")).json()
    assert [await _status(api, k["key"]) for k in (new, newest)] == [200, 200]
    ended = await api.post(f"/v1/keys/{old['id']}/rotate")
    assert (ended.status_code, code(ended)) == (409, "conflict")


async def test_a_key_expires(api: Api) -> None:
    past = await api.key("read", expires_at=utc_now() - timedelta(seconds=1))
    future = await api.key("read", expires_at=utc_now() + timedelta(hours=1))
    assert [await _status(api, key) for key in (past, future)] == [401, 200]
    refused = await api.post("/v1/keys", {"name": "n", "expires_at": "2020-01-01T00:00:00Z"})
    assert refused.json()["error"]["details"][0]["field"] == "expires_at"


@pytest.mark.parametrize("row", ["nonsense", "00000000-0000-0000-0000-000000000000", "%00"])
async def test_a_key_that_is_not_there_is_not_found(api: Api, row: str) -> None:
    for answer in (
        await api.client.delete(f"/v1/keys/{row}"),
        await api.client.post(f"/v1/keys/{row}/rotate"),
    ):
        assert (answer.status_code, code(answer)) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": "a\x00"}, {"name": "n", "scope": "root"}, {"name": "n", "key": "k"}],
)
async def test_a_strange_key_is_not_made(api: Api, body: dict[str, Any]) -> None:
    assert (await api.post("/v1/keys", body)).status_code == 422


async def test_nothing_of_another_tenant_can_be_seen(api: Api) -> None:
    accepted = (await api.ingest(content="My secret", message_id="m1")).json()
    fact = await api.fact("Lives in Lisbon", slot="home_city", value="Lisbon")
    key = (await api.post("/v1/keys", {"name": "app"})).json()
    stranger = {"X-API-Key": await api.key("admin", tenant="other")}

    async def get(path: str) -> Any:
        return await api.client.get(path, headers=stranger)

    for path in (
        f"/v1/traces/{accepted['trace_id']}",
        f"/v1/traces/{fact.hex}",
        f"/v1/facts/{fact}",
        f"/v1/facts/{fact}/source",
        f"/v1/facts/{fact}/history",
    ):
        assert (await get(path)).status_code == 404, path
    assert (await get("/v1/users")).json()["users"] == []
    assert (await get("/v1/users/ana/facts?view=all")).json()["facts"] == []
    assert (await get("/v1/users/ana/timeline")).json() == {"slots": []}
    messages = await get("/v1/users/ana/sessions/default/messages")
    assert messages.json()["messages"] == []
    assert [k["id"] for k in (await get("/v1/keys")).json()["keys"]] != [key["id"]]
    for call in ("delete", "post"):
        path = f"/v1/keys/{key['id']}" + ("/rotate" if call == "post" else "")
        assert (await getattr(api.client, call)(path, headers=stranger)).status_code == 404
    recalled = await api.post("/v1/recall", {"user_id": "ana", "query": "Lisbon"}, headers=stranger)
    assert recalled.json() == {
        "relevant_facts": [],
        "freshness": {"pending": 0, "oldest_seconds": None},
    }
    same = {"user_id": "ana", "role": "user", "content": "Other", "message_id": "m1"}
    assert (await api.post("/v1/ingest", same, headers=stranger)).status_code == 202


async def test_dead_letters_are_listed_and_redriven_by_their_tenant_alone(api: Api) -> None:
    for at, tenant in enumerate(["default", "default", "other"]):
        await api.sql(
            "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,"
            " payload, dead_at) VALUES (gen_random_uuid(), 'extractor', %(s)s, %(t)s, 5, 'poison',"
            " 'bad', '{\"a\": \"b\"}', now() + %(n)s * interval '1 second')",
            s=str(at),
            n=at,
            t=tenant,
        )
    page = (await api.get("/v1/dead-letters", limit=1)).json()
    rest = (await api.get("/v1/dead-letters", cursor=page["next_cursor"])).json()
    letters = page["dead_letters"] + rest["dead_letters"]
    assert [letter["subject_id"] for letter in letters] == ["1", "0"]
    assert letters[0]["payload"] == {"a": "b"}
    assert (await api.get("/v1/dead-letters", stage="embedder")).json()["dead_letters"] == []
    for body, count in (
        ({"ids": [letters[0]["id"]]}, 1),
        ({"stage": "embedder"}, 0),
        ({"all": True}, 1),
        ({"all": True}, 0),
    ):
        answer = await api.post("/v1/dead-letters/redrive", body)
        assert (answer.status_code, answer.json()) == (202, {"redriven": count})
    for bad in ({}, {"ids": []}, {"ids": ["x"]}, {"all": False}, {"all": True, "stage": "x"}):
        assert (await api.post("/v1/dead-letters/redrive", bad)).status_code == 422
    [other] = await api.sql("SELECT attempts FROM failures WHERE tenant_id = 'other'")
    assert other["attempts"] == 5


async def _dead(api: Api, subject: str, **columns: Any) -> str:
    row = {"stage": "extractor", "class": "poison", "payload": '{"role": "robot"}', "age": 0}
    [made] = await api.sql(
        "INSERT INTO failures (id, stage, subject_id, tenant_id, attempts, error_class, error,"
        " payload, dead_at) VALUES (gen_random_uuid(), %(stage)s, %(subject)s, 'default', 5,"
        " %(class)s, 'bad', %(payload)s, now() - %(age)s * interval '1 second') RETURNING id",
        subject=subject,
        **row | columns,
    )
    return str(made["id"])


async def test_dead_letters_are_chosen_by_class_stage_and_age(api: Api) -> None:
    """Each condition narrows, and a redrive takes exactly what the list shows."""
    await _dead(api, "1", age=7200)
    await _dead(api, "2", **{"class": "retry"})
    await _dead(api, "3", stage="embedder", payload=None, **{"class": "retry"})

    async def subjects(**query: Any) -> list[str]:
        found = (await api.get("/v1/dead-letters", **query)).json()["dead_letters"]
        return sorted(letter["subject_id"] for letter in found)

    assert await subjects(error_class="retry") == ["2", "3"]
    assert await subjects(error_class="retry", stage="embedder") == ["3"]
    assert await subjects(older_than_seconds=3600) == ["1"]
    groups = (await api.get("/v1/dead-letters/summary")).json()["groups"]
    counted = {(g["stage"], g["error_class"]): (g["dead"], g["last_hour"]) for g in groups}
    assert counted == {
        ("extractor", "poison"): (1, 0),
        ("extractor", "retry"): (1, 1),
        ("embedder", "retry"): (1, 1),
    }
    health = (await api.get("/v1/health")).json()
    assert health["dead"] == {"embedder": 1, "extractor": 2}
    assert health["dead_last_hour"] == {"embedder": 1, "extractor": 1}
    answer = await api.post("/v1/dead-letters/redrive", {"error_class": "poison"})
    assert answer.json() == {"redriven": 1}
    assert await subjects() == ["2", "3"]


async def test_a_dead_entry_is_mended_and_a_dropped_one_says_why(api: Api) -> None:
    letter = await _dead(api, "1")
    row_letter = await _dead(api, "0197b3c2-7d4e-7000-8000-000000000001", payload=None)
    payload = {"user_id": "ana", "role": "user", "content": "I moved"}
    mended = await api.client.patch(f"/v1/dead-letters/{letter}", json={"payload": payload})
    assert mended.json()["payload"] == payload | {"tenant": "default"}
    for nobody in (row_letter, "x", "0197b3c2-7d4e-7000-8000-000000000000"):
        answer = await api.client.patch(f"/v1/dead-letters/{nobody}", json={"payload": payload})
        assert answer.status_code == 404
    assert (await api.post("/v1/dead-letters/drop", {"ids": [letter]})).status_code == 422
    body = {"ids": [letter], "reason": "test traffic"}
    assert (await api.post("/v1/dead-letters/drop", body)).json() == {"dropped": 1}
    assert (await api.post("/v1/dead-letters/drop", body)).json() == {"dropped": 0}
    [left] = (await api.get("/v1/dead-letters")).json()["dead_letters"]
    assert left["id"] == row_letter
    [gone] = (await api.get("/v1/dead-letters/dropped")).json()["dropped"]
    assert (gone["drop_reason"], gone["dropped_by"]) == ("test traffic", "key admin")
    assert gone["payload"] is None
    assert (await api.post("/v1/dead-letters/redrive", {"all": True})).json() == {"redriven": 1}


async def test_the_admin_key_is_nobodys_prefix(api: Api) -> None:
    assert [await _status(api, key) for key in (ADMIN, ADMIN[:-1], ADMIN + "x")] == [200, 401, 401]
