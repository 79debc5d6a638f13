"""Replaying a user on real servers: nothing counts before it is promoted, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.extractor.extractors import PROMPT, ByModel, ByRules, Extractor
from services.extractor.replay import ReplayRefusedError
from services.extractor.replay.diff import Diff
from services.extractor.replay.reading import Means, Outcome
from services.extractor.replay.store import Scope
from services.extractor.replay.work import Replayer
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.errors import ConfigurationError
from shared.facts.statements import NewFact, Statement, observed
from shared.facts.store import insert_facts
from shared.failures.store import RetryPolicy
from shared.ids import time_ordered_id
from shared.llm import ChatModel
from tests.databases import TestedDatabase
from tests.fakes.chat_server import ChatServer, Document, Reply, chat_server
from tests.integration.test_gateway_app import serve
from tests.pipeline.harness import Pipeline

ANA = Scope("default", "ana")
SENTENCES = {"Dallas": "I live in Dallas", "tea": "I like tea", "Rex": "I have a dog called Rex"}


def lives_in(message: dict[str, Any], city: str, content: str | None = None) -> dict[str, Any]:
    return {
        "content": content or f"Lives in {city}",
        "slot": "home_city",
        "value": city,
        "source_message_ids": [message["id"]],
    }


def free(message: dict[str, Any], content: str) -> dict[str, Any]:
    return {"content": content, "source_message_ids": [message["id"]]}


def first_prompt(document: Document) -> dict[str, Any]:
    """A model that takes every message at its word, and cities for homes."""
    facts = []
    for message in document["messages"]:
        words = message["content"]
        if "live in" in words:
            facts.append(lives_in(message, words.rsplit(" ", 1)[1]))
        else:
            facts.append(free(message, words))
    return {"facts": facts}


class World:
    """A pipeline whose extractor is a scripted model, and replayers with others."""

    def __init__(self, pipeline: Pipeline, server: ChatServer) -> None:
        self.pipeline = pipeline
        self.server = server
        self.db = pipeline.db

    def by_model(self, model: str = "fake", prompt: str = PROMPT) -> Callable[..., Extractor]:
        chat = ChatModel(base_url=self.server.url, api_key="k", model=model, timeout_seconds=10)
        return lambda at: ByModel(chat, prompt=prompt, clock=lambda: at)

    def replayer(
        self,
        model: str = "fake",
        *,
        extractor_at: Callable[..., Extractor] | None = None,
        at_point: AtPoint = ignore_point,
        budget_tokens: int = 6_000,
        patience_seconds: float = 30.0,
    ) -> Replayer:
        return Replayer(
            db=self.db.everyone,
            announcer=Announcer(self.pipeline.redis),
            means=Means(
                extractor_at or self.by_model(model),
                3_000,
                budget_tokens,
                patience_seconds=patience_seconds,
            ),
            policy=RetryPolicy(10, 0.02, 1.0),
            at_point=at_point,
        )

    async def make(self, replayer: Replayer, scope: Scope = ANA) -> tuple[Outcome, Diff]:
        async with replayer.holding(scope) as holder:
            outcome = await replayer.make(holder, scope, lambda *_: None)
            return outcome, await replayer.differences(scope, outcome.generation)

    async def replay(self, replayer: Replayer, scope: Scope = ANA) -> tuple[Outcome, Diff]:
        outcome, diff = await self.make(replayer, scope)
        await replayer.promote(scope, outcome.generation)
        await self.pipeline.settled()
        return outcome, diff

    async def generation(self) -> int:
        [row] = await self.pipeline.rows("SELECT generation FROM users WHERE user_id = 'ana'")
        return int(row["generation"])

    async def held(self) -> list[tuple[str, str]]:
        """What is held true now, in whatever generation: (slot or nothing, content)."""
        rows = await self.pipeline.rows(
            """SELECT coalesce(slot, '') AS slot, content FROM memory_facts
                WHERE user_id = 'ana' AND standing = 'belief' AND believed @> now() ORDER BY 1, 2"""
        )
        return [(row["slot"], row["content"]) for row in rows]

    async def everything(self) -> list[dict[str, Any]]:
        return await self.pipeline.rows(
            """SELECT id, standing, canonical_id, believed, superseded_by, evidence_count
                 FROM memory_facts WHERE user_id = 'ana' AND generation = 1 ORDER BY id"""
        )


@pytest.fixture
async def world(db: TestedDatabase, redis: Redis, redis_url: str):
    async with chat_server(first_prompt) as server:
        model = ChatModel(base_url=server.url, api_key="k", model="fake", timeout_seconds=10)
        pipeline = Pipeline(db, redis, redis_url, extractor=ByModel(model))
        async with pipeline.running():
            yield World(pipeline, server)


async def told(world: World) -> None:
    """Ana has said three things in three sessions."""
    for session, words in SENTENCES.items():
        await world.pipeline.say(words, session_id=session)
    await world.pipeline.settled()
    world.server.documents.clear()


async def test_the_same_prompt_and_model_cost_no_call_and_change_nothing(world: World) -> None:
    await told(world)
    outcome, diff = await world.replay(world.replayer())
    assert world.server.documents == []
    assert (outcome.calls, outcome.reused_answers, outcome.generation) == (0, 3, 2)
    assert (diff.added, diff.lost, diff.changed, len(diff.unchanged)) == ([], [], [], 3)
    assert await world.generation() == 2
    assert await world.held() == [
        ("", "I have a dog called Rex"),
        ("", "I like tea"),
        ("home_city", "Lives in Dallas"),
    ]


async def test_a_dry_run_writes_nothing_and_calls_nothing(world: World) -> None:
    await told(world)
    before = await world.pipeline.rows("SELECT count(*) AS n FROM extractions")
    estimate = await world.replayer("better").estimate(ANA)
    assert (estimate.sessions, estimate.messages, estimate.calls) == (3, 3, 3)
    assert estimate.reused_answers == 0
    assert estimate.input_tokens > 3 * 750
    same = await world.replayer().estimate(ANA)
    assert (same.calls, same.reused_answers, same.input_tokens) == (0, 3, 0)
    assert world.server.documents == []
    assert await world.pipeline.rows("SELECT count(*) AS n FROM extractions") == before
    assert await world.pipeline.rows("SELECT * FROM replays") == []


async def test_another_model_is_asked_once_a_session_and_shown_as_it_was_then(
    world: World,
) -> None:
    """Each session is one call, with the turns before it, what was believed then, and its day."""
    pipeline = world.pipeline
    then = datetime(2020, 3, 1, 12, tzinfo=UTC)
    await pipeline.say("I live in Boston", session_id="a", timestamp=then.replace(year=2019))
    await pipeline.say("I live in Dallas", session_id="b", timestamp=then)
    await pipeline.say(
        "How nice!", session_id="c", role="assistant", timestamp=then.replace(month=4)
    )
    await pipeline.say("Dallas is hot", session_id="c", timestamp=then.replace(month=5))
    await pipeline.settled()
    world.server.documents.clear()
    outcome, _ = await world.make(world.replayer("better"))
    asked = {d["messages"][0]["content"]: d for d in world.server.documents}
    assert len(world.server.documents) == outcome.calls == 3
    assert asked["I live in Boston"]["known"] == []
    assert asked["I live in Dallas"]["known"] == [{"slot": "home_city", "value": "Boston"}]
    assert asked["Dallas is hot"]["known"] == [{"slot": "home_city", "value": "Dallas"}]
    assert [t["content"] for t in asked["Dallas is hot"]["context"]] == ["How nice!"]
    assert asked["Dallas is hot"]["today"] == "2020-05-01"


async def test_what_is_added_lost_and_changed_is_told(world: World) -> None:
    await told(world)

    def better(document: Document) -> dict[str, Any]:
        [message] = document["messages"]
        if "Dallas" in message["content"]:
            return {"facts": [lives_in(message, "Austin")]}
        if "tea" in message["content"]:
            return {"facts": []}
        pet = {"content": "Has a dog called Rex", "slot": "pet", "value": "Rex"}
        return {
            "facts": [
                {**pet, "source_message_ids": [message["id"]]},
                free(message, "Owns a garden"),
            ]
        }

    world.server.script = better
    _, diff = await world.make(world.replayer("better"))
    assert [b.content for b in diff.added] == ["Owns a garden"]
    assert [b.content for b in diff.lost] == ["I like tea"]
    changes = {(p.old.content, p.new.content, p.differs) for p in diff.changed}
    assert changes == {
        ("Lives in Dallas", "Lives in Austin", ("value", "content")),
        ("I have a dog called Rex", "Has a dog called Rex", ("value", "content")),
    }
    assert diff.unchanged == []


async def test_nothing_of_a_new_generation_shows_before_it_is_promoted(
    world: World, database_url: str
) -> None:
    """Not in recall, lists or timelines, not as news, and no standing in use is touched."""
    await told(world)
    before = await world.everything()
    news = await world.pipeline.rows("SELECT count(*) AS n FROM events")
    world.server.script = lambda document: {
        "facts": [lives_in(document["messages"][0], "Austin"), free(document["messages"][0], "New")]
    }
    outcome, _ = await world.make(world.replayer("better"))
    assert await world.everything() == before
    assert await world.pipeline.rows("SELECT count(*) AS n FROM events") == news
    async with serve(database_url, world.pipeline.redis) as api:
        found = await api.post(
            "/v1/recall", {"user_id": "ana", "query": "New Austin", "view": "all"}
        )
        assert {f["content"] for f in found.json()["relevant_facts"]} <= {
            "Lives in Dallas", *SENTENCES.values()
        }  # fmt: skip
        assert found.json()["freshness"]["pending"] == 0
        listed = (await api.get("/v1/users/ana/facts", view="all")).json()["facts"]
        assert len(listed) == 3
        slots = (await api.get("/v1/users/ana/timeline")).json()["slots"]
        assert [i["value"] for s in slots for i in s["intervals"]] == ["Dallas"]
    await world.replayer().promote(ANA, outcome.generation)
    assert ("home_city", "Lives in Austin") in await world.held()


async def test_a_reader_sees_the_old_or_the_new_generation_never_a_mixture(
    world: World, database_url: str
) -> None:
    """While two generations take turns, every answer is whole."""
    for number in range(40):
        await world.pipeline.say(f"I like thing {number} very much", session_id=f"s{number % 4}")
    await world.pipeline.settled()
    world.server.script = lambda document: {
        "facts": [free(m, m["content"].replace("like", "love")) for m in document["messages"]]
    }
    replayer = world.replayer("better")
    outcome, _ = await world.make(replayer)
    done = asyncio.Event()
    seen: set[str] = set()

    async def read() -> int:
        reads = 0
        async with serve(database_url, world.pipeline.redis) as api:
            while not done.is_set():
                listed = (await api.get("/v1/users/ana/facts", limit=100)).json()["facts"]
                found = await api.post(
                    "/v1/recall", {"user_id": "ana", "query": "thing", "limit": 100}
                )
                for facts in (listed, found.json()["relevant_facts"]):
                    verbs = {fact["content"].split()[1] for fact in facts}
                    assert len(verbs) == 1, verbs
                    assert {fact["status"] for fact in facts} == {"current"}
                    seen.update(verbs)
                assert len(listed) == 40
                reads += 1
        return reads

    reading = [asyncio.create_task(read()) for _ in range(3)]
    for turn in range(12):
        await replayer.promote(ANA, 1 if turn % 2 else outcome.generation)
        await asyncio.sleep(0.05)
    done.set()
    assert sum(await asyncio.gather(*reading)) > 10
    assert seen == {"like", "love"}


async def test_the_old_generation_stays_in_history_and_can_be_promoted_back(
    world: World, database_url: str
) -> None:
    await told(world)
    [old] = await world.pipeline.rows("SELECT id FROM memory_facts WHERE slot = 'home_city'")
    before = await world.everything()
    world.server.script = lambda document: {"facts": [lives_in(document["messages"][0], "Austin")]}
    replayer = world.replayer("better")
    outcome, _ = await world.replay(replayer)
    async with serve(database_url, world.pipeline.redis) as api:
        history = (await api.get(f"/v1/facts/{old['id']}/history")).json()
        assert (history["generation"], history["counts"]) == (1, False)
        replaced = history["events"][-1]
        assert replaced["event"] == "fact.replaced"
        assert replaced["data"] == {
            "generation": 1,
            "by_generation": outcome.generation,
            "extractor": "llm",
            "model": "better",
            "prompt": PROMPT,
        }
        assert (await api.get(f"/v1/facts/{old['id']}")).json()["status"] == "past"
        [new] = (await api.get("/v1/users/ana/facts", slot="home_city")).json()["facts"]
        source = (await api.get(f"/v1/facts/{new['id']}/source")).json()
        assert source["extraction"]["model"] == "better"
        await replayer.promote(ANA, 1)
        back = (await api.get(f"/v1/facts/{old['id']}/history")).json()
        assert back["events"][-1]["event"] == "fact.restored"
        assert back["counts"]
    assert await world.everything() == before
    generations = await replayer.generations(ANA)
    assert [(g["generation"], g["in_use"], g["state"]) for g in generations] == [
        (1, True, "promoted"),
        (2, False, "replaced"),
    ]


async def test_dropping_leaves_nothing_but_the_paid_answers(world: World) -> None:
    await told(world)
    before = await world.everything()
    replayer = world.replayer("better")
    outcome, _ = await world.make(replayer)
    world.server.documents.clear()
    assert await replayer.drop(ANA, outcome.generation) == 3
    for table in ("memory_facts", "replay_messages"):
        left = await world.pipeline.rows(f"SELECT 1 AS one FROM {table} WHERE generation = 2")
        assert left == [], table
    orphans = await world.pipeline.rows(
        "SELECT 1 AS one FROM fact_vectors WHERE fact_id NOT IN (SELECT id FROM memory_facts)"
    )
    assert orphans == []
    assert await world.everything() == before
    with pytest.raises(ReplayRefusedError, match="is dropped"):
        await replayer.promote(ANA, outcome.generation)
    again, _ = await world.make(replayer)
    assert (again.generation, again.calls, again.reused_answers) == (3, 0, 3)
    assert world.server.documents == []


async def test_messages_outside_the_scope_keep_their_facts(world: World) -> None:
    """Only one session is read again; the others' facts are there with all they rest on."""
    await told(world)
    world.server.script = lambda document: {"facts": [lives_in(document["messages"][0], "Austin")]}
    outcome, diff = await world.replay(
        world.replayer("better"), Scope("default", "ana", session="Dallas")
    )
    assert outcome.calls == 1
    assert (len(diff.changed), len(diff.unchanged), diff.added, diff.lost) == (1, 2, [], [])
    rows = await world.pipeline.rows(
        """SELECT f.content, e.model FROM memory_facts f JOIN extractions e ON e.id = f.extraction_id
            WHERE f.generation = 2 ORDER BY 1"""
    )
    assert [(row["content"], row["model"]) for row in rows] == [
        ("I have a dog called Rex", "fake"),
        ("I like tea", "fake"),
        ("Lives in Austin", "better"),
    ]


