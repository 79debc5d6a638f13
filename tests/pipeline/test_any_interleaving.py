"""Whatever order things happen in, the database ends where the pure fold of its inputs does.

Messages arrive, twice and in any order, over both entrances; stages take steps in any interleaving,
with a model that extracts and judges over real HTTP; bells are replayed and lost, workers die between
their commit and their bell. HYPOTHESIS_PROFILE=nightly tries many more stories than `make test`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from services.deduper.candidates import NOTHING, Collection, FreeText, propose
from services.deduper.judging.model import ByModel as JudgeByModel
from services.deduper.thresholds import floors_for
from services.extractor.extractors import ByModel
from shared.beliefs import Standing, cluster
from shared.broker import Announcer, connect_redis, ensure_group
from shared.delivery import Delivery
from shared.ledger import folding
from shared.ledger import store as ledger
from shared.llm import ChatModel
from tests.databases import TestedDatabase
from tests.fakes.chat_server import ChatServer, chat_server
from tests.fakes.embedder import HashEmbedder, vector_of
from tests.fakes.judge import judging, pairs_asked, same_topic_supersedes
from tests.pipeline.harness import Pipeline

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
SAID = [
    "home_city = Dallas",
    "tea: green",
    "tea: black",
    "home_city = Boston",
    "tea: green",
    "pet = Rex",
    "cars: a red one",
    "home_city = Dallas",
    "Likes long walks",
    "likes long walks.",
    "tea: none at all",
]
"""What is said, day by day: slots as `slot = value`, everything else free text."""
STAGES = ("extractor", "embedder", "deduper", "superseder")
POINTS = ("think", "commit", "announce", "acknowledge")
STORIES = {"quick": (12, 18), "thorough": (100, 30), "nightly": (1_000, 40)}
"""How many stories, and of how many steps, by profile."""


def answer(document: dict[str, Any]) -> dict[str, Any]:
    """The provider: one fact a message, and the later of two facts on one topic supersedes."""
    if document["task"] == "judge":
        return judging(same_topic_supersedes)(document)
    return {"facts": [_read(message) for message in document["messages"]]}


def _read(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    slot, _, value = content.partition(" = ")
    named = {"slot": slot, "value": value} if value else {}
    return {"content": content, "source_message_ids": [message["id"]], **named}


class World:
    """The servers and stages of all stories; every story has a user of its own."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.runner = asyncio.Runner()
        self.dies_at: str | None = None
        self.stories = itertools.count(1)
        self.rung: list[tuple[str, dict[bytes, bytes]]] = []
        self._stack = AsyncExitStack()
        self.runner.run(self._open(database_url, redis_url))

    async def _open(self, database_url: str, redis_url: str) -> None:
        self.server: ChatServer = await self._stack.enter_async_context(chat_server(answer))
        db = TestedDatabase(database_url, max_connections=6)
        await db.open()
        self._stack.push_async_callback(db.close)
        self.redis: Any = connect_redis(redis_url)
        self._stack.push_async_callback(self.redis.aclose)
        model = ChatModel(base_url=self.server.url, api_key="k", model="m", timeout_seconds=10)
        self._stack.push_async_callback(model.close)
        self.pipeline = Pipeline(
            db,
            self.redis,
            redis_url,
            extractor=ByModel(model),
            judge=JudgeByModel(model),
            at_point=self._at_point,
            extract_linger_ms=0,
            lost_after_seconds=0.01,
            lease_seconds=0.6,
        )
        self.workers = {
            (name, number): Delivery(
                self.redis,
                stage := self.pipeline.stage(name),
                consumer=f"{name}-{number}",
                claim_idle_ms=1,
                at_point=self._at_point if stage.name != "extractor" else lambda _: None,
            )
            for name in STAGES
            for number in (1, 2)
        }
        await self._ensure_groups()

    async def _ensure_groups(self) -> None:
        for (name, _), worker in self.workers.items():
            for stream in worker._stage.streams:
                await ensure_group(self.redis, stream, name)

    def _at_point(self, name: str) -> None:
        if name == self.dies_at:
            self.dies_at = None
            raise asyncio.CancelledError  # what is held stays pending, as if its process were gone

    def close(self) -> None:
        self.runner.run(self._stack.aclose())
        self.runner.close()

    async def step(self, name: str, number: int, most: int) -> None:
        """Let one worker read at most so many entries, and finish them."""
        worker = self.workers[name, number]
        for stream in worker._stage.streams:
            read = await self.redis.xreadgroup(name, worker._consumer, {stream: ">"}, count=most)
            for _, entries in read:
                self.rung += [(stream, fields) for _, fields in entries]
                await worker.deliver(stream, [(key.decode(), fields) for key, fields in entries])
        await self._finish(worker)

    async def claim(self, name: str) -> None:
        """Let a worker take over what dead ones left."""
        worker = self.workers[name, 2]
        await asyncio.sleep(0.002)
        await worker.claim_abandoned()
        await self._finish(worker)

    async def _finish(self, worker: Delivery) -> None:
        while worker._tasks:
            await asyncio.wait(set(worker._tasks))
            await asyncio.sleep(0)

    async def lose_bells(self) -> None:
        await self.redis.flushall()
        await self._ensure_groups()

    async def drain(self) -> None:
        """Go on, with sweeps, until nothing is open."""
        self.dies_at = None
        async with asyncio.timeout(60):
            while await self.pipeline.open_rows():
                await asyncio.sleep(0.011)
                await self.pipeline.sweeper().sweep()
                for name in STAGES:
                    await self.claim(name)
                    await self.step(name, 1, 100)


