"""The composition root: the only module that builds adapters and knows every stage.

Everything else receives what it needs. Each process imports its own stage alone, which keeps its
start short and its memory small.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from shared.crash import crash_hook
from shared.db import Database
from shared.delivery import Stage
from shared.errors import ConfigurationError
from shared.failures.store import RetryPolicy
from shared.migrate import pending
from shared.process import StageProcess, consumer_name, stop_signal
from shared.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from services.deduper.judging.work import CatchingUp, Judging
    from services.extractor.extractors import Extractor
    from services.extractor.replay.work import Replayer
    from shared.breaker import Breaker
    from shared.embeddings import Embedder
    from shared.gate import Gate
    from shared.llm import ChatModel
    from shared.spending.books import Books
    from shared.spending.budgets import Budgets
    from shared.spending.prices import Prices
    from shared.spending.till import Till

log = structlog.get_logger()


class Adapters:
    """What processes are built from; closed together at the end."""

    def __init__(self, settings: Settings, process: str, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.process = process
        self.policy = RetryPolicy.of(settings)
        self._stack = stack
        self._breakers: dict[tuple[str | None, str], Breaker] = {}
        self._accounts: tuple[Books, Budgets] | None = None

    @property
    def database_url(self) -> str:
        return _required(self.settings.database_url, "DATABASE_URL")

    @property
    def redis_url(self) -> str:
        return _required(self.settings.redis_url, "REDIS_URL")

    async def database(self, *, durable: bool, max_connections: int = 4) -> Database:
        name = f"memoire-{self.process}"
        db = Database(
            self.database_url,
            durable=durable,
            max_connections=max_connections,
            by_key=self.process != "gateway",  # recall reads all that a user has
            name=name,
        )
        await db.open()
        self._stack.push_async_callback(db.close)
        return db

    async def embedder(self, purpose: str = "embedding") -> Embedder:
        from shared.embeddings import OPENAI_BASE_URL, build_embedder

        settings = self.settings
        gate, till = None, None
        if settings.embeds_remotely:
            from shared.spending.prices import Prices

            url = settings.embed_base_url or OPENAI_BASE_URL
            prices = Prices.of(settings.embed_price)
            gate, till = await self.paid_calls(purpose, url, settings.embed_model, prices)
        return build_embedder(
            mode=settings.embeddings,
            base_url=settings.embed_base_url,
            api_key=_secret(settings.embed_api_key),
            model=settings.embed_model,
            dimensions=settings.embed_dimensions,
            gate=gate,
            till=till,
        )

    async def chat_model(self, purpose: str, model: str, prices: Prices) -> ChatModel:
        from shared.llm import ChatModel

        settings = self.settings
        gate, till = await self.paid_calls(purpose, settings.llm_base_url, model, prices)
        return ChatModel(
            base_url=settings.llm_base_url,
            api_key=_secret(settings.llm_api_key),
            model=model,
            timeout_seconds=settings.llm_timeout_seconds,
            gate=gate,
            till=till,
            max_output_tokens=settings.llm_max_output_tokens,
        )

    async def paid_calls(
        self, purpose: str, base_url: str | None, model: str, prices: Prices
    ) -> tuple[Gate, Till]:
        """What stands before every call of one model: its breaker, budgets, and the books."""
        from shared.gate import Gate
        from shared.providers import host_of
        from shared.spending.books import Asked
        from shared.spending.till import Till

        asked = Asked(purpose, host_of(base_url), model)
        books, budgets = await self._spending()
        gate = Gate(self._breaker(base_url, model), asked, records=books)
        return gate, Till(asked, records=books, budgets=budgets, prices=prices)

    def _breaker(self, base_url: str | None, model: str) -> Breaker:
        """One a provider and model, whoever asks it."""
        from shared.breaker import Breaker, BreakerPace

        settings = self.settings
        pace = BreakerPace(
            failures=settings.provider_failures,
            first_seconds=settings.provider_pause_seconds,
            longest_seconds=max(
                settings.provider_pause_seconds, settings.provider_pause_cap_seconds
            ),
            configuration_seconds=settings.configuration_pause_seconds,
        )
        return self._breakers.setdefault((base_url, model), Breaker(pace))

    async def _spending(self) -> tuple[Books, Budgets]:
        """Where this process' calls are counted and reserved; written to its end."""
        if self._accounts is None:
            from shared.spending.books import Books
            from shared.spending.budgets import Budgets
            from shared.spending.store import Limits

            limits = Limits.of(
                self.settings.tenant_tokens_per_day, self.settings.tenant_money_per_day
            )
            books = Books(await self.database(durable=False, max_connections=1))
            self._accounts = books, Budgets(await self.database(durable=True), limits)
            self._stack.push_async_callback(books.close)
        return self._accounts