async def test_a_session_cut_by_a_date_loses_and_doubles_nothing(world: World) -> None:
    """A stored answer that reaches over the cut serves for what begins behind it."""
    early, late = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    said = [
        world.pipeline.message("I like tea", timestamp=early),
        world.pipeline.message("I like chess", timestamp=late),
    ]
    await world.pipeline.store(*said)
    await world.pipeline.settled()
    world.server.documents.clear()
    scope = Scope("default", "ana", since=datetime(2024, 6, 1, tzinfo=UTC))
    outcome, diff = await world.replay(world.replayer(), scope)
    assert (outcome.calls, outcome.reused_answers) == (0, 1)
    assert len(diff.unchanged) == 2
    assert await world.held() == [("", "I like chess"), ("", "I like tea")]


async def test_what_came_in_meanwhile_is_not_lost(world: World) -> None:
    """Messages sent all through a replay and its promotion are believed in the end, each once."""
    await told(world)
    numbers = iter(range(1_000))
    done = asyncio.Event()

    async def talk() -> None:
        while not done.is_set():
            number = next(numbers)
            await world.pipeline.say(f"My lucky word is word{number}", session_id=f"t{number % 5}")
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    replayer = world.replayer("better")
    outcome, _ = await world.make(replayer)
    await replayer.promote(ANA, outcome.generation)
    seen = await world.generation()
    await asyncio.sleep(0.3)
    await replayer.promote(ANA, 1)
    await replayer.promote(ANA, outcome.generation)
    done.set()
    await talking
    await world.pipeline.settled()
    assert seen == await world.generation() == outcome.generation
    rows = await world.pipeline.rows(
        """SELECT content FROM memory_facts WHERE generation = 2 AND state = 'settled'
              AND content LIKE 'My lucky%%'"""
    )
    said = await world.pipeline.rows(
        "SELECT content FROM chat_logs WHERE content LIKE 'My lucky%%'"
    )
    assert len(said) > 10
    assert sorted(r["content"] for r in rows) == sorted(r["content"] for r in said)
    counted = await world.pipeline.rows(
        """SELECT count(*) AS n FROM memory_facts WHERE generation = 2 AND standing IS NULL"""
    )
    assert counted[0]["n"] == 0


