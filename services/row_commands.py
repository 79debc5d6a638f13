"""The part of the composition root for commands that work through rows beside the pipeline."""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from services.composition import Adapters
from services.models import Models
from services.prerequisites import require_isolation, require_schema
from shared.crash import crash_hook
from shared.db import OperatorDatabase, Patience
from shared.roles import OPERATOR
from shared.settings import Settings

if TYPE_CHECKING:
    from services.embedder.migration.work import Migration
    from services.extractor.extractors import Extractor
    from services.extractor.replay.work import Replayer

_MIGRATION_CONNECTIONS = 6  # four requests' vectors being stored, and what looks
_MIGRATION_STATEMENT_SECONDS = 300.0  # counting all there is
_REPLAY_CONNECTIONS = 6  # four users held at once, and their other statements
_REPLAY_STATEMENT_SECONDS = 120.0  # a user's whole generation in one


@asynccontextmanager
async def replayer(settings: Settings, prompt: str) -> AsyncIterator[Replayer]:
    """Build what `memoire replay` works with; `settings` name its model, or the rules.

    Raises ConfigurationError when the database is not migrated.
    """
    from services.extractor.replay.reading import Means
    from services.extractor.replay.work import Replayer
    from shared.broker import Announcer, connect_redis

    async with AsyncExitStack() as stack:
        adapters = Adapters(settings, "replay", stack)
        await require_schema(adapters.database_url)
        await require_isolation(settings, adapters.database_url)
        db = OperatorDatabase(
            adapters.database_url,
            max_connections=settings.llm_concurrency + _REPLAY_CONNECTIONS,
            by_key=True,
            patience=Patience(statement_seconds=_REPLAY_STATEMENT_SECONDS),
            name="memoire-replay",
            role=OPERATOR if settings.row_security else None,
        )
        await db.open()
        stack.push_async_callback(db.close)
        redis = connect_redis(adapters.redis_url)
        stack.push_async_callback(redis.aclose)
        extractor_at, prompt_bytes = await _extractor_at(adapters, prompt)
        means = Means(
            extractor_at,
            prompt_bytes,
            settings.llm_max_input_tokens,
            settings.llm_concurrency,
            guards=settings.holds_suspicious,
        )
        yield Replayer(
            db=db,
            announcer=Announcer(redis, settings.settled_max_length),
            means=means,
            policy=adapters.policy,
            at_point=crash_hook("replay"),
        )


@asynccontextmanager
async def migration(settings: Settings) -> AsyncIterator[tuple[Migration, Models]]:
    """Build what `memoire embeddings` works with.

    Raises ConfigurationError when the database is not migrated.
    """
    from services.embedder.migration.work import Migration

    async with AsyncExitStack() as stack:
        adapters = Adapters(settings, "embeddings", stack)
        await require_schema(adapters.database_url)
        await require_isolation(settings, adapters.database_url)
        db = OperatorDatabase(
            adapters.database_url,
            max_connections=_MIGRATION_CONNECTIONS,
            patience=Patience(statement_seconds=_MIGRATION_STATEMENT_SECONDS),
            name="memoire-embeddings",
            role=OPERATOR if settings.row_security else None,
        )
        await db.open()
        stack.push_async_callback(db.close)
        work = Migration(db, adapters.database_url, at_point=crash_hook("embeddings"))
        yield work, adapters.models


async def _extractor_at(
    adapters: Adapters, prompt: str
) -> tuple[Callable[[datetime], Extractor], int]:
    """Build extractors as of a day, and say how long their prompt is."""
    from services.extractor.extractors import ByModel, ByRules
    from services.extractor.replay.prompts import size_of

    if not adapters.settings.uses_model:
        rules = ByRules()
        return lambda _: rules, 0
    model = await adapters.models.extracting("replay")
    guards = adapters.settings.holds_suspicious
    return (
        lambda at: ByModel(model, prompt=prompt, clock=lambda: at, guards=guards),
        size_of(prompt),
    )
