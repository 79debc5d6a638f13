"""Changing the embedding model while everything works: no gap, nothing mixed, nothing lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psycopg
import pytest
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

from services.embedder.migration.work import Migration, Outcome
from services.embedder.store import Text, save_vectors
from services.gateway.recall import Recall
from services.gateway.requests import RecallRequest
from shared.clock import utc_now
from shared.embeddings import OpenAIEmbedder
from shared.errors import ConfigurationError
from shared.failures.store import RowRef
from shared.migrate import available
from shared.spaces import law
from shared.spaces import store as spaces_store
from shared.spaces.embedders import Embedders
from shared.spaces.law import Address, SpacesRefusedError
from tests.acceptance.instance import environment
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder
from tests.fakes.embedding_server import EmbeddingServer, failure, running
from tests.integration.test_gateway_app import serve
from tests.pipeline.harness import Pipeline

OLD, NEW = HashEmbedder.model, "new-model"
CRASHED = 137


class World:
    """A pipeline that embeds by hashes, and a server with another model of other dimensions."""

    def __init__(
        self, db: TestedDatabase, url: str, redis: Redis, redis_url: str, server: Any
    ) -> None:
        self.db = db
        self.url = url
        self.server: EmbeddingServer = server
        self.address = Address(NEW, True, server.url)
        self.pipeline = Pipeline(db, redis, redis_url, build_embedder=self.build)
        self.migration = Migration(db.everyone, url, patience=2)

    async def build(self, address: Address) -> Any:
        if address.model == OLD:
            return HashEmbedder()
        return OpenAIEmbedder(address.base_url or "", None, address.model, None, 10.0)

    def embedders(self) -> Embedders:
        return Embedders(self.db, HashEmbedder(), self.build)

    async def migrate(self, model: str = NEW, **how: Any) -> Outcome:
        address = self.address if model == NEW else Address(model)
        embedder = await self.build(address)
        return await self.migration.migrate(address, embedder, lambda *_: None, **how)

    async def facts(self, count: int, user: str = "bo") -> None:
        """Facts that settled before anything began, by the old model."""
        await self.embedders().read()
        await self.pipeline.rows(
            """WITH made AS (
                   INSERT INTO memory_facts (tenant_id, user_id, id, generation, content, category,
                          subject, claim, temporal_state, said_at, recorded_at, message_key, ordinal,
                          confidence, source_message_ids, state)
                   SELECT 'default', %(user)s, gen_random_uuid(), 0, 'Fact number ' || n, 'learning',
                          'user', 'holds', 'current', now(), now(), n::text, 0, 1, '{}', 'settled'
                     FROM generate_series(1, %(count)s) AS n
                   RETURNING tenant_id, user_id, id)
               INSERT INTO fact_vectors (tenant_id, user_id, fact_id, model, embedding)
               SELECT tenant_id, user_id, id, %(model)s,
                      ('[' || repeat('0.125,', 63) || '0.125]')::halfvec FROM made
               RETURNING 1""",
            user=user,
            count=count,
            model=OLD,
        )

    async def lacking(self, model: str) -> int:
        """How many facts that are embedded have no vector of a model."""
        [row] = await self.pipeline.rows(
            """SELECT count(*)::int AS n FROM memory_facts f WHERE state <> 'extracted'
                  AND standing IS DISTINCT FROM 'forgotten' AND NOT EXISTS (
                      SELECT FROM fact_vectors v WHERE v.fact_id = f.id AND v.model = %(model)s)""",
            model=model,
        )
        return int(row["n"])

    async def states(self) -> dict[str, str]:
        rows = await self.pipeline.rows("SELECT model, state FROM embedding_spaces")
        return {row["model"]: row["state"] for row in rows}

    async def stored(self) -> dict[str, int]:
        rows = await self.pipeline.rows(
            "SELECT model, count(*)::int AS n FROM fact_vectors GROUP BY model"
        )
        return {row["model"]: row["n"] for row in rows}

    async def command(self, *arguments: str, **env: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.cli", "embeddings", *arguments),
            env=environment(
                MEMOIRE_DATABASE_URL=self.url, MEMOIRE_EMBED_BASE_URL=self.server.url, **env
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()

    @property
    def texts_asked(self) -> int:
        return sum(len(body["input"]) for body in self.server.requests)


@pytest.fixture
async def world(
    db: TestedDatabase, database_url: str, redis: Redis, redis_url: str
) -> AsyncIterator[World]:
    async with running(EmbeddingServer(dimensions=16)) as server:
        yield World(db, database_url, redis, redis_url, server)


async def test_facts_that_come_while_the_model_changes_are_in_both_spaces(world: World) -> None:
    """At the switch none lacks a vector; recall finds what it found at every moment before."""
    await world.facts(3_000)
    embedders = world.embedders()
    recall = Recall(world.db, embedders, utc_now)
    switched = asyncio.Event()
    said = 0
    models: list[str | None] = []

    async def talking() -> None:
        nonlocal said
        while not switched.is_set() or said < 20:
            await world.pipeline.say(f"I like tea number {said}", session_id=f"s{said}")
            said += 1
            await asyncio.sleep(0.01)

    async def asking() -> None:
        asked = RecallRequest(user_id="ana", query="tea number", explain=True)
        while not switched.is_set() or embedders.current.model != NEW:
            await embedders.notice()
            answer = await recall.answer("default", asked)
            models.append(answer["explain"]["embedding_model"])
            assert answer["relevant_facts"]

    async with world.pipeline.running():
        await world.pipeline.say("I like tea number 0")
        await world.pipeline.settled()
        async with asyncio.TaskGroup() as group:
            group.create_task(talking())
            group.create_task(asking())
            await asyncio.sleep(0.2)
            outcome = await world.migrate()
            assert await world.lacking(NEW) == 0
            switched.set()
        await world.pipeline.settled()
    assert outcome.switched
    assert await world.states() == {OLD: "retired", NEW: "active"}
    assert await world.lacking(NEW) == 0
    assert await world.lacking(OLD) == 0  # for whoever had not noticed
    assert models[0] == OLD
    assert models[-1] == NEW
    assert await world.pipeline.rows("SELECT * FROM failures") == []
    [row] = await world.pipeline.rows(
        "SELECT array_agg(DISTINCT vector_dims(embedding)) AS d FROM fact_vectors WHERE model = %(m)s",
        m=NEW,
    )
    assert row["d"] == [16]


@pytest.mark.parametrize("point", ["page", "switch"])
async def test_a_killed_migration_goes_on_where_it_was(world: World, point: str) -> None:
    """Nobody reads the new vectors before all are there; none is paid for twice."""
    await world.facts(4_500)
    how = ("migrate", "--to", NEW, "--yes")
    code, _ = await world.command(*how, MEMOIRE_CRASH_AT=f"embeddings:{point}")
    assert code == CRASHED
    assert (await world.states())[OLD] == "active"
    done = (await world.stored())[NEW]
    assert done == (2_000 if point == "page" else 4_500)
    code, printed = await world.command(*how)
    assert code == 0, printed
    assert await world.states() == {OLD: "retired", NEW: "active"}
    assert await world.lacking(NEW) == 0
    assert world.texts_asked == 4_500 + 2 * 2  # and the probes: an estimate and a beginning each


async def test_a_model_that_does_not_exist_is_refused_before_anything_is_written(
    world: World,
) -> None:
    """The server's own words, and the spaces as they were."""
    await world.facts(3)
    world.server.faults.append(failure(404, "model_not_found"))
    code, printed = await world.command("migrate", "--to", "nonsense", "--yes")
    assert code == 2, printed
    assert "404" in printed
    code, printed = await world.command("migrate", "--to", OLD, "--yes")
    assert "active already" in printed
    assert await world.states() == {OLD: "active"}