async def test_what_was_merged_stays_merged_when_it_is_carried_over(world: World) -> None:
    """Said twice between the replay and its promotion: one belief, before and after."""
    await told(world)
    outcome, _ = await world.make(world.replayer())
    await world.pipeline.say("I like chess on Sundays", session_id="x")
    await world.pipeline.say("I like chess on Sundays", session_id="y")
    await world.pipeline.settled()
    before = await world.held()
    await world.replayer().promote(ANA, outcome.generation)
    assert await world.held() == before
    assert before.count(("", "I like chess on Sundays")) == 1


async def test_a_call_that_was_under_way_goes_to_the_generation_in_use(world: World) -> None:
    """A message whose model answers after the promotion is believed after it."""
    await told(world)
    outcome, _ = await world.make(world.replayer())
    asked, promoted = asyncio.Event(), asyncio.Event()

    async def slow(document: Document) -> dict[str, Any]:
        asked.set()
        await promoted.wait()
        return first_prompt(document)

    world.server.script = slow
    await world.pipeline.say("I like chess", session_id="new")
    await asked.wait()
    await world.replayer().promote(ANA, outcome.generation)
    promoted.set()
    await world.pipeline.settled()
    assert ("", "I like chess") in await world.held()
    rows = await world.pipeline.rows(
        "SELECT generation FROM memory_facts WHERE content = 'I like chess'"
    )
    assert [row["generation"] for row in rows] == [outcome.generation]


