"""What the composition root builds to ask models with."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from services.models import Models
from shared.db import Database
from shared.errors import ConfigurationError
from shared.local_models import LOCAL_MODEL, MULTILINGUAL_MODEL
from shared.settings import Settings
from shared.spaces.law import Address
from tests.databases import TestedDatabase


async def built(db: TestedDatabase, stack: AsyncExitStack, **settings: Any) -> Models:
    async def open_durable() -> Database:
        return db

    return Models(Settings(llm_base_url="http://127.0.0.1:9/v1", **settings), open_durable, stack)


async def test_extraction_and_judging_by_one_model_share_its_breaker(db: TestedDatabase) -> None:
    """One finding the provider away is enough; another model is asked on."""
    async with AsyncExitStack() as stack:
        models = await built(db, stack, provider_failures=1, llm_api_key=None)
        extracting, judging = await models.extracting(), await models.judging()
        others = await built(db, stack, judge_model="another", provider_failures=1)
        another = await others.judging()
        with pytest.raises(Exception, match="cannot be reached"):
            await extracting.ask("", {"task": "extract"}, {"type": "object"})
        assert extracting.wait_seconds() > 0
        assert judging.wait_seconds() > 0
        assert another.wait_seconds() == 0
    async with db.everyone.autocommit() as tx:
        rows = await tx.rows("SELECT provider, calls, failed FROM spending")
    assert rows == [{"provider": "127.0.0.1:9", "calls": 1, "failed": 1}]


async def test_a_limit_in_money_needs_a_price(db: TestedDatabase) -> None:
    """Else it would hold nobody back; the refusal names what to set."""
    async with AsyncExitStack() as stack:
        models = await built(db, stack, tenant_money_per_day=1.0)
        with pytest.raises(ConfigurationError, match="LLM_PRICE_INPUT"):
            await models.extracting()
        priced = await built(db, stack, tenant_money_per_day=1.0, llm_price_input=0.4)
        await priced.extracting()


async def test_bundled_embeddings_need_neither_a_price_nor_the_database(db: TestedDatabase) -> None:
    """They cost nothing, and their vectors are stored under their own name."""
    async with AsyncExitStack() as stack:
        models = await built(db, stack, embeddings="local")
        assert models.embedding_model == LOCAL_MODEL
        assert (await models.embedder("recall")).model == LOCAL_MODEL


async def test_a_model_that_runs_here_is_one_setting_away(db: TestedDatabase) -> None:
    """By its short name or its whole one; another's name is an error where none else may answer."""
    async with AsyncExitStack() as stack:
        for name in ("multilingual-e5-small", MULTILINGUAL_MODEL):
            for how in ("local", "auto"):
                models = await built(db, stack, embeddings=how, embed_model=name)
                assert models.embedding_address == Address(MULTILINGUAL_MODEL)
        wrong = await built(db, stack, embeddings="local", embed_model="bge-m3")
        with pytest.raises(ConfigurationError, match=f"{LOCAL_MODEL}, {MULTILINGUAL_MODEL}"):
            _ = wrong.embedding_model
        left_over = await built(db, stack, embed_model="bge-m3")
        assert left_over.embedding_model == LOCAL_MODEL
        served = await built(db, stack, embed_base_url="http://127.0.0.1:9/v1", embed_api_key="k")
        assert served.embedding_model == "text-embedding-3-small"
        named = await built(
            db, stack, embed_base_url="http://127.0.0.1:9/v1", embed_model="multilingual-e5-small"
        )
        assert named.embedding_address.remote
        assert named.embedding_model == "multilingual-e5-small"