async def test_a_dry_run_says_what_it_would_cost(world: World) -> None:
    """Nothing is written, and one probe is asked."""
    await world.facts(10)
    code, printed = await world.command(
        "migrate", "--to", NEW, "--dry-run", "--json", MEMOIRE_EMBED_PRICE="1000000"
    )
    assert code == 0, printed
    assert '"facts": 10' in printed
    assert '"dimensions": 16' in printed
    assert await world.states() == {OLD: "active"}
    assert world.texts_asked == 1
    code, printed = await world.command("migrate", "--to", NEW)
    assert code == 2, printed
    assert "--yes" in printed


async def test_another_model_configured_goes_on_in_the_space_that_is_there(world: World) -> None:
    """It is said, and what is written and compared is the active model's."""
    await world.facts(1, "ana")
    configured = await world.build(world.address)
    world.pipeline.embedder = configured
    async with world.pipeline.running():
        await world.pipeline.say("I like green tea")
        await world.pipeline.settled()
    assert set(await world.stored()) == {OLD}
    assert world.texts_asked == 0
    embedders = Embedders(world.db, configured, world.build)
    await embedders.notice()
    assert embedders.current.model == OLD
    assert embedders.warning is not None
    assert f"--to {NEW}" in embedders.warning
    async with serve(world.url, None, embedder=embedders) as api:
        told = (await api.get("/v1/health")).json()["embeddings"]
    assert (told["model"], told["active_model"]) == (NEW, OLD)
    assert told["warning"] == embedders.warning


