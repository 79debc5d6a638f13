"""What rests on what is followed to its end: a root is retired, and one run leaves nothing loose.

A message carries facts; a fact carries the cluster that it is the first of, what it superseded, its
essential mark and the profile's lines; those facts carry others in turn.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.deduper.overlooked import Overlooked
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.jobs.means import Means
from shared.failures.store import RetryPolicy
from tests.integration.test_gateway_acts import at, patch, settle_open
from tests.integration.test_gateway_app import Api, serve
from tests.integration.test_jobs import requested

STORIES, FACTS = 10, 12
MODEL = "all-MiniLM-L6-v2-int8"
WORDS = [
    "copper",
    "velvet",
    "harbour",
    "thistle",
    "quartz",
    "meadow",
    "lantern",
    "cobalt",
    "walnut",
    "pepper",
    "marble",
    "indigo",
]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


async def run(api: Api, kind: str) -> dict[str, Any]:
    """Have a job done, and tell what it did, as its trace does."""
    ref = await requested(api, kind=kind)
    means = Means(Overlooked(MODEL))
    await MaintenanceStage(durable=api.db.everyone, policy=RetryPolicy(), means=means).process(
        [ref]
    )
    trace = (await api.get(f"/v1/traces/{ref.id}?wait=settled")).json()
    result: dict[str, Any] = trace["job"]["result"]
    return result


async def message(api: Api, content: str) -> UUID:
    accepted = await api.ingest(content=content, session_id="s")
    return UUID(
        accepted["chat_log_id"] if isinstance(accepted, dict) else accepted.json()["chat_log_id"]
    )


async def decided(api: Api, one: UUID, other: UUID, verdict: str) -> None:
    """As a judge says it of two facts, in words that name them."""
    await api.sql(
        """INSERT INTO verdicts (tenant_id, user_id, first_id, second_id, verdict, judge, reason)
           SELECT 'default', 'ana', least(%(a)s, %(b)s), greatest(%(a)s, %(b)s), %(v)s, 'a-model',
                  string_agg(content, ' / ') FROM memory_facts WHERE id IN (%(a)s, %(b)s)
               ON CONFLICT DO NOTHING RETURNING 1""",
        a=one,
        b=other,
        v=verdict,
    )


async def loose_ends(api: Api) -> list[str]:
    """Everything that rests on what is no longer believed as it was."""
    return [row["loose"] for row in await api.sql(_LOOSE)]


_LOOSE = """
SELECT 'merged into nothing: ' || f.id AS loose FROM memory_facts f
 WHERE f.standing = 'merged'
   AND NOT EXISTS (SELECT FROM memory_facts c
                    WHERE c.id = f.canonical_id AND c.canonical_id = c.id
                      AND c.standing IN ('belief', 'plan', 'retired'))
UNION ALL
SELECT 'superseded by nothing: ' || f.id FROM memory_facts f
 WHERE f.superseded_by IS NOT NULL
   AND NOT EXISTS (SELECT FROM memory_facts c WHERE c.id = f.superseded_by AND c.standing <> 'forgotten')
UNION ALL
SELECT 'a profile rests on ' || e.fact_id FROM profile_edges e JOIN profiles p USING (tenant_id, user_id)
 WHERE p.stale_since IS NULL
   AND NOT EXISTS (SELECT FROM memory_facts f
                    WHERE f.id = e.fact_id AND f.standing = 'belief' AND f.believed @> now())