async def test_deletions_and_corrections_hold_in_every_generation(
    world: World, database_url: str
) -> None:
    """What was deleted does not come back in other words, what was corrected stays corrected."""
    await told(world)
    [city] = await world.pipeline.rows("SELECT id FROM memory_facts WHERE slot = 'home_city'")
    [tea] = await world.pipeline.rows("SELECT id FROM memory_facts WHERE content = 'I like tea'")
    async with serve(database_url, world.pipeline.redis) as api:
        patched = await api.client.patch(f"/v1/facts/{city['id']}", json={"value": "Austin"})
        assert patched.status_code == 202
        await api.client.delete(f"/v1/facts/{tea['id']}")
        await world.pipeline.settled()
        before = await world.held()
        assert ("home_city", "Lives in Austin") in before
        world.server.script = lambda document: {
            "facts": [
                lives_in(m, "Dallas", "Has a home in Dallas") if "Dallas" in m["content"]
                else free(m, m["content"].replace("like", "really like"))
                for m in document["messages"]
            ]
        }  # fmt: skip
        _, diff = await world.replay(world.replayer("better"))
        assert await world.held() == before
        assert diff.added == []
        rows = await world.pipeline.rows(
            "SELECT content, standing FROM memory_facts WHERE generation = 2 ORDER BY 1"
        )
        assert ("I really like tea", "forgotten") in [(r["content"], r["standing"]) for r in rows]
        undone = await api.client.post(f"/v1/facts/{tea['id']}/undo", json={})
        assert undone.status_code == 200
    assert ("", "I really like tea") in await world.held()


