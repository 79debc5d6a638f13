"""The composition root: the only module that builds adapters and knows every stage.

Everything else receives what it needs. Each process imports its own stage alone, which keeps its
start short and its memory small.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from services.models import Models
from services.prerequisites import require_isolation, wait_for_schema
from shared.crash import crash_hook
from shared.db import Database, OperatorDatabase, Patience
from shared.delivery import Stage
from shared.errors import ConfigurationError
from shared.failures.store import RetryPolicy
from shared.heartbeat import beating
from shared.metrics.serving import beat, served, version
from shared.process import StageProcess, consumer_name, give_way, stop_signal
from shared.roles import APP, GATE, OPERATOR, ROLES
from shared.settings import Settings
from shared.topology import JOB_KINDS, JobKind
from shared.tracing.otlp import sent

if TYPE_CHECKING:
    from services.deduper.judging.work import CatchingUp, Judging
    from services.extractor.extractors import Extractor
    from services.maintenance.jobs.kinds import Job
    from services.maintenance.jobs.means import Means

log = structlog.get_logger()

_KEEP_ALIVE_SECONDS = 65  # longer than clients keep an idle connection: they close it, not we


AnyDatabase = TypeVar("AnyDatabase", bound=Database)


class Adapters:
    """What processes are built from; closed together at the end."""

    def __init__(self, settings: Settings, process: str, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.process = process
        self.policy = RetryPolicy.of(settings)
        self._stack = stack
        self.models = Models(settings, partial(self.database, durable=True), stack)

    @property
    def database_url(self) -> str:
        return _required(self.settings.database_url, "DATABASE_URL")

    @property
    def redis_url(self) -> str:
        return _required(self.settings.redis_url, "REDIS_URL")

    async def database(self, *, durable: bool, max_connections: int = 4) -> Database:
        """Open a pool that reaches the rows of tenants that are named."""
        options = self._options(durable=durable, max_connections=max_connections)
        role = APP if self.settings.row_security else None
        return await self._opened(Database(self.database_url, role=role, **options))

    async def everyone(self, *, durable: bool, max_connections: int = 4) -> OperatorDatabase:
        """Open a pool that reaches every tenant's rows: never for what answers requests."""
        options = self._options(durable=durable, max_connections=max_connections)
        role = OPERATOR if self.settings.row_security else None
        return await self._opened(OperatorDatabase(self.database_url, role=role, **options))

    async def _opened(self, db: AnyDatabase) -> AnyDatabase:
        await db.open()
        self._stack.push_async_callback(db.close)
        return db

    def _options(self, *, durable: bool, max_connections: int) -> dict[str, Any]:
        return {
            "durable": durable,
            "max_connections": max_connections,
            "by_key": self.process != "gateway",  # recall reads all that a user has
            "name": f"memoire-{self.process}",
            "patience": self._patience(),
        }

    def _patience(self) -> Patience:
        """Who called the gateway waits no longer than REQUEST_SECONDS; a stage has time."""
        if self.process != "gateway":
            return Patience()
        seconds = self.settings.request_seconds
        return Patience(seconds / 2, statement_seconds=0.8 * seconds, grace_seconds=0.2 * seconds)


def _required(url: str | None, name: str) -> str:
    if url is None:
        raise ConfigurationError(
            f"MEMOIRE_{name} is not set: say where the server is, or use `memoire up`, "
            "which brings its own"
        )
    return url


# ---- the stages


async def _extractor(adapters: Adapters) -> Stage:
    from services.extractor.consumer import ExtractorStage
    from services.extractor.intake import Intake
    from services.extractor.session import Pace, SessionWork
    from shared.intake.messages import Limits
    from shared.quotas.quotas import Quotas

    settings = adapters.settings
    durable = await adapters.database(durable=True)
    intake = Intake(
        durable,
        limits=Limits(settings.max_content_bytes, settings.max_metadata_bytes),
        window=settings.window,
        policy=adapters.policy,
        stage="extractor",
        quotas=Quotas.of(settings, durable),
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
        guards=settings.holds_suspicious,
        at_point=crash_hook("extractor"),
    )
    return ExtractorStage(intake, sessions)


async def _llm_or_rules(adapters: Adapters) -> Extractor:
    from services.extractor.extractors import ByModel, ByRules

    if not adapters.settings.uses_model:
        return ByRules()
    guards = adapters.settings.holds_suspicious
    return ByModel(await adapters.models.extracting(), guards=guards)


async def _embedder(adapters: Adapters) -> Stage:
    from services.embedder.consumer import EmbedderStage

    db = await adapters.database(durable=False)
    return EmbedderStage(
        db=db,
        durable=await adapters.database(durable=True),
        embedders=await adapters.models.embedders(db, "embedding"),
        policy=adapters.policy,
        at_point=crash_hook("embedder"),
    )


async def _deduper(adapters: Adapters) -> Stage:
    from services.deduper.consumer import DeduperStage

    db = await adapters.database(durable=False)
    durable = await adapters.database(durable=True)
    model = adapters.models.embedding_model
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
    from shared.broker import Announcer, connect_redis

    judging = Judging(
        db=db,
        durable=durable,
        judge=ByModel(await adapters.models.judging()),
        worker=consumer_name(),
        pace=JudgePace(
            calls=settings.llm_concurrency,
            lease_seconds=settings.lease_seconds,
        ),
    )
    announcer = Announcer(connect_redis(adapters.redis_url))
    everyone = await adapters.everyone(durable=False, max_connections=1)
    return judging, CatchingUp(everyone, judging, model, announcer.announce)