async def test_a_process_without_the_active_model_keeps_facts_waiting(world: World) -> None:
    """Rather than write another space; no attempt is burnt, and the right one takes them."""
    await world.facts(1, "ana")
    world.pipeline.build_embedder = None
    world.pipeline.embedder = await world.build(world.address)
    async with world.pipeline.running("extractor", "embedder"):
        await world.pipeline.say("I like green tea")
        async with asyncio.timeout(60):
            while not await world.pipeline.rows(
                "SELECT 1 FROM memory_facts WHERE content ILIKE '%%tea%%'"
            ):
                await asyncio.sleep(0.02)
        with pytest.raises(ConfigurationError, match=f"embedded by {OLD}"):
            embedders = Embedders(world.db, world.pipeline.embedder)
            await embedders.of((await embedders.read()).active)
    assert await world.pipeline.rows("SELECT * FROM failures") == []
    world.pipeline.embedder = HashEmbedder()
    async with world.pipeline.running():
        await world.pipeline.settled()
    assert await world.lacking(OLD) == 0


async def test_a_new_model_that_is_away_holds_up_no_fact(world: World) -> None:
    """Facts go on without its vectors; it does not become active before they are made good."""
    await world.facts(5)
    await world.migrate(switch=False)
    world.server.faults += [failure(503)] * 3
    async with world.pipeline.running():
        await world.pipeline.say("I like green tea")
        await world.pipeline.settled()
        [row] = await world.pipeline.rows(
            "SELECT skipped::int FROM embedding_spaces WHERE model = %(m)s", m=NEW
        )
        assert row["skipped"] >= 1
        assert await world.lacking(NEW) >= 1
        world.server.faults.clear()
        outcome = await world.migrate()
    assert outcome.switched
    assert await world.lacking(NEW) == 0


async def test_facts_that_the_new_model_refuses_are_an_operators_decision(world: World) -> None:
    """Found by halving; without his word the old model stays."""
    await world.facts(40)
    answer = world.server.answer

    def picky(body: dict[str, Any]) -> dict[str, Any]:
        if "Fact number 7" in body["input"]:
            raise ValueError("refused")
        return answer(body)

    world.server.faults += [_or_400(picky)] * 200
    outcome = await world.migrate()
    assert (len(outcome.refused), outcome.embedded, outcome.switched) == (1, 39, False)
    outcome = await world.migrate(leave_refused=True)
    assert outcome.switched
    assert await world.lacking(NEW) == 1


