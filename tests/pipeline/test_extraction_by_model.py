"""Extraction by a model over real HTTP: few calls, every answer survived, nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from redis.asyncio import Redis

from services.extractor.extractors import ByModel
from shared.broker import Announcer
from tests.databases import TestedDatabase
from tests.fakes.chat_server import ChatServer, Reply, chat_server, one_fact_each
from tests.pipeline.harness import UNHURRIED, Pipeline, quick_model


def pipeline_of(
    server: ChatServer, db: TestedDatabase, redis: Redis, redis_url: str, **settings: Any
) -> Pipeline:
    extractor = ByModel(quick_model(server.url))
    return Pipeline(db, redis, redis_url, extractor=extractor, **settings)


async def test_five_hundred_messages_cost_at_most_a_hundred_calls(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """50 users × 10 messages: each is extracted once by its id, in at most two calls a session."""
    async with chat_server(one_fact_each) as server:
        pipeline = pipeline_of(server, db, redis, redis_url, extract_linger_ms=1_500, **UNHURRIED)
        async with pipeline.running():
            for number in range(10):
                said = [
                    pipeline.message(f"My number is {user} {number}", user_id=f"u{user}")
                    for user in range(50)
                ]
                stored = await pipeline.store(*said)
                await Announcer(pipeline.redis).announce(stored.announcements)
            await pipeline.settled(300)
    asked = Counter(m["id"] for document in server.documents for m in document["messages"])
    assert len(asked) == 500
    assert set(asked.values()) == {1}
    assert len(server.documents) <= 100
    rows = await pipeline.rows("SELECT count(*) AS facts FROM memory_facts")
    assert rows[0]["facts"] == 500


async def test_assistant_turns_are_context_and_cost_no_call(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A session in which only the assistant speaks is extracted without asking."""
    async with chat_server(one_fact_each) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            await pipeline.say("How can I help?", role="assistant")
            await pipeline.settled()
            assert server.documents == []
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
    [document] = server.documents
    assert [turn["content"] for turn in document["context"]] == ["How can I help?"]
    assert document["task"] == "extract"


