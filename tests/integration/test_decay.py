"""Facts fade while nobody speaks of them, are found when asked for, and come back when used or said."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.gateway.uses import UseCounter
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.fading import store as fading_store
from services.maintenance.fading.weight import fades_at, half_lives
from services.maintenance.jobs import decay
from shared.clock import utc_now
from shared.failures.store import RetryPolicy, RowRef
from tests.integration.test_gateway_app import Api, eventually, serve

LONG_AGO = utc_now() - timedelta(days=4_000)


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def decayed(
    api: Api, faded_below: float = 0.2, trace: str | None = None, **more: Any
) -> dict[str, Any]:
    """Have the job done, or gone on with; returns what it did."""
    trace = trace or str((await api.post("/v1/users/ana/decay")).json()["trace_id"])
    jobs: dict[Any, Any] = {"decay": decay.job(faded_below)}
    stage = MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy(), jobs=jobs, **more)
    await stage.process([RowRef("default", "ana", UUID(trace))])
    result: dict[str, Any] = (await api.get(f"/v1/traces/{trace}")).json()["job"]["result"]
    return result


async def recalled(api: Api, query: str, **more: Any) -> list[str]:
    answer = await api.post("/v1/recall", {"user_id": "ana", "query": query, **more})
    assert answer.status_code == 200, answer.text
    return [fact["content"] for fact in answer.json()["relevant_facts"]]


async def listed(api: Api, **more: Any) -> list[str]:
    found = (await api.get("/v1/users/ana/facts", **more)).json()["facts"]
    return sorted(fact["content"] for fact in found)


async def events(api: Api, fact: UUID) -> list[str]:
    history = (await api.get(f"/v1/facts/{fact}/history")).json()
    return [event["event"] for event in history["events"]]


async def used(api: Api) -> None:
    await api.gateway.uses.flush()


async def test_what_nobody_speaks_of_leaves_the_default_view(api: Api) -> None:
    """It is not gone: whoever asks for its slot, its category or everything has it."""
    await api.fact("Is reading Dune", slot="currently_reading", value="Dune", said_at=LONG_AGO)
    await api.fact("Was born on 4 May", slot="birthday", value="05-04", said_at=LONG_AGO)
    await api.fact("Likes tea", category="user_preference")
    result = await decayed(api)
    assert (result["looked"], result["faded"], result["revived"]) == (3, 1, 0)
    assert await listed(api) == ["Likes tea", "Was born on 4 May"]
    assert "Is reading Dune" not in await recalled(api, "tea")
    everything = ["Is reading Dune", "Likes tea", "Was born on 4 May"]
    assert await listed(api, view="all") == everything
    assert await listed(api, slot="currently_reading") == ["Is reading Dune"]
    assert "Is reading Dune" in await listed(api, category="user_preference")
    assert await recalled(api, "book", slots=["currently_reading"]) == ["Is reading Dune"]
    assert "Is reading Dune" in await recalled(api, "tea", view="all")


async def test_a_question_that_a_faded_fact_answers_finds_it(api: Api) -> None:
    """A passing likeness does not: of that only what is present is shown."""
    await api.fact("Stayed at the Bellevue hotel in Zermatt", said_at=LONG_AGO)
    await api.fact("Keeps hotel soap", said_at=LONG_AGO)
    await api.fact("Likes tea")
    await decayed(api)
    found = await recalled(api, "Which hotel in Zermatt, the Bellevue?")
    assert found[0] == "Stayed at the Bellevue hotel in Zermatt"
    assert "Keeps hotel soap" not in found


async def test_faded_facts_crowd_out_nothing_that_is_present(api: Api) -> None:
    """However many of them come before it among all that was found."""
    words = "place with a long name that goes on and on over hills"
    for number in range(130):
        await api.fact(f"Was at some {words} {number}", said_at=LONG_AGO)
    await decayed(api)
    await api.fact("Knows a good place in the country for a walk with dogs and cats in May")
    found = await recalled(api, "Any place to go?", limit=5)
    assert found[0] == "Knows a good place in the country for a walk with dogs and cats in May"
    assert len(found) == 1


async def test_what_is_said_again_is_back_at_once(api: Api) -> None:
    """The next run tells so in its history, and reckons from the last time it was said."""
    dune = await api.fact("Reads Dune", slot="currently_reading", value="Dune", said_at=LONG_AGO)
    await decayed(api)
    assert await listed(api) == []
    await api.fact("Dune again", slot="currently_reading", value="Dune")
    assert await listed(api) == ["Reads Dune"]
    assert (await decayed(api))["revived"] == 1
    assert await events(api, dune) == ["fact.settled", "fact.faded", "fact.revived"]
    fact = (await api.get(f"/v1/facts/{dune}")).json()
    assert datetime.fromisoformat(fact["fades_at"]) > utc_now() + timedelta(days=30)


async def test_what_is_used_does_not_fade(api: Api) -> None:
    """Counted in batches behind the request; asked for while faded, a fact is back when counted."""
    dune = await api.fact("Reads Dune", slot="currently_reading", value="Dune", said_at=LONG_AGO)
    await decayed(api)
    assert await recalled(api, "book", slots=["currently_reading"]) == ["Reads Dune"]
    await used(api)
    assert await listed(api) == ["Reads Dune"]
    assert (await decayed(api))["revived"] == 1
    assert await recalled(api, "Dune") == ["Reads Dune"]
    await used(api)
    [row] = await api.sql("SELECT fact_id, uses FROM fact_uses")
    assert row == {"fact_id": dune, "uses": 2}


async def test_looking_at_the_past_or_at_lists_is_no_use(api: Api) -> None:
    await api.fact("Likes tea", said_at=LONG_AGO)
    await recalled(api, "tea", as_of="2020-01-01T00:00:00Z")
    await recalled(api, "tea", known_at=utc_now().isoformat())
    await listed(api)
    await used(api)
    assert await api.sql("SELECT 1 FROM fact_uses") == []


async def test_a_pinned_fact_never_fades(api: Api) -> None:
    """Pinning is an act: it is undone like any other, and the fact goes the way of all facts."""
    dune = await api.fact("Is reading Dune", said_at=LONG_AGO)
    await decayed(api)
    pinned = await api.client.patch(f"/v1/facts/{dune}", json={"pinned": True, "reason": "Mine"})
    assert pinned.status_code == 202, pinned.text
    assert await listed(api) == ["Is reading Dune"]
    await decayed(api)
    fact = (await api.get(f"/v1/facts/{dune}")).json()
    assert (fact["pinned"], fact["fades_at"]) == (True, None)
    assert (await api.post(f"/v1/facts/{dune}/undo")).json()["pinned"] is False
    await decayed(api)
    assert await listed(api) == []


async def test_a_pin_goes_without_other_words(api: Api) -> None:
    fact = await api.fact("Is reading Dune")
    answer = await api.client.patch(
        f"/v1/facts/{fact}", json={"pinned": True, "content": "Is reading Emma"}
    )
    assert answer.status_code == 422


async def test_essential_facts_and_what_lies_behind_do_not_fade(api: Api) -> None:
    """Nor does what is no longer believed: it is out of the default view anyway."""
    first = await api.fact("Is reading Dune", said_at=LONG_AGO)
    await api.fact("Works for Acme", slot="employer", value="Acme", said_at=LONG_AGO)
    await api.fact("Works for Bolt", slot="employer", value="Bolt")
    await api.sql("UPDATE memory_facts SET essential = true WHERE id = %(id)s", id=first)
    assert (await decayed(api))["faded"] == 0
    assert await api.sql("SELECT content FROM memory_facts WHERE fades_at IS NOT NULL") == [
        {"content": "Works for Bolt"}
    ]


async def test_the_past_is_shown_as_it_was(api: Api) -> None:
    """What faded since then was there; what had faded by then had."""
    said = datetime(2015, 1, 1, tzinfo=UTC)
    await api.fact("Is reading Dune", slot="currently_reading", value="Dune", said_at=said)
    await api.sql("UPDATE memory_facts SET recorded_at = said_at")
    await decayed(api)
    assert await listed(api, as_of="2015-01-15T00:00:00Z") == ["Is reading Dune"]
    assert await listed(api, as_of="2020-01-01T00:00:00Z") == []
    assert await listed(api, as_of="2015-01-15T00:00:00Z", known_at="2020-01-01T00:00:00Z")
    assert await listed(api, known_at="2020-01-01T00:00:00Z") == ["Is reading Dune"]


async def test_nothing_fades_ahead_of_time(api: Api) -> None:
    """Asked what will be true in ten years, a memory tells what it believes now."""
    await api.fact("Is reading Dune", slot="currently_reading", value="Dune")
    await decayed(api)
    assert await listed(api, as_of=(utc_now() + timedelta(days=3_650)).isoformat())


async def test_a_threshold_of_nothing_brings_everything_back(api: Api) -> None:
    await api.fact("Is reading Dune", said_at=LONG_AGO)
    assert (await decayed(api))["faded"] == 1
    assert (await decayed(api, faded_below=0))["revived"] == 1
    assert await listed(api) == ["Is reading Dune"]


async def test_what_faded_is_taken_out_of_the_profile(api: Api) -> None:
    await api.fact("Likes tea", category="user_preference")
    dune = await api.fact("Is reading Dune", said_at=LONG_AGO)
    await consolidated(api)
    await decayed(api)
    profile = (await api.get("/v1/users/ana/conscious")).json()["profile"]
    assert (profile["stale"], profile["stale_fact"]) == (True, str(dune))
    await consolidated(api)
    profile = (await api.get("/v1/users/ana/conscious")).json()["profile"]
    assert profile["content"] == "Preferences:\n- Likes tea"


async def consolidated(api: Api) -> None:
    trace = (await api.post("/v1/users/ana/consolidate")).json()["trace_id"]
    stage = MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy())
    await stage.process([RowRef("default", "ana", UUID(trace))])


async def test_sql_reckons_what_the_pure_module_does(api: Api) -> None:
    """Slots and categories of all sorts, said and used at any time, with any threshold."""
    drawn = random.Random(7)
    lives = half_lives()
    slots = [None, "a_slot_of_nobody", *drawn.sample(sorted(lives.slots), 20)]
    for number in range(40):
        said = LONG_AGO + timedelta(days=drawn.random() * 3_900)
        fact = await api.fact(
            f"Fact {number}",
            slot=(slot := drawn.choice(slots)),
            value=f"value {number}" if slot else None,
            cardinality="many",
            category=drawn.choice([*lives.categories, "own"]),
            confidence=drawn.choice([0.05, 0.3, 0.71, 0.96, 1.0]),
            said_at=said,
        )
        if number % 3 == 0:
            await api.sql(
                "INSERT INTO fact_uses VALUES ('default', 'ana', %(fact)s, %(at)s, 1)",
                fact=fact,
                at=said + timedelta(days=drawn.random() * 500 - 100),
            )
    for below in (0.2, 0.5, 0.9):
        await decayed(api, below)
        rows = await api.sql(
            "SELECT slot, category, confidence::float8, fades_at, faded, u.last_used_at,"
            " least(said_at, recorded_at) AS said FROM memory_facts f"
            " LEFT JOIN fact_uses u ON u.fact_id = f.id"
            " WHERE f.standing = 'belief' AND f.believed @> now()"
        )
        assert len(rows) > 20
        for row in rows:
            last = max(row["said"], row["last_used_at"] or row["said"])
            half_life = lives.of(row["slot"], row["category"])
            expected = fades_at(row["confidence"], last, half_life, below)
            if expected is None:
                assert row["fades_at"] is None
            else:
                assert abs(row["fades_at"] - expected) < timedelta(seconds=1)
            assert row["faded"] == (expected is not None and expected < utc_now())


class Died(BaseException):
    """As a process dies: nothing is caught, nothing is cleaned up."""


@pytest.mark.parametrize("point", ["begin", "moved", "written", "saved", "committed"])
async def test_a_job_that_dies_tells_of_each_fact_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Killed in its second batch of several, it goes on behind the last one."""
    monkeypatch.setattr(fading_store, "FACTS_A_BATCH", 2)
    facts = [await api.fact(f"Was at place {n}", said_at=LONG_AGO) for n in range(5)]
    reached = 0

    def die(at: str) -> None:
        nonlocal reached
        reached += at == point
        if reached == 2:
            raise Died

    trace = (await api.post("/v1/users/ana/decay")).json()["trace_id"]
    with pytest.raises(Died):
        await decayed(api, trace=trace, at_point=die)
    result = await decayed(api, trace=trace)
    assert (result["looked"], result["faded"]) == (5, 5)
    for fact in facts:
        assert await events(api, fact) == ["fact.settled", "fact.faded"]
    assert await listed(api) == []