CITIES = {"words": "Has a home in Big D", "slot": "home_city", "value": "Big D"}


@pytest.mark.parametrize(
    ("said", "body", "kept", "anew"),
    [
        ("I love jazz", {"content": "Loves blues"}, "Loves blues", [{"words": "Is fond of jazz"}]),
        (
            "I love jazz",
            {"content": "Loves blues"},
            "Loves blues",
            [{"words": "Swing is their music"}, {"words": "jazz", "slot": "likes"}],
        ),
        ("I live in Dallas", {"value": "Austin"}, "Lives in Austin", [CITIES]),
        (
            "I live in Dallas",
            {"value": "Austin"},
            "Lives in Austin",
            [{"words": "Big D is home"}, {**CITIES, "slot": "hometown"}],
        ),
        ("I live in Dallas", {"value": "Austin"}, "Lives in Austin", [{**CITIES, "since": "2001"}]),
    ],
)
async def test_a_correction_holds_whatever_the_new_generation_words(
    world: World, database_url: str, said: str, body: Any, kept: str, anew: list[Any]
) -> None:
    """In other words, for another value, in another slot; undone, the new words count."""
    await world.pipeline.say(said, timestamp="2020-01-01T00:00:00Z")
    await world.pipeline.say("I like tea", session_id="tea", timestamp="2020-01-01T00:00:00Z")
    await world.pipeline.settled()
    [old] = await world.pipeline.rows(
        "SELECT id FROM memory_facts WHERE content IN (%(a)s, %(b)s)", a=said, b="Lives in Dallas"
    )

    def in_other_words(message: dict[str, Any], words: str, **more: Any) -> dict[str, Any]:
        dated = {"occurred_at": more.pop("since")} if "since" in more else {}
        slot = {"value": words, **more} if "slot" in more else {}
        return {**free(message, words), **slot, **dated}

    async with serve(database_url, world.pipeline.redis) as api:
        patched = await api.client.patch(f"/v1/facts/{old['id']}", json=body)
        new = patched.json()["fact_id"]
        await world.pipeline.settled()
        before = await world.held()
        assert kept in [content for _, content in before]
        world.server.script = lambda document: {
            "facts": [
                fact
                for m in document["messages"]
                for fact in (
                    [free(m, m["content"])]
                    if "tea" in m["content"]
                    else [in_other_words(m, **each) for each in anew]
                )
            ]
        }
        _, diff = await world.replay(world.replayer("better"))
        assert await world.held() == before
        assert [b.content for b in diff.added] == []
        rows = await world.pipeline.rows(
            "SELECT id, standing FROM memory_facts WHERE generation = 2 AND content <> 'I like tea'"
        )
        assert {row["standing"] for row in rows} == {"retired"}, "replaced, not forgotten"
        shown = (await api.client.get(f"/v1/facts/{rows[0]['id']}")).json()
        assert shown["content"] == anew[0]["words"]
        await world.replayer().promote(ANA, 1)
        assert await world.held() == before, "nor does the old generation bring it back"
        await world.replayer().promote(ANA, 2)
        undone = await api.client.post(f"/v1/facts/{new}/undo", json={})
        assert undone.status_code == 200
        now = [content for _, content in await world.held()]
    assert {each["words"] for each in anew} & set(now)
    assert kept not in now


