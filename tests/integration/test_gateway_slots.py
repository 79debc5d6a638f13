"""The catalogue over HTTP: what is known, a tenant's own slots, and what models propose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.maintenance.consumer import MaintenanceStage
from shared.failures.store import RetryPolicy, RowRef
from shared.tenant_slots import store as tenant_slots
from shared.tenant_slots.recent import RecentCatalogues
from tests.integration.test_gateway_app import Api, serve


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as serving:
        yield serving


def at(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


async def put(api: Api, name: str, **body: Any) -> Any:
    return await api.client.put(f"/v1/slots/{name}", json=body)


async def listed(api: Api, source: str | None = None) -> dict[str, Any]:
    found = (await api.get("/v1/slots")).json()["slots"]
    return {slot["name"]: slot for slot in found if source in {None, slot["source"]}}


async def follow(api: Api) -> int:
    """What the sweeper and maintenance do after a change; returns how many users were refolded."""
    jobs = 0
    stage = MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy())
    while await _open(api):
        async with api.db.everyone.autocommit() as tx:
            bells = await tenant_slots.spread_refolds(tx, 2)
        for user, job in [(bell.user, job) for _, bell in bells for job in bell.ids]:
            await stage.process([RowRef("default", user, job)])
            jobs += 1
    return jobs


async def _open(api: Api) -> bool:
    async with api.db.everyone.autocommit() as tx:
        return await tenant_slots.anything_to_refold(tx)


async def current(api: Api, slot: str, user: str = "ana") -> list[str]:
    answer = (await api.get(f"/v1/users/{user}/timeline", slot=slot)).json()
    return sorted(
        interval["value"]
        for found in answer["slots"]
        for interval in found["intervals"]
        if interval["valid_to"] is None
    )


async def cached(api: Api, user: str = "ana") -> list[str]:
    rows = await api.sql(
        "SELECT value FROM memory_facts WHERE user_id = %(user)s AND standing = 'belief'"
        " AND believed @> now() ORDER BY value",
        user=user,
    )
    return [row["value"] for row in rows]


async def test_the_catalogue_is_listed_with_where_each_slot_comes_from(api: Api) -> None:
    """Built-in slots, and what only statements name, in one list."""
    await api.fact("Shoe polish is black", slot="Shoe Polish", value="black")
    found = await listed(api)
    assert found["home_city"]["source"] == "catalogue"
    assert found["home_city"]["cardinality"] == "one"
    assert found["shoe_polish"] == {
        "name": "shoe_polish", "source": "proposed", "category": "biographical",
        "cardinality": "one", "or_as_said": True, "kind": "text", "synonyms": [],
        "lasts_days": None, "facts": 1,
    }  # fmt: skip


async def test_a_proposed_slot_has_many_as_soon_as_a_statement_says_so(api: Api) -> None:
    """The list shows what the law makes of it."""
    await api.fact("Collects stamps", slot="cabinet", value="stamps", cardinality="one")
    await api.fact("Collects coins", slot="cabinet", value="coins", cardinality="many")
    assert (await listed(api, "proposed"))["cabinet"]["cardinality"] == "many"
    assert await current(api, "cabinet") == ["coins", "stamps"]


async def test_another_tenants_proposals_are_not_shown(api: Api) -> None:
    await api.fact("Shoe polish is black", tenant="other", slot="shoe_polish", value="black")
    assert await listed(api, "proposed") == {}


async def test_an_own_slot_counts_for_what_was_said_before_it(api: Api) -> None:
    """Facts under any of its names, stored before or after, are one attribute with its rules."""
    await api.fact("Locker is 12", slot="locker_number", value="12", said_at=at("2020-01-01"))
    await api.fact("Locker is 7", slot="locker", value="7", said_at=at("2021-01-01"))
    assert await current(api, "locker") == ["7"]
    made = await put(api, "locker", synonyms=["Locker Number"], cardinality="one")
    assert made.status_code == 200, made.text
    assert await current(api, "locker") == await current(api, "lockerNumber") == ["7"]
    assert await cached(api) == ["12", "7"]
    assert await follow(api) == 1
    assert await cached(api) == ["7"]
    facts = (await api.get("/v1/users/ana/facts", slot="locker_number", view="all")).json()["facts"]
    assert len(facts) == 2


async def test_removing_an_override_brings_the_catalogue_back(api: Api) -> None:
    """Hobbies are many; with an override the last said stays; without it both are back."""
    await api.fact("Plays chess", slot="hobby", value="chess", said_at=at("2020-01-01"))
    await api.fact("Plays golf", slot="hobby", value="golf", said_at=at("2021-01-01"))
    assert await cached(api) == ["chess", "golf"]
    assert (await put(api, "hobby", cardinality="one")).status_code == 200
    assert (await put(api, "hobby", cardinality="one")).status_code == 200
    assert (await listed(api))["hobby"]["source"] == "tenant"
    assert "pastime" in (await listed(api))["hobby"]["synonyms"]
    await follow(api)
    assert await cached(api) == ["golf"]
    assert (await api.client.delete("/v1/slots/hobby")).status_code == 204
    await follow(api)
    assert await cached(api) == ["chess", "golf"]
    assert (await api.client.delete("/v1/slots/hobby")).status_code == 404


async def test_an_own_slot_may_say_how_long_a_claim_lasts(api: Api) -> None:
    await api.fact("Is on call", slot="duty", value="on call", said_at=at("2020-01-01"))
    assert await current(api, "duty") == ["on call"]
    await put(api, "duty", lasts_days=7)
    assert await current(api, "duty") == []


async def test_what_was_forgotten_stays_forgotten_under_another_name(api: Api) -> None:
    """A tombstone names the slot and key of its day; neither a synonym nor a kind undoes it."""
    fact = await api.fact(
        "Works at Acme", slot="payroll", value="Acme Inc.", said_at=at("2020-01-01")
    )
    await api.sql(
        """INSERT INTO belief_acts (tenant_id, user_id, id, deed, kind, subject, slot, value_key, actor)
           SELECT tenant_id, user_id, gen_random_uuid(), gen_random_uuid(), 'tombstone', subject, slot, value_key, 'op'
             FROM memory_facts WHERE id = %(fact)s RETURNING id""",
        fact=fact,
    )
    assert await current(api, "payroll") == []
    await put(api, "paid_by", synonyms=["payroll"], kind="org")
    assert await current(api, "paid_by") == []


async def test_every_user_follows_and_only_those_concerned(api: Api) -> None:
    """The refold goes through all users in steps and skips who has nothing under those names."""
    for number in range(7):
        await api.fact("Locker is 12", user=f"u{number}", slot="locker", value="12")
    await api.fact("Likes tea", user="u8", slot="likes", value="tea")
    await put(api, "locker", cardinality="many")
    assert (await api.get("/v1/slots")).json()["refolding"] is True
    assert await follow(api) == 7
    assert (await api.get("/v1/slots")).json()["refolding"] is False


async def test_a_refold_waits_for_transactions_that_know_the_old_catalogue(api: Api) -> None:
    """Somebody who folds while the slot changes is seen by the refold that follows."""
    await api.fact("Locker is 12", slot="locker", value="12")
    async with api.db.everyone.transaction() as folding:
        await folding.value("SELECT pg_current_xact_id()::text AS xid")
        await put(api, "locker", cardinality="many")
        async with api.db.everyone.autocommit() as tx:
            assert await tenant_slots.spread_refolds(tx, 10) == []
    assert await follow(api) == 1


async def test_a_name_means_one_slot(api: Api) -> None:
    """A synonym that is a slot's name, or another own slot's, is refused and nothing changes."""
    taken = await put(api, "where", synonyms=["home_city"])
    assert taken.status_code == 409
    assert taken.json()["error"]["details"][0]["field"] == "synonyms"
    assert (await put(api, "locker", synonyms=["box"])).status_code == 200
    assert (await put(api, "crate", synonyms=["box"])).status_code == 409
    assert (await put(api, "box")).status_code == 409
    assert set(await listed(api, "tenant")) == {"locker"}


async def test_an_own_slot_takes_a_synonym_of_the_catalogue_over(api: Api) -> None:
    """`club` is a membership for others, and for this tenant a slot of its own."""
    await put(api, "club", cardinality="one")
    await api.fact("Plays for Ajax", slot="club", value="Ajax", said_at=at("2020-01-01"))
    stated = {"content": "Plays for PSV", "slot": "club", "value": "PSV"}
    assert (await api.post("/v1/users/ana/facts", stated)).status_code == 202
    [row] = await api.sql("SELECT slot FROM memory_facts WHERE value = 'PSV'")
    assert row["slot"] == "club"


async def test_a_retry_is_a_duplicate_although_the_slot_changed(api: Api) -> None:
    """What the catalogue filled in is not what the caller said."""
    stated = {"content": "Locker 12", "slot": "locker", "value": "12", "message_id": "m1"}
    assert (await api.post("/v1/users/ana/facts", stated)).json()["status"] == "accepted"
    await put(api, "storage", synonyms=["locker"], category="work_context", cardinality="many")
    assert (await api.post("/v1/users/ana/facts", stated)).json()["status"] == "duplicate"
    other = {**stated, "value": "13"}
    assert (await api.post("/v1/users/ana/facts", other)).status_code == 409


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("locker", {"cardinality": "several"}),
        ("locker", {"kind": "shoe"}),
        ("locker", {"lasts_days": 0}),
        ("locker", {"synonyms": ["x" * 101]}),
        ("locker", {"unknown": 1}),
        ("x" * 101, {}),
        ("---", {}),
    ],
)
async def test_bad_slots_are_refused(api: Api, name: str, body: dict[str, Any]) -> None:
    assert (await put(api, name, **body)).status_code == 422


async def test_only_an_admin_changes_slots(api: Api) -> None:
    """A reader sees them."""
    headers = {"X-API-Key": await api.key("write")}
    refused = await api.client.put("/v1/slots/locker", json={}, headers=headers)
    assert refused.status_code == 403
    assert (await api.client.delete("/v1/slots/locker", headers=headers)).status_code == 403
    assert (await api.client.get("/v1/slots", headers=headers)).status_code == 200


async def test_a_naming_process_learns_of_a_change_within_seconds(api: Api) -> None:
    """The extractor's memory of catalogues is at most five seconds old."""
    now = 100.0
    recent = RecentCatalogues(api.db, lambda: now)
    assert (await recent.of("default")).resolve("locker") is None
    await put(api, "locker")
    assert (await recent.of("default")).resolve("locker") is None
    now = 105.1
    assert (await recent.of("default")).resolve("locker") is not None