def _or_400(answer: Any) -> Any:
    def fault(body: dict[str, Any]) -> Any:
        try:
            return JSONResponse(answer(body))
        except ValueError:
            return failure(400)(body)

    return fault


async def test_changing_back_is_quick_and_pruning_takes_what_is_retired(world: World) -> None:
    """The old vectors are still there; what is pruned is gone, and its space with it."""
    await world.facts(50)
    await world.migrate()
    with pytest.raises(SpacesRefusedError, match="wait a minute"):
        await world.migration.prune(OLD, lambda _: None)
    back = await world.migrate(OLD)
    assert back.switched
    assert back.embedded == 0
    await world.pipeline.rows(
        "UPDATE embedding_spaces SET retired_at = now() - interval '1 hour' WHERE state = 'retired' RETURNING 1"
    )
    code, printed = await world.command("prune", "--json")
    assert code == 0, printed
    assert f'"{NEW}": 50' in printed
    assert await world.stored() == {OLD: 50}
    assert await world.states() == {OLD: "active"}


async def test_a_forgotten_fact_gets_no_new_vector(world: World) -> None:
    """Erased while its page was being embedded: nothing of it comes back."""
    await world.facts(3)
    answer = world.server.answer

    async def erase() -> None:
        await world.pipeline.rows(
            """WITH gone AS (DELETE FROM fact_vectors WHERE fact_id = (
                   SELECT id FROM memory_facts WHERE content = 'Fact number 2'))
               UPDATE memory_facts SET content = '', standing = 'forgotten'
                WHERE content = 'Fact number 2' RETURNING 1"""
        )

    loop = asyncio.get_running_loop()
    erased: list[Any] = []

    def during(body: dict[str, Any]) -> Any:
        if "Fact number 2" in body["input"]:
            erased.append(loop.create_task(erase()))
            return failure(503, Retry_After="1")(body)
        return JSONResponse(answer(body))

    world.server.faults += [during] * 2
    await world.migrate()
    await asyncio.gather(*erased)
    assert erased
    rows = await world.pipeline.rows(
        """SELECT 1 FROM fact_vectors v JOIN memory_facts f ON f.id = v.fact_id
            WHERE f.standing = 'forgotten'"""
    )
    assert rows == []


async def test_only_one_command_changes_the_spaces_at_once(world: World) -> None:
    """The second is refused; nothing waits for it."""
    await world.facts(1)
    from services.embedder.migration import store

    async with store.held(world.url):
        with pytest.raises(SpacesRefusedError, match="another command"):
            await world.migrate()
    assert (await world.migrate()).switched


async def _extracted(world: World) -> list[RowRef]:
    """A fact that waits for its vector, and whom it is about."""
    async with world.pipeline.running("extractor"):
        await world.pipeline.say("I like green tea")
        async with asyncio.timeout(60):
            while not (found := await world.pipeline.rows(_WAITING)):
                await asyncio.sleep(0.02)
    return [RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in found]


_WAITING = "SELECT tenant_id, user_id, id FROM memory_facts WHERE state = 'extracted'"


async def test_a_batch_thought_out_before_a_migration_began_is_embedded_again(world: World) -> None:
    """What it would have written after lacks the new vector; so it writes nothing."""
    await world.facts(1)
    refs = await _extracted(world)
    embed, begun = HashEmbedder.embed, []

    class Slow(HashEmbedder):
        async def embed(self, texts: Any, payers: Any = ()) -> Any:
            if not begun:
                begun.append(True)
                async with world.db.everyone.transaction() as tx:
                    await spaces_store.change(tx, lambda now: law.begun(now, world.address, 16))
            return await embed(self, texts, payers)

    world.pipeline.embedder = Slow()
    stage: Any = world.pipeline.stage("embedder")
    told = await stage.process(refs)
    assert len(told) == 1
    assert await world.lacking(NEW) == 1  # the one from before
    assert await world.lacking(OLD) == 0