def story_of(world: World) -> type[RuleBasedStateMachine]:
    class Story(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.user = f"u{next(world.stories)}"
            self.said: set[int] = set()
            self.deaths = 0
            self.asked_before = len(world.server.documents)
            world.rung.clear()

        def _run(self, doing: Any) -> Any:
            return world.runner.run(doing)

        @rule(day=st.integers(0, len(SAID) - 1), bells=st.integers(0, 2))
        def say_over_http(self, day: int, bells: int) -> None:
            """A message is stored, once however often it comes; its bell may be lost or doubled."""
            self.said.add(day)
            self._run(self._say(day, bells))

        async def _say(self, day: int, bells: int) -> None:
            stored = await world.pipeline.store(
                world.pipeline.message(SAID[day], **_envelope(self.user, day))
            )
            await Announcer(world.redis).announce(stored.announcements * bells)

        @rule(day=st.integers(0, len(SAID) - 1))
        def say_to_redis(self, day: int) -> None:
            self.said.add(day)
            fields = {"role": "user", "content": SAID[day], **_envelope(self.user, day)}
            self._run(world.redis.xadd("memoire:messages", fields))

        @rule(name=st.sampled_from(STAGES), number=st.integers(1, 2), most=st.integers(1, 3))
        def step(self, name: str, number: int, most: int) -> None:
            self._run(world.step(name, number, most))

        @rule()
        def everybody_steps(self) -> None:
            for name in STAGES:
                self._run(world.step(name, 1, 100))

        @rule(which=st.integers(0, 50))
        def replay_a_bell(self, which: int) -> None:
            if world.rung:
                stream, fields = world.rung[which % len(world.rung)]
                self._run(world.redis.xadd(stream, fields))

        @rule()
        def sweep(self) -> None:
            self._run(world.pipeline.sweeper().sweep())

        @rule()
        def lose_every_bell(self) -> None:
            """Also messages in Redis that nobody has stored yet: those were never accepted."""
            self._run(self._stored_first())
            self._run(world.lose_bells())

        async def _stored_first(self) -> None:
            await world.claim("extractor")
            await world.step("extractor", 1, 1_000)

        @rule(name=st.sampled_from(STAGES[1:]), point=st.sampled_from(POINTS))
        def die(self, name: str, point: str) -> None:
            """A worker dies in its next step; another takes over what it held."""
            if self.deaths == 2:  # a third would look like a crash loop
                return
            self.deaths += 1
            world.dies_at = point
            self._run(world.step(name, 1, 100))
            world.dies_at = None
            self._run(world.claim(name))

        def teardown(self) -> None:
            self._run(self._check())

        async def _check(self) -> None:
            await _stored_everything(world)
            await world.drain()
            rows = await world.pipeline.rows(
                "SELECT * FROM memory_facts WHERE user_id = %(user)s", user=self.user
            )
            assert sorted(row["content"] for row in rows) == sorted(SAID[d] for d in self.said)
            cached = {row["id"]: folding.standing_of(row) for row in rows}
            assert cached == believed(rows)
            asked = world.server.documents[self.asked_before :]
            pairs = pairs_asked([one for one in asked if one["task"] == "judge"])
            assert not [pair for pair, n in Counter(pairs).items() if n > _times(pair, self.said)]

    return Story


async def _stored_everything(world: World) -> None:
    await world.claim("extractor")
    await world.step("extractor", 1, 1_000)


def _envelope(user: str, day: int) -> dict[str, str]:
    at = (BEGAN + timedelta(days=day)).isoformat()
    return {
        "user_id": user,
        "session_id": f"s{day % 2}",
        "message_id": f"m{day}",
        "timestamp": at,
    }


def _times(pair: tuple[str, str], said: set[int]) -> int:
    """How many pairs of facts have these two contents: some things are said twice."""
    contents = [SAID[day] for day in said]
    return contents.count(pair[0]) * contents.count(pair[1])


def believed(rows: list[dict[str, Any]]) -> dict[Any, Standing]:
    """What follows from the observations and a judge that always says the same, by the pure law."""
    standings: dict[Any, Standing] = {}
    for attribute, observed in folding.by_attribute(r for r in rows if r["slot"]).items():
        standings |= folding.fold_attribute(attribute, observed, ledger.Acts()).standings
    free = [row for row in rows if not row["slot"]]
    joined, parted = _decided(free)
    observations = [folding.observation_of(row) for row in free]
    return standings | dict(cluster(observations, joined, supersedes=parted))


def _decided(rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Every pair decided by the guards or the rule, whatever came first."""
    if not rows:
        return [], []
    embedded = [vector_of(row["content"]) for row in rows]
    names = ("id", "subject", "content", "generation", "said_at", "message_key", "ordinal")
    facts = [FreeText(*(row[name] for name in names)) for row in rows]
    everything = Collection(tuple(facts), np.asarray(embedded, dtype=np.float32))
    floors = floors_for(HashEmbedder.model)
    proposal = propose(everything, NOTHING, floors, with_model=True)
    ruled = {
        pair.key: same_topic_supersedes(pair.new.content, pair.old.content)
        for pair in proposal.doubtful
    }
    joined = [(verdict.first, verdict.second) for verdict in proposal.decided]
    return joined, [key for key, word in ruled.items() if word == "supersedes"]


def test_any_interleaving_ends_where_the_pure_fold_does(database_url: str, redis_url: str) -> None:
    """The law holds on the real stages and database, slots and free text."""
    examples, steps = STORIES[os.environ.get("HYPOTHESIS_PROFILE", "quick")]
    world = World(database_url, redis_url)
    try:
        run_state_machine_as_test(
            story_of(world),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=examples == STORIES["quick"][0],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()