async def test_what_else_a_corrected_message_says_is_not_lost(
    world: World, database_url: str
) -> None:
    """Worded anew too, it is liker to what was lost than to what was corrected; so is news."""
    world.server.script = lambda document: {
        "facts": [
            fact
            for m in document["messages"]
            for fact in (free(m, "Loves jazz"), free(m, "Loves tea"), lives_in(m, "Dallas"))
        ]
    }
    await world.pipeline.say("I love jazz and tea and live in Dallas")
    await world.pipeline.settled()
    facts = await world.pipeline.rows("SELECT id, content FROM memory_facts")
    ids = {row["content"]: row["id"] for row in facts}
    async with serve(database_url, world.pipeline.redis) as api:
        await api.client.patch(f"/v1/facts/{ids['Loves jazz']}", json={"content": "Loves blues"})
        await api.client.patch(f"/v1/facts/{ids['Lives in Dallas']}", json={"value": "Austin"})
        labels = {"category": "user_preference", "metadata": {"drink": True}}
        await api.client.patch(f"/v1/facts/{ids['Loves tea']}", json=labels)
        await world.pipeline.settled()
        world.server.script = lambda document: {
            "facts": [
                fact
                for m in document["messages"]
                for fact in (
                    free(m, "Is fond of jazz"),
                    free(m, "Is fond of tea"),
                    free(m, "Has a home in Dallas"),
                )
            ]
        }
        await world.replay(world.replayer("better"))
        assert [content for _, content in await world.held()] == [
            "Is fond of tea",
            "Loves blues",
            "Lives in Austin",
        ]


async def test_labels_and_uses_stay_on_what_says_the_same_in_a_new_generation(
    world: World, database_url: str
) -> None:
    await told(world)
    [tea] = await world.pipeline.rows("SELECT id FROM memory_facts WHERE content = 'I like tea'")
    async with serve(database_url, world.pipeline.redis) as api:
        labels = {"metadata": {"drink": True}, "pinned": True}
        await api.client.patch(f"/v1/facts/{tea['id']}", json=labels)
        await api.client.post("/v1/recall", json={"user_id": "ana", "query": "tea", "limit": 1})
        await api.gateway.uses.flush()
        await world.replay(world.replayer())
        facts = (await api.get("/v1/users/ana/facts")).json()["facts"]
    [new] = [fact for fact in facts if fact["content"] == "I like tea"]
    assert new["id"] != str(tea["id"])
    assert {name: new[name] for name in labels} == labels
    uses = await world.pipeline.rows("SELECT fact_id, uses FROM fact_uses")
    assert {row["fact_id"]: row["uses"] for row in uses} == {tea["id"]: 1, UUID(new["id"]): 1}


async def test_the_profile_rests_on_the_generation_in_use(world: World, database_url: str) -> None:
    """A promotion retires its sources, and it is written anew."""
    await told(world)
    async with serve(database_url, world.pipeline.redis) as api:
        await api.client.post("/v1/users/ana/consolidate")
        await world.pipeline.settled()
        assert (await api.get("/v1/users/ana/conscious")).json()["profile"]["stale"] is False
        await world.make(world.replayer())
        assert (await api.get("/v1/users/ana/conscious")).json()["profile"]["stale"] is False
        await world.replayer().promote(ANA, 2)
        assert (await api.get("/v1/users/ana/conscious")).json()["profile"]["stale"] is True


async def test_a_deletion_forgets_the_copies_of_generations_not_in_use(
    world: World, database_url: str
) -> None:
    """Nobody reads in an old generation what was deleted since; an undo lets it be read again."""
    await told(world)
    old = await world.pipeline.rows("SELECT id, content FROM memory_facts ORDER BY content")
    await world.replay(world.replayer("better"))
    async with serve(database_url, world.pipeline.redis) as api:
        in_use = await world.pipeline.rows("SELECT id FROM memory_facts WHERE generation = 2")
        for fact in in_use:
            await api.client.delete(f"/v1/facts/{fact['id']}")
        for fact in old:
            shown = (await api.get(f"/v1/facts/{fact['id']}")).json()
            assert (shown["content"], shown["status"]) == ("", "forgotten")
        for fact in in_use:
            assert (await api.client.post(f"/v1/facts/{fact['id']}/undo")).status_code == 200
        for fact in old:
            shown = (await api.get(f"/v1/facts/{fact['id']}")).json()
            assert (shown["content"], shown["status"]) == (fact["content"], "past")
        deleted = await api.client.delete(f"/v1/facts/{old[0]['id']}")
        assert deleted.json()["status"] == "forgotten"
    await world.replayer().promote(ANA, 1)
    assert sorted(content for _, content in await world.held()) == [
        fact["content"] for fact in old[1:]
    ]