UNION ALL
SELECT 'essential and not believed: ' || f.id FROM memory_facts f
 WHERE f.essential AND f.standing = 'forgotten'"""


async def test_one_run_follows_a_chain_of_its_own_making(api: Api) -> None:
    """It merges a fact into an older one: what that superseded, the profile and the mark follow."""
    coffee = await api.fact("Drinks coffee in the morning", said_at=at(2020))
    older = await api.fact(
        "Drinks tea in the morning", said_at=at(2022), category="user_preference"
    )
    newer = await api.fact(
        "Drinks tea in the mornings", said_at=at(2023), category="user_preference"
    )
    await decided(api, coffee, newer, "supersedes")
    await api.sql(  # as it was before the two were compared
        "UPDATE memory_facts SET superseded_by = %(n)s, believed = tstzmultirange(tstzrange(%(s)s, %(e)s))"
        " WHERE id = %(c)s RETURNING 1",
        n=newer,
        c=coffee,
        s=at(2020),
        e=at(2023),
    )
    await api.sql("UPDATE memory_facts SET essential = true WHERE id = %(n)s RETURNING 1", n=newer)
    await api.sql(
        """WITH edge AS (INSERT INTO profile_edges VALUES ('default', 'ana', %(n)s, 1))
           INSERT INTO profiles (tenant_id, user_id, content) VALUES ('default', 'ana', 'Tea') RETURNING 1""",
        n=newer,
    )
    result = await run(api, "consolidate")
    assert (result["merged"], result["profile"]) == (1, "written")
    facts = {row["id"]: row for row in await api.sql("SELECT * FROM memory_facts")}
    assert (facts[newer]["standing"], facts[newer]["canonical_id"]) == ("merged", older)
    assert facts[coffee]["superseded_by"] == older
    profile = (await api.get("/v1/users/ana/conscious")).json()["profile"]
    assert (profile["rests_on"], profile["stale"]) == ([str(older)], False)
    assert await loose_ends(api) == []
    await run(api, "optimize")
    assert (
        await api.sql("SELECT id FROM memory_facts WHERE essential AND standing = 'merged'") == []
    )


async def test_a_message_that_goes_takes_all_that_hangs_on_it(api: Api) -> None:
    """Message → fact → what it merged and superseded → profile and mark: each is what is left."""
    root = await message(api, "I moved from coffee to tea")
    coffee = await api.fact("Drinks coffee", said_at=at(2020), category="user_preference")
    tea = await api.fact(
        "Drinks tea", said_at=at(2021), sources=(root,), category="user_preference"
    )
    again = await api.fact("Drinks tea!", said_at=at(2023), category="user_preference")
    water = await api.fact("Drinks water", said_at=at(2025), category="user_preference")
    await decided(api, coffee, tea, "supersedes")
    await decided(api, tea, again, "duplicate")
    await run(api, "consolidate")
    facts = {row["id"]: row for row in await api.sql("SELECT * FROM memory_facts")}
    assert (facts[coffee]["superseded_by"], facts[again]["canonical_id"]) == (tea, tea)
    profile = (await api.get("/v1/users/ana/conscious")).json()["profile"]
    assert set(profile["rests_on"]) == {str(tea), str(water)}

    gone = await api.client.delete(f"/v1/users/ana/sessions/s/messages/{root}")
    assert gone.json() == {"messages": 1, "facts": 1}
    facts = {row["id"]: row for row in await api.sql("SELECT * FROM memory_facts")}
    assert facts[tea]["standing"] == "forgotten"
    assert (facts[again]["standing"], facts[again]["canonical_id"]) == ("belief", again)
    assert facts[coffee]["superseded_by"] is None
    assert await loose_ends(api) == []
    result = await run(api, "consolidate")
    assert result["profile"] == "written"
    profile = (await api.get("/v1/users/ana/conscious")).json()["profile"]
    assert set(profile["rests_on"]) == {str(coffee), str(again), str(water)}


class Tangle:
    """Facts of one user that rest on one another at random, and ways to retire one of them."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.drawn = random.Random(seed)
        self.facts: list[UUID] = []
        self.messages: list[UUID] = []

    async def made(self) -> None:
        for number in range(FACTS):
            self.messages.append(await message(self.api, f"I said {WORDS[number]}"))
            sources = (self.messages[-1],)
            if number and self.drawn.random() < 0.25:
                sources = (*sources, self.messages[number - 1])
            said = at(self.drawn.randrange(2010, 2026))
            fact = self.fact_about(number)
            self.facts.append(await self.api.fact(said_at=said, sources=sources, **fact))
        free = [fact for number, fact in enumerate(self.facts) if number % 4]
        for _ in range(2 * len(free)):
            one, other = self.drawn.sample(free, 2)
            await decided(
                self.api, one, other, self.drawn.choice(["duplicate", "duplicate", "supersedes"])
            )
        await self.nights()

    def fact_about(self, number: int) -> dict[str, Any]:
        if number % 4:
            return {"content": f"Says {WORDS[number]}", "category": "user_preference"}
        value = self.drawn.choice(["Rome", "Oslo", "Porto"])
        return {"content": f"Lives in {value} {WORDS[number]}", "slot": "home_city", "value": value}

    async def nights(self) -> None:
        for kind in ("decay", "consolidate", "optimize"):
            await run(self.api, kind)

    async def retire(self, number: int) -> str:
        how = self.drawn.choice(["message", "fact", "correction", "statement"])
        fact = f"/v1/facts/{self.facts[number]}"
        if how == "message":
            path = f"/v1/users/ana/sessions/s/messages/{self.messages[number]}"
            answer = await self.api.client.delete(path)
        elif how == "fact":
            answer = await self.api.client.delete(fact)
        elif how == "correction":
            anew = {"content": f"Says anew {number}"} if number % 4 else {"value": "Turin"}
            answer = await patch(self.api, self.facts[number], anew)
            await settle_open(self.api)
        else:
            await self.api.fact("Lives in Lima", slot="home_city", value="Lima", said_at=at(2026))
            return how
        gone = {404, 409}  # it went with an earlier one
        assert answer.status_code in {200, 202, *gone}, answer.text
        return how

    async def words_left(self, number: int) -> list[str]:
        """Where a forgotten fact's own word is still to be read."""
        left = []
        for table in ("memory_facts", "verdicts", "profiles", "essential_rankings", "chat_logs"):
            found = await self.api.sql(
                f"SELECT 1 FROM {table} t WHERE t::text ILIKE %(word)s", word=f"%{WORDS[number]}%"
            )
            left += [table] * bool(found)
        return left


@pytest.mark.parametrize("seed", range(STORIES))
async def test_whatever_is_retired_nothing_that_rests_on_it_is_left_loose(
    api: Api, seed: int
) -> None:
    """At once where words are concerned; after one run of each kind in everything; and then it stays."""
    tangle = Tangle(api, seed)
    await tangle.made()
    assert await loose_ends(api) == []
    for _ in range(3):
        number = tangle.drawn.randrange(FACTS)
        how = await tangle.retire(number)
        assert await loose_ends(api) == [], how
        [root] = await api.sql(
            "SELECT standing FROM memory_facts WHERE id = %(f)s", f=tangle.facts[number]
        )
        if how == "message" and root["standing"] == "forgotten":
            assert await tangle.words_left(number) == [], how
        await tangle.nights()
        assert await loose_ends(api) == [], how
        assert await api.sql("SELECT 1 FROM profiles WHERE stale_since IS NOT NULL") == [], how
        assert await api.sql(_ESSENTIAL_LOOSE) == [], how
        again = await run(api, "consolidate")
        assert (again["changed"], again["merged"], again["profile"]) == (0, 0, "unchanged"), how


_ESSENTIAL_LOOSE = """
SELECT id FROM memory_facts WHERE essential AND NOT (standing = 'belief' AND believed @> now())"""