async def _superseder(adapters: Adapters) -> Stage:
    from services.superseder.consumer import SupersederStage

    return SupersederStage(
        durable=await adapters.database(durable=True),
        policy=adapters.policy,
        at_point=crash_hook("superseder"),
    )


async def _maintenance(adapters: Adapters) -> list[Stage]:
    """A consumer per kind of job, with connections of its own: no kind holds up another."""
    from services.maintenance.consumer import MaintenanceStage
    from services.maintenance.jobs.running import JobPace

    settings = adapters.settings
    jobs, means = await _jobs(adapters), await _means(adapters)
    return [
        MaintenanceStage(
            durable=await adapters.everyone(
                durable=True, max_connections=settings.job_concurrency + 2
            ),
            policy=adapters.policy,
            kinds=[kind],
            jobs=jobs,
            pace=JobPace(settings.job_silence_seconds, settings.job_slice_seconds),
            means=means,
            concurrency=settings.job_concurrency,
            at_point=crash_hook("maintenance"),
        )
        for kind in JOB_KINDS
    ]


async def _jobs(adapters: Adapters) -> Mapping[JobKind, Job]:
    """The kinds of jobs, those that have settings of their own with these."""
    from services.maintenance.essential.choosing import Budget
    from services.maintenance.essential.model import Ranker
    from services.maintenance.jobs import decay, load_jobs, optimize

    settings = adapters.settings
    ranker = None
    if settings.ranks_essentials:
        ranker = Ranker(await adapters.models.extracting("essential"))
    budget = Budget(settings.essential_facts, settings.essential_tokens)
    return {
        **load_jobs(),
        "optimize": optimize.job(budget, ranker),
        "decay": decay.job(settings.faded_below),
    }


async def _means(adapters: Adapters) -> Means:
    """What jobs work with: the deduper's eye for duplicates, and a model where there is one."""
    from services.deduper.overlooked import Overlooked
    from services.maintenance.biographer import Biographer
    from services.maintenance.jobs.means import Means

    biographer = None
    if adapters.settings.uses_model:
        biographer = Biographer(await adapters.models.extracting("profile"))
    return Means(Overlooked(adapters.models.embedding_model), biographer)


STAGE_BUILDERS: dict[str, Callable[[Adapters], Awaitable[Stage | list[Stage]]]] = {
    "extractor": _extractor,
    "embedder": _embedder,
    "deduper": _deduper,
    "superseder": _superseder,
    "maintenance": _maintenance,
}


# ---- the processes


async def _run_stage(adapters: Adapters, stopping: asyncio.Event) -> None:
    built = await STAGE_BUILDERS[adapters.process](adapters)
    async with asyncio.TaskGroup() as consumers:
        for stage in built if isinstance(built, list) else [built]:
            process = StageProcess(stage, adapters.settings, adapters.redis_url)
            consumers.create_task(process.run(stopping))


async def _run_sweeper(adapters: Adapters, stopping: asyncio.Event) -> None:
    from services.maintenance.retention.work import Retention
    from services.maintenance.sweeper import Sweeper
    from shared.broker import Announcer, connect_redis

    settings = adapters.settings
    db = await adapters.everyone(durable=False)
    redis = connect_redis(adapters.redis_url)
    retention = Retention(
        await adapters.everyone(durable=False, max_connections=1),
        settings,
        Announcer(redis, settings.settled_max_length),
        at_point=crash_hook("retention"),
    )
    async with asyncio.TaskGroup() as loops:
        loops.create_task(retention.run(stopping))
        loops.create_task(Sweeper(db, redis, settings, crash_hook("sweeper")).run(stopping))
    await redis.aclose()


async def _run_gateway(adapters: Adapters, stopping: asyncio.Event) -> None:
    import uvicorn

    from services.gateway.app import build_app
    from services.gateway.connection import impatient
    from services.maintenance.jobs import known_kinds
    from shared.broker import connect_redis
    from shared.garbage import collect_seldom

    settings = adapters.settings
    redis = connect_redis(adapters.redis_url, timeout_seconds=0.2)  # requests never wait for it
    db = await adapters.database(durable=True, max_connections=10)
    app = build_app(
        settings,
        db=db,
        redis=redis,
        embedder=await adapters.models.embedders(db, "recall"),
        stopping=stopping,
        at_point=crash_hook("gateway"),
        job_kinds=known_kinds(),
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(settings.stop_grace_seconds),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        http=impatient(settings.client_seconds, settings.max_header_bytes),
    )
    collect_seldom()
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
        await stack.enter_async_context(beating(settings.heartbeat_file))
        stack.enter_context(sent(settings.otlp_endpoint, name, version()))
        if stack.enter_context(served(name, settings.metrics_host, settings.metrics_port)):
            stack.callback(asyncio.create_task(beat(), name="beat").cancel)
        if name == "maintenance":
            give_way(settings.maintenance_nice)
        adapters = Adapters(settings, name, stack)
        await wait_for_schema(adapters.database_url, stopping)
        if not stopping.is_set():
            roles = (APP, GATE) if name == "gateway" else ROLES
            await require_isolation(settings, adapters.database_url, roles)
        if name == "gateway":
            await _run_gateway(adapters, stopping)
        elif name == "sweeper":
            await _run_sweeper(adapters, stopping)
        else:
            await _run_stage(adapters, stopping)