async def test_a_message_erased_after_its_replay_leaves_no_words_in_any_answer(
    world: World, database_url: str
) -> None:
    await told(world)
    await world.replay(world.replayer("better"))
    async with serve(database_url, world.pipeline.redis) as api:
        for session in SENTENCES:
            erased = await api.client.delete(f"/v1/users/ana/sessions/{session}/messages")
            assert erased.json() == {"messages": 1, "facts": 2}
    assert await _words_left(world) == []


async def test_a_message_erased_while_it_is_read_again_leaves_nothing(
    world: World, database_url: str
) -> None:
    """The answer comes after the words are gone: of it the rest alone is kept."""
    await world.pipeline.say("I like tea", "I like jazz", session_id="s")
    await world.pipeline.settled()
    async with serve(database_url, world.pipeline.redis) as api:

        async def erasing(document: Document) -> dict[str, Any]:
            [tea] = [m["id"] for m in document["messages"] if "tea" in m["content"]]
            await api.client.delete(f"/v1/users/ana/sessions/s/messages/{tea}")
            return first_prompt(document)

        world.server.script = erasing
        await world.replay(world.replayer("better"))
    assert await world.held() == [("", "I like jazz")]
    left = str(await _words_left(world))
    assert "jazz" in left and "tea" not in left


async def _words_left(world: World) -> list[Any]:
    rows = await world.pipeline.rows(
        """SELECT answer #>> '{facts}' AS words FROM extractions WHERE answer -> 'facts' <> '[]'
           UNION ALL SELECT content FROM memory_facts WHERE content <> ''"""
    )
    return [row["words"] for row in rows]


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("point", ["call", "commit", "promote"])
async def test_killed_anywhere_the_same_again_goes_on_and_pays_once(
    world: World, point: str
) -> None:
    """What was answered and stored before the end is not asked again."""
    await told(world)
    reached = 0

    def die(at: str) -> None:
        nonlocal reached
        reached += at == point
        if reached == (1 if point == "promote" else 2):
            raise KilledError

    with pytest.raises(KilledError):
        await world.replay(world.replayer("better", at_point=die))
    outcome, diff = await world.replay(world.replayer("better"))
    assert outcome.resumed
    assert outcome.generation == 2
    lost_answers = 1 if point == "commit" else 0
    assert len(world.server.documents) <= 3 + lost_answers + (point == "call")
    assert len(diff.unchanged) == 3
    rows = await world.pipeline.rows("SELECT 1 AS one FROM memory_facts WHERE generation = 2")
    assert len(rows) == 3


async def test_a_drop_that_was_stopped_is_gone_on_with(world: World) -> None:
    await told(world)
    replayer = world.replayer("better")
    outcome, _ = await world.make(replayer)
    await world.pipeline.rows("UPDATE replays SET state = 'dropping'")
    again, _ = await world.make(replayer)
    assert again.generation == outcome.generation + 1
    rows = await world.pipeline.rows("SELECT 1 AS one FROM memory_facts WHERE generation = 2")
    assert rows == []


async def test_one_replay_of_a_user_at_a_time(world: World) -> None:
    await told(world)
    async with world.replayer().holding(ANA):
        with pytest.raises(ReplayRefusedError, match="is running"):
            await world.make(world.replayer())
        await world.pipeline.say("I like jazz", user_id="eve")
        await world.pipeline.settled()
        outcome, _ = await world.make(world.replayer(), Scope("default", "eve"))
        assert outcome.generation == 2
    outcome, _ = await world.make(world.replayer())
    assert outcome.generation == 2


async def test_another_replay_waits_until_the_first_is_decided(world: World) -> None:
    await told(world)
    outcome, _ = await world.make(world.replayer("better"))
    with pytest.raises(ReplayRefusedError, match="--drop-generation 2"):
        await world.make(world.replayer("best"))
    await world.replayer().drop(ANA, outcome.generation)
    assert (await world.make(world.replayer("best")))[0].generation == 3