async def _waits(world: World) -> bool:
    async with world.db.everyone.transaction() as tx:
        await tx.execute("SET LOCAL ROLE NONE")  # statements are shown to who logged in alike
        return bool(
            await tx.rows(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query LIKE 'WITH active AS MATERIALIZED%'"
            )
        )


async def test_a_commit_that_waited_for_a_change_writes_nothing(world: World) -> None:
    """Its statement began before: PostgreSQL has it look at the active space again."""
    await world.facts(1)
    refs = await _extracted(world)
    spaces = await world.embedders().read()
    texts = [Text(ref, "I like green tea") for ref in refs]
    vectors = {OLD: await HashEmbedder().embed(["I like green tea"] * len(refs))}
    async with world.db.everyone.transaction() as tx:
        await spaces_store.change(tx, lambda now: law.begun(now, world.address, 16))
        saving = asyncio.create_task(save_vectors(world.db, spaces, texts, vectors))
        async with asyncio.timeout(30):
            while not await _waits(world):
                await asyncio.sleep(0.02)
    assert await saving == []
    assert len(await world.pipeline.rows(_WAITING)) == len(refs)
    again = await save_vectors(world.db, await world.embedders().read(), texts, vectors)
    assert len(again) == len(refs)


async def test_facts_compared_by_vectors_that_no_longer_count_are_compared_again(
    world: World,
) -> None:
    """The model changed between reading and commit: verdicts are the new space's."""
    await world.facts(2, "ana")
    await world.migrate(switch=False)
    [one, other] = await world.pipeline.rows("SELECT tenant_id, user_id, id FROM memory_facts")
    await world.pipeline.rows(
        """WITH user_ AS (INSERT INTO users (tenant_id, user_id) VALUES ('default', 'ana')
                          ON CONFLICT DO NOTHING)
           UPDATE memory_facts SET content = 'Likes green tea', state = 'embedded' RETURNING 1"""
    )
    seen: list[str] = []

    def switch(point: str) -> None:
        seen.append(point)
        if point == "commit" and seen.count("commit") == 1:
            with psycopg.connect(world.url) as connection:
                connection.execute(
                    "UPDATE embedding_spaces SET state = 'retired' WHERE state = 'active'"
                )
                connection.execute(
                    "UPDATE embedding_spaces SET state = 'active' WHERE state = 'filling'"
                )

    stage: Any = world.pipeline.stage("deduper", switch)
    refs = [RowRef(row["tenant_id"], row["user_id"], row["id"]) for row in (one, other)]
    await stage.process(refs)
    assert seen.count("think") == 2
    new = {
        text: vector / np.linalg.norm(vector)
        for text in ("Fact number 1", "Fact number 2")
        for vector in [np.array(world.server.vector(text))]
    }
    [verdict] = await world.pipeline.rows("SELECT cosine FROM verdicts")
    assert verdict["cosine"] == pytest.approx(
        float(new["Fact number 1"] @ new["Fact number 2"]), abs=0.01
    )  # the old vectors of both are one


async def test_an_upgrade_goes_on_in_the_space_of_most_vectors(world: World) -> None:
    """Whatever is configured; the other model's are there to be completed or pruned."""
    await world.facts(3)
    [migration] = [m for m in available() if m.name == "0019_embedding_spaces"]
    async with world.db.everyone.transaction() as tx:
        await tx.execute("SET LOCAL ROLE NONE")  # as who migrates, and owns the tables
        await tx.execute(
            """INSERT INTO fact_vectors
               SELECT tenant_id, user_id, fact_id, 'all-MiniLM-L6-v2-int8', '[1,2]' FROM fact_vectors LIMIT 1"""
        )
        await tx.execute("DROP TABLE embedding_spaces")
        await tx.execute(migration.sql)
        spaces = await spaces_store.read(tx)
    assert spaces is not None
    found = {(s.model, s.state, s.address.remote, s.dimensions) for s in spaces.every}
    assert found == {
        (OLD, "active", True, 64),
        ("all-MiniLM-L6-v2-int8", "retired", False, 2),
    }
    assert spaces.beside == []