def _required(url: str | None, name: str) -> str:
    if url is None:
        raise ConfigurationError(
            f"MEMOIRE_{name} is not set: say where the server is, or use `memoire up`, "
            "which brings its own"
        )
    return url


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None


# ---- the stages


async def _extractor(adapters: Adapters) -> Stage:
    from services.extractor.consumer import ExtractorStage
    from services.extractor.intake import Intake
    from services.extractor.session import Pace, SessionWork
    from shared.broker import connect_redis
    from shared.intake.messages import Limits

    settings = adapters.settings
    durable = await adapters.database(durable=True)
    intake = Intake(
        durable,
        connect_redis(adapters.redis_url),
        limits=Limits(settings.max_content_bytes, settings.max_metadata_bytes),
        window=settings.window,
        policy=adapters.policy,
        stage="extractor",
    )
    sessions = SessionWork(
        db=await adapters.database(durable=False),
        durable=durable,
        extractor=await _llm_or_rules(adapters),
        pace=Pace(
            lease_seconds=settings.lease_seconds,
            quiet_seconds=settings.extract_after_seconds,
            linger_seconds=settings.extract_linger_ms / 1000,
            pause_seconds=settings.configuration_pause_seconds,
            budget_tokens=settings.llm_max_input_tokens,
        ),
        policy=adapters.policy,
        worker=consumer_name(),
        calls=settings.llm_concurrency,
        at_point=crash_hook("extractor"),
    )
    return ExtractorStage(intake, sessions)


async def _llm_or_rules(adapters: Adapters) -> Extractor:
    from services.extractor.extractors import ByModel, ByRules
    from shared.spending.prices import Prices

    settings = adapters.settings
    if not settings.uses_model:
        return ByRules()
    prices = Prices.of(settings.llm_price_input, settings.llm_price_output)
    return ByModel(await adapters.chat_model("extraction", settings.llm_model, prices))


async def _embedder(adapters: Adapters) -> Stage:
    from services.embedder.consumer import EmbedderStage

    return EmbedderStage(
        db=await adapters.database(durable=False),
        durable=await adapters.database(durable=True),
        embedder=await adapters.embedder(),
        policy=adapters.policy,
        at_point=crash_hook("embedder"),
    )


async def _deduper(adapters: Adapters) -> Stage:
    from services.deduper.consumer import DeduperStage

    db = await adapters.database(durable=False)
    durable = await adapters.database(durable=True)
    model = (await adapters.embedder()).model
    judging, catching_up = await _judge(adapters, db, durable, model)
    return DeduperStage(
        db=db,
        durable=durable,
        model=model,
        policy=adapters.policy,
        judging=judging,
        catching_up=catching_up,
        at_point=crash_hook("deduper"),
    )


async def _judge(
    adapters: Adapters, db: Database, durable: Database, model: str
) -> tuple[Judging | None, CatchingUp | None]:
    settings = adapters.settings
    if not settings.uses_judge:
        return None, None
    from services.deduper.judging.model import ByModel
    from services.deduper.judging.work import CatchingUp, JudgePace, Judging
    from services.deduper.thresholds import floors_for
    from shared.broker import Announcer, connect_redis

    judge_model = settings.judge_model or settings.llm_model
    judging = Judging(
        db=db,
        durable=durable,
        judge=ByModel(await adapters.chat_model("judging", judge_model, _judge_prices(settings))),
        worker=consumer_name(),
        pace=JudgePace(
            calls=settings.llm_concurrency,
            lease_seconds=settings.lease_seconds,
        ),
    )
    announcer = Announcer(connect_redis(adapters.redis_url))
    return judging, CatchingUp(db, judging, floors_for(model), announcer.announce)


def _judge_prices(settings: Settings) -> Prices:
    from shared.spending.prices import Prices

    own_input, own_output = settings.judge_price_input, settings.judge_price_output
    return Prices.of(
        settings.llm_price_input if own_input is None else own_input,
        settings.llm_price_output if own_output is None else own_output,
    )


async def _superseder(adapters: Adapters) -> Stage:
    from services.superseder.consumer import SupersederStage

    return SupersederStage(
        durable=await adapters.database(durable=True),
        policy=adapters.policy,
        at_point=crash_hook("superseder"),
    )


async def _maintenance(adapters: Adapters) -> Stage:
    from services.maintenance.consumer import MaintenanceStage

    return MaintenanceStage(
        durable=await adapters.database(durable=True),
        policy=adapters.policy,
        at_point=crash_hook("maintenance"),
    )