# ---- counting uses


async def test_uses_are_written_behind_the_request(api: Api) -> None:
    """Without anybody's doing, a little later."""
    api.gateway.uses._pause_seconds = 0.01
    await api.fact("Likes tea")
    await recalled(api, "tea")
    await eventually(lambda: api.sql("SELECT 1 FROM fact_uses"))


async def test_uses_wait_for_a_database_that_is_away(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    counter = UseCounter(api.db)
    fact = await api.fact("Likes tea")

    async def away(_batch: object) -> None:
        raise psycopg.OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(counter, "_save", away)
        counter.count("default", "ana", [{"id": fact, "status": "current"}])
        await counter.flush()
    counter.count("default", "ana", [{"id": fact, "status": "current"}])
    await counter.stop()
    assert (await api.sql("SELECT uses FROM fact_uses"))[0]["uses"] == 2


async def test_what_waits_to_be_counted_is_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.uses._CAPACITY", 3)
    counter = UseCounter(api.db)
    counter.count("default", "ana", [{"id": UUID(int=n), "status": "current"} for n in range(9)])
    assert len(counter._waiting) == 3
    await counter.stop()
    assert await api.sql("SELECT 1 FROM fact_uses") == [], "of facts that are not there"


async def test_counting_beside_the_job_loses_no_use(api: Api) -> None:
    """Whichever comes first, the last run knows of both."""
    facts = [await api.fact(f"Was at place {n}", said_at=LONG_AGO) for n in range(5)]
    counter = UseCounter(api.db)
    counter.count("default", "ana", [{"id": fact, "status": "current"} for fact in facts])
    await asyncio.gather(counter.flush(), decayed(api))
    await decayed(api)
    assert len(await listed(api)) == 5


@pytest.mark.parametrize("kept_by", ["pin", "use", None])
async def test_what_merged_into_a_fact_lends_it_its_pin_and_its_uses(
    api: Api, kept_by: str | None
) -> None:
    """Who pinned or used the words that were merged meant what they say."""
    first = await api.fact("Is reading Dune", category="user_preference", said_at=LONG_AGO)
    second = await api.fact("Is reading Dune.", category="user_preference", said_at=LONG_AGO)
    if kept_by == "pin":
        await api.client.patch(f"/v1/facts/{second}", json={"pinned": True})
    if kept_by == "use":
        await api.sql(
            "INSERT INTO fact_uses (tenant_id, user_id, fact_id, uses, last_used_at)"
            " VALUES ('default', 'ana', %(id)s, 1, now()) RETURNING 1",
            id=second,
        )
    await api.sql(
        "UPDATE memory_facts SET standing = 'merged', canonical_id = %(first)s, believed = '{}'"
        " WHERE id = %(second)s RETURNING 1",
        first=first,
        second=second,
    )
    assert (await decayed(api))["faded"] == (0 if kept_by else 1)


async def test_what_ended_by_itself_is_news_to_the_other_kinds_once(api: Api) -> None:
    """Essential facts and the profile follow, though nobody says anything."""

    async def version() -> int:
        [row] = await api.sql("SELECT belief_version FROM users WHERE user_id = 'ana'")
        return int(row["belief_version"])

    await api.fact("Lives in Rome", slot="home_city", value="Rome")
    await decayed(api)
    before = await version()
    await api.sql(
        "UPDATE memory_facts SET believed = tstzmultirange(tstzrange(NULL, now() - interval '1 hour'))"
        " RETURNING 1"
    )
    await api.sql("UPDATE job_runs SET last_run_at = now() - interval '1 day' RETURNING 1")
    await decayed(api)
    assert await version() == before + 1
    await decayed(api)
    assert await version() == before + 1