async def test_a_message_that_spoils_its_call_keeps_its_facts(world: World) -> None:
    """Its neighbours are read again; it is named."""
    await world.pipeline.say("I like tea", "I like poison", "I like chess")
    await world.pipeline.settled()

    def script(document: Document) -> Any:
        if any("poison" in message["content"] for message in document["messages"]):
            return Reply(status=400)
        return {"facts": [free(m, m["content"] + "!!") for m in document["messages"]]}

    world.server.script = script
    outcome, _ = await world.replay(world.replayer("better"))
    assert len(outcome.unread) == 1
    assert await world.held() == [
        ("", "I like chess!!"),
        ("", "I like poison"),
        ("", "I like tea!!"),
    ]


async def test_a_provider_that_fails_for_a_while_costs_time_only(world: World) -> None:
    await told(world)
    faults = [Reply(status=429, headers={"retry-after": "0.1"}), Reply(status=503)]
    world.server.script = lambda document: faults.pop() if faults else first_prompt(document)
    outcome, diff = await world.make(world.replayer("better"))
    assert (outcome.calls, len(diff.unchanged), faults) == (3, 3, [])


async def test_a_wrong_key_stops_the_replay_and_the_rest_is_kept(world: World) -> None:
    await told(world)
    world.server.script = lambda _: Reply(status=401)
    with pytest.raises(ConfigurationError):
        await world.make(world.replayer("better"))
    world.server.script = first_prompt
    outcome, _ = await world.make(world.replayer("better"))
    assert outcome.resumed
    assert await world.generation() == 1


async def test_rules_replay_for_free(world: World) -> None:
    """From a model to rules: no call, and provenance says so."""
    await told(world)
    rules = ByRules()
    outcome, _ = await world.replay(world.replayer(extractor_at=lambda _: rules))
    assert (outcome.calls, outcome.reused_answers, world.server.documents) == (0, 0, [])
    rows = await world.pipeline.rows(
        """SELECT DISTINCT e.extractor FROM memory_facts f JOIN extractions e ON e.id = f.extraction_id
            WHERE f.generation = 2"""
    )
    assert [row["extractor"] for row in rows] == ["rules"]
    assert ("home_city", "Lives in Dallas") in await world.held()


async def test_facts_stated_directly_count_in_every_generation(world: World) -> None:
    """They are compared with the new generation's: the same sentence is one belief."""
    await told(world)
    stated = NewFact(
        **observed(Statement(content="I like tea")),
        tenant="default",
        user="ana",
        id=time_ordered_id(),
        generation=0,
        said_at=None,
        recorded_at=None,
        message_key="u:1",
        ordinal=0,
    )
    async with world.db.everyone.transaction() as tx:
        bells = await insert_facts(tx, [stated])
    await Announcer(world.pipeline.redis).announce(bells)
    await world.pipeline.settled()
    _, diff = await world.replay(world.replayer())
    assert (diff.added, diff.lost, diff.changed) == ([], [], [])
    assert await world.held() == [
        ("", "I have a dog called Rex"),
        ("", "I like tea"),
        ("home_city", "Lives in Dallas"),
    ]


async def test_a_user_nobody_knows_and_a_generation_nobody_made_are_said_so(world: World) -> None:
    nobody = Scope("default", "nobody")
    with pytest.raises(ReplayRefusedError, match="nobody is called"):
        await world.replayer().estimate(nobody)
    await told(world)
    with pytest.raises(ReplayRefusedError, match="generation 7 of ana is not there"):
        await world.replayer().promote(ANA, 7)
    with pytest.raises(ReplayRefusedError, match="already in use"):
        await world.replayer().promote(ANA, 1)
    with pytest.raises(ReplayRefusedError, match="no undecided generation"):
        await world.replayer().drop(ANA, 1)


async def test_a_pipeline_that_does_not_run_is_said_so(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The generation waits as far as it is; when the pipeline is back the same goes on."""
    async with chat_server(first_prompt) as server:
        model = ChatModel(base_url=server.url, api_key="k", model="fake", timeout_seconds=10)
        pipeline = Pipeline(db, redis, redis_url, extractor=ByModel(model))
        world = World(pipeline, server)
        async with pipeline.running():
            await told(world)
        with pytest.raises(ReplayRefusedError, match="memoire status"):
            await world.make(world.replayer("better", patience_seconds=0.3))
        async with pipeline.running():
            outcome, _ = await world.make(world.replayer("better"))
    assert (outcome.resumed, outcome.calls, len(server.documents)) == (True, 0, 3)


def test_ids_of_generations_differ() -> None:
    """The same message and ordinal never make the same fact in two generations."""
    from shared.ids import fact_id

    message = UUID(int=1)
    assert fact_id("default", 1, message, 0) != fact_id("default", 2, message, 0)