async def test_one_poisonous_message_is_found_and_parked(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A message that spoils every call it is in is dead; its seven neighbours are extracted."""

    def script(document: dict[str, Any]) -> Any:
        if any("poison" in message["content"] for message in document["messages"]):
            return Reply(status=400)
        return one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            words = ["one", "two", "three", "poison", "five", "six", "seven", "eight"]
            await pipeline.say(*words)
            await pipeline.settled()
    [dead] = await pipeline.rows("SELECT * FROM failures WHERE dead_at IS NOT NULL")
    assert dead["error_class"] == "poison"
    rows = await pipeline.rows("SELECT content FROM memory_facts")
    assert {row["content"] for row in rows} == set(words) - {"poison"}


@pytest.mark.parametrize("role", ["user", "assistant"])
async def test_what_a_model_refuses_to_read_spoils_nothing_that_is_said_after_it(
    db: TestedDatabase, redis: Redis, redis_url: str, role: str
) -> None:
    """In the turns before a message it is left out; of the user's it alone is dead."""

    def script(document: dict[str, Any]) -> Any:
        shown = [*document["context"], *document["messages"]]
        if any("poison" in turn["content"] for turn in shown):
            return Reply(status=400)
        return one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            for role_of, text in ((role, "poison"), ("user", "one"), ("user", "two")):
                await pipeline.say(text, role=role_of)
                await pipeline.settled()
    rows = await pipeline.rows("SELECT content FROM memory_facts")
    assert {row["content"] for row in rows} == {"one", "two"}
    dead = await pipeline.rows("SELECT error_class FROM failures WHERE dead_at IS NOT NULL")
    assert [row["error_class"] for row in dead] == (["poison"] if role == "user" else [])


async def test_a_provider_that_fails_for_a_while_costs_time_not_messages(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """429 and 503 are tried again later and burn no attempt; the answer that comes is used once."""
    faults = [Reply(status=429, headers={"retry-after": "0.1"}), Reply(status=503)]

    def script(document: dict[str, Any]) -> Any:
        return faults.pop() if faults else one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            await pipeline.say("I live in Lisbon")
            await pipeline.settled()
    assert faults == []
    assert await pipeline.rows("SELECT * FROM failures") == []
    assert len(await pipeline.rows("SELECT 1 AS one FROM memory_facts")) == 1


async def test_a_wrong_key_pauses_and_burns_no_attempts(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """Until an operator acts nothing is tried and nothing dies; then everything settles."""
    broken = True

    def script(document: dict[str, Any]) -> Any:
        return Reply(status=401) if broken else one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            for number in range(40):
                await pipeline.say("I live in Lisbon", session_id=f"s{number}")
            await asyncio.sleep(0.5)
            assert 1 <= len(server.documents) < 40, "it probes, it does not hammer"
            await pipeline.redis.xadd(
                "memoire:messages", {"user_id": "eve", "role": "user", "content": "I moved to Oslo"}
            )
            async with asyncio.timeout(60):
                while not await pipeline.rows(
                    "SELECT 1 AS one FROM chat_logs WHERE user_id = 'eve'"
                ):
                    await asyncio.sleep(0.02)
            broken = False
            await pipeline.settled()
    assert await pipeline.rows("SELECT * FROM failures") == []


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ('```json\n{"facts": []}\n```', 0),
        ('<think>{"facts": "no"}</think> Sure! {"facts": [FACT]}', 1),
        ('{"facts": [FACT, 7, {"content": ""}, {"content": "x", "source_message_ids": ["?"]}]}', 1),
        (
            '{"facts": [{"content": "Lives in Oslo", "source_message_ids": [ID], "confidence": "0.9"}]}',
            1,
        ),
        ('{"facts": null}', 0),
        ("{}", 0),
    ],
)
async def test_whatever_the_model_answers_the_good_facts_are_kept(
    db: TestedDatabase, redis: Redis, redis_url: str, answer: str, facts: int
) -> None:
    """Each fact is validated on its own; what is dropped is counted by reason."""

    def script(document: dict[str, Any]) -> str:
        row = document["messages"][0]["id"]
        fact = f'{{"content": "Lives in Oslo", "source_message_ids": ["{row}"]}}'
        return answer.replace("FACT", fact).replace("ID", f'"{row}"')

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            await pipeline.say("I live in Oslo")
            await pipeline.settled()
    assert len(await pipeline.rows("SELECT 1 AS one FROM memory_facts")) == facts


async def test_a_fact_may_name_the_context_it_was_understood_by(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """ "Where do you live?" — "In Rome": both are named, the user's words are its source."""

    def script(document: dict[str, Any]) -> dict[str, Any]:
        shown = [*document["context"], *document["messages"]]
        sources = [turn["id"] for turn in shown]
        return {"facts": [{"content": "Lives in Rome", "source_message_ids": sources}]}

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            asked, said = (
                pipeline.message("Where do you live?", role="assistant"),
                pipeline.message("In Rome"),
            )
            await pipeline.store(asked, said)
            await pipeline.settled()
    [fact] = await pipeline.rows("SELECT source_message_ids FROM memory_facts")
    assert fact["source_message_ids"] == [said.id]


async def test_an_answer_that_is_no_json_gets_one_repair_turn(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """The second answer is used; who fails twice, also without the turns before, is poison."""
    answers = ["I found nothing, sorry", '{"facts": []}', "no", "no", "no", "no"]

    async with chat_server(lambda _: answers.pop(0)) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            await pipeline.say("I live in Oslo")
            await pipeline.settled()
            assert len(answers) == 4
            await pipeline.say("I live in Rome")
            await pipeline.settled()
    assert answers == []
    [dead] = await pipeline.rows("SELECT * FROM failures")
    assert "JSON" in dead["error"]


async def test_the_best_answer_format_is_found_once(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A server that refuses json_schema is asked with json_object from then on."""

    def script(document: dict[str, Any]) -> Any:
        wanted = document["_request"].get("response_format", {}).get("type")
        return Reply(status=400) if wanted == "json_schema" else one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running():
            await pipeline.say("I live in Oslo")
            await pipeline.settled()
            await pipeline.say("I live in Rome")
            await pipeline.settled()
    assert server.formats == ["json_schema", "json_object", "json_object"]


async def test_a_living_call_is_never_doubled(
    db: TestedDatabase, redis: Redis, redis_url: str
) -> None:
    """A call longer than the lease and the claim time is renewed; two extractors ask once."""

    async def script(document: dict[str, Any]) -> Any:
        await asyncio.sleep(2.5)
        return one_fact_each(document)

    async with chat_server(script) as server:
        pipeline = pipeline_of(server, db, redis, redis_url)
        async with pipeline.running("extractor", "extractor", "embedder", "deduper", "superseder"):
            await pipeline.say("I live in Oslo")
            await pipeline.settled()
    assert len(server.documents) == 1
    rows = await pipeline.rows("SELECT sum(rings) AS rings FROM chat_logs")
    assert rows[0]["rings"] == 0