STAGE_BUILDERS: dict[str, Callable[[Adapters], Awaitable[Stage]]] = {
    "extractor": _extractor,
    "embedder": _embedder,
    "deduper": _deduper,
    "superseder": _superseder,
    "maintenance": _maintenance,
}


# ---- the processes


async def _run_stage(adapters: Adapters, stopping: asyncio.Event) -> None:
    stage = await STAGE_BUILDERS[adapters.process](adapters)
    await StageProcess(stage, adapters.settings, adapters.redis_url).run(stopping)


async def _run_sweeper(adapters: Adapters, stopping: asyncio.Event) -> None:
    from services.maintenance.sweeper import Sweeper
    from shared.broker import connect_redis

    db = await adapters.database(durable=False)
    redis = connect_redis(adapters.redis_url)
    await Sweeper(db, redis, adapters.settings).run(stopping)
    await redis.aclose()


async def _run_gateway(adapters: Adapters, stopping: asyncio.Event) -> None:
    import uvicorn

    from services.gateway.app import build_app
    from shared.broker import connect_redis

    settings = adapters.settings
    redis = connect_redis(adapters.redis_url, timeout_seconds=0.2)  # requests never wait for it
    app = build_app(
        settings,
        db=await adapters.database(durable=True, max_connections=10),
        redis=redis,
        embedder=await adapters.embedder("recall"),
        stopping=stopping,
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(settings.stop_grace_seconds),
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())  # noqa: SLF001  serve() would take the signals
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    await redis.aclose()
    if not stopping.is_set():
        raise ConfigurationError(f"the gateway cannot listen on {settings.host}:{settings.port}")


async def run_process(name: str, settings: Settings) -> None:
    """Run one process until SIGTERM or SIGINT.

    Raises ConfigurationError when a server's URL is missing or the database is not migrated.
    """
    stopping = stop_signal()
    async with AsyncExitStack() as stack:
        adapters = Adapters(settings, name, stack)
        await _wait_for_schema(adapters.database_url, stopping)
        if name == "gateway":
            await _run_gateway(adapters, stopping)
        elif name == "sweeper":
            await _run_sweeper(adapters, stopping)
        else:
            await _run_stage(adapters, stopping)


# ---- commands that work on rows


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
        await _require_schema(adapters.database_url)
        db = Database(
            adapters.database_url,
            max_connections=settings.llm_concurrency + _REPLAY_CONNECTIONS,
            by_key=True,
            statement_timeout_ms=_REPLAY_STATEMENT_MS,
            name="memoire-replay",
        )
        await db.open()
        stack.push_async_callback(db.close)
        redis = connect_redis(adapters.redis_url)
        stack.push_async_callback(redis.aclose)
        extractor_at, prompt_bytes = await _extractor_at(adapters, prompt)
        means = Means(
            extractor_at, prompt_bytes, settings.llm_max_input_tokens, settings.llm_concurrency
        )
        yield Replayer(
            db=db,
            announcer=Announcer(redis, settings.settled_max_length),
            means=means,
            policy=adapters.policy,
            at_point=crash_hook("replay"),
        )


_REPLAY_CONNECTIONS = 6  # four users held at once, and their other statements
_REPLAY_STATEMENT_MS = 120_000  # a user's whole generation in one


async def _extractor_at(
    adapters: Adapters, prompt: str
) -> tuple[Callable[[datetime], Extractor], int]:
    """Build extractors as of a day, and say how long their prompt is."""
    from services.extractor.extractors import ByModel, ByRules
    from services.extractor.replay.prompts import size_of
    from shared.spending.prices import Prices

    settings = adapters.settings
    if not settings.uses_model:
        rules = ByRules()
        return lambda _: rules, 0
    prices = Prices.of(settings.llm_price_input, settings.llm_price_output)
    model = await adapters.chat_model("replay", settings.llm_model, prices)
    return lambda at: ByModel(model, prompt=prompt, clock=lambda: at), size_of(prompt)


async def _require_schema(url: str) -> None:
    if missing := await asyncio.to_thread(pending, url):
        names = ", ".join(migration.name for migration in missing)
        raise ConfigurationError(f"the database lacks {names}: run `memoire migrate`")


async def _wait_for_schema(url: str, stopping: asyncio.Event) -> None:
    """Wait for a PostgreSQL that is away; refuse one that is not migrated."""
    import psycopg

    while not stopping.is_set():
        try:
            missing = await asyncio.to_thread(pending, url)
        except psycopg.OperationalError as error:
            log.warning("waiting for PostgreSQL", error=str(error).strip())
            await asyncio.sleep(1.0)
            continue
        if missing:
            names = ", ".join(migration.name for migration in missing)
            raise ConfigurationError(f"the database lacks {names}: run `memoire migrate`")
        return
