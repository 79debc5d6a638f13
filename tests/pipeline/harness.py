"""The whole pipeline in one process: real stages, real servers, no gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from services.deduper.consumer import DeduperStage
from services.deduper.judging.model import Judge
from services.deduper.judging.work import CatchingUp, JudgePace, Judging
from services.embedder.consumer import EmbedderStage
from services.extractor.consumer import ExtractorStage
from services.extractor.extractors import ByRules, Extractor
from services.extractor.intake import Intake
from services.extractor.session import Pace, SessionWork
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.sweeper import Sweeper
from services.superseder.consumer import SupersederStage
from shared.breaker import Breaker, BreakerPace
from shared.broker import Announcer
from shared.crash import AtPoint, ignore_point
from shared.delivery import Stage
from shared.failures.store import RetryPolicy
from shared.gate import Gate
from shared.intake.messages import IncomingMessage, Limits, Message, accept
from shared.intake.store import Stored, store_messages
from shared.llm import ChatModel
from shared.process import StageProcess
from shared.providers import host_of
from shared.settings import Settings
from shared.spaces.embedders import Embedders
from shared.spending.books import Asked
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder

QUICK = {
    "poll_ms": 50,
    "claim_idle_ms": 600,
    "lease_seconds": 0.9,
    "sweep_seconds": 0.1,
    "lost_after_seconds": 0.4,
    "window_ms": 20,
    "retry_base_seconds": 0.05,
    "stop_grace_seconds": 2.0,
    "configuration_pause_seconds": 0.3,
    "provider_pause_seconds": 0.05,
    "provider_pause_cap_seconds": 0.4,
    "extract_linger_ms": 30,
}
"""Settings that make the machinery of minutes work in tenths of seconds."""

UNHURRIED = {"lease_seconds": 30.0, "claim_idle_ms": 30_000}
"""For tests that count calls while nobody dies: a starved machine outlasts the leases above."""


def quick_gate(url: str, model: str = "fake", records: Any = None) -> Gate:
    """A gate whose breaker pauses for tenths of seconds."""
    s = Settings(**QUICK)
    pace = BreakerPace(
        s.provider_failures,
        s.provider_pause_seconds,
        s.provider_pause_cap_seconds,
        s.configuration_pause_seconds,
    )
    return Gate(Breaker(pace), Asked("extraction", host_of(url), model), records=records)


def quick_model(url: str, model: str = "fake", **more: Any) -> ChatModel:
    """A model behind a quick gate; `more` are its till, its caps, or another gate."""
    gate = more.pop("gate", None) or quick_gate(url, model)
    given = {"base_url": url, "api_key": "k", "model": model, "timeout_seconds": 10, **more}
    return ChatModel(gate=gate, **given)


class Pipeline:
    """Stages by name, and the small questions tests ask of the two servers."""

    def __init__(
        self,
        db: TestedDatabase,
        redis: Redis,
        redis_url: str,
        *,
        extractor: Extractor | None = None,
        embedder: Any = None,
        build_embedder: Any = None,
        judge: Judge | None = None,
        at_point: AtPoint = ignore_point,
        **settings: Any,
    ) -> None:
        self.db = db
        self.redis = redis
        self.redis_url = redis_url
        self.settings = Settings(**{**QUICK, **settings})
        self.extractor = extractor or ByRules()
        self.embedder = embedder or HashEmbedder()
        self.build_embedder = build_embedder
        self.judge = judge
        self.at_point = at_point
        self._messages = 0

    # ---- building

    def stage(self, name: str, at_point: AtPoint | None = None) -> Stage:
        policy = RetryPolicy.of(self.settings)
        common: dict[str, Any] = {"policy": policy, "at_point": at_point or self.at_point}
        match name:
            case "extractor":
                return self._extractor(common)
            case "embedder":
                embedders = Embedders(self.db, self.embedder, self.build_embedder)
                return EmbedderStage(db=self.db, durable=self.db, embedders=embedders, **common)
            case "deduper":
                return self._deduper(common)
            case "superseder":
                return SupersederStage(durable=self.db, **common)
            case "maintenance":
                return MaintenanceStage(durable=self.db.everyone, **common)
        raise KeyError(name)

    def _deduper(self, common: dict[str, Any]) -> DeduperStage:
        model = self.embedder.model
        if self.judge is None:
            return DeduperStage(db=self.db, durable=self.db, model=model, **common)
        s = self.settings
        pace = JudgePace(s.llm_concurrency, s.lease_seconds)
        worker = f"test-{id(common)}"
        judging = Judging(db=self.db, durable=self.db, judge=self.judge, worker=worker, pace=pace)
        tell = Announcer(self.redis).announce
        catching_up = CatchingUp(self.db.everyone, judging, model, tell, patience_seconds=0.2)
        return DeduperStage(
            db=self.db,
            durable=self.db,
            model=model,
            judging=judging,
            catching_up=catching_up,
            **common,
        )

    def _extractor(self, common: dict[str, Any]) -> ExtractorStage:
        s = self.settings
        intake = Intake(
            self.db,
            limits=Limits(s.max_content_bytes, s.max_metadata_bytes),
            window=s.window,
            policy=common["policy"],
            stage="extractor",
        )
        pace = Pace(
            s.lease_seconds,
            s.extract_after_seconds,
            s.extract_linger_ms / 1000,
            s.configuration_pause_seconds,
            s.llm_max_input_tokens,
        )
        sessions = SessionWork(
            db=self.db,
            durable=self.db,
            extractor=self.extractor,
            pace=pace,
            worker=f"test-{id(common)}",
            **common,
        )
        return ExtractorStage(intake, sessions)

    @asynccontextmanager
    async def running(
        self, *names: str, sweeper: bool = True, at_point: AtPoint | None = None
    ) -> AsyncIterator[list[StageProcess]]:
        """Run these stages (all of them by default) and a sweeper until the block ends."""
        names = names or ("extractor", "embedder", "deduper", "superseder", "maintenance")
        stopping = asyncio.Event()
        processes = [
            StageProcess(self.stage(name, at_point), self.settings, self.redis_url, at_point)
            for name in names
        ]
        tasks = [asyncio.create_task(process.run(stopping)) for process in processes]
        if sweeper:
            tasks.append(asyncio.create_task(self.sweeper().run(stopping)))
        try:
            yield processes
        finally:
            stopping.set()
            await asyncio.gather(*tasks)

    def sweeper(self) -> Sweeper:
        return Sweeper(self.db.everyone, self.redis, self.settings)

    # ---- doing

    def message(self, content: str, **fields: Any) -> Message:
        self._messages += 1
        incoming = IncomingMessage(
            **{
                "user_id": "ana",
                "role": "user",
                "content": content,
                "message_id": f"m{self._messages}",
                **fields,
            }
        )
        return accept(incoming, "default")

    async def store(self, *messages: Message) -> Stored:
        async with self.db.everyone.transaction() as tx:
            return await store_messages(tx, messages, self.settings.window)

    async def say(self, *contents: str, **fields: Any) -> list[Message]:
        """Accept messages as the gateway does, and ring."""
        messages = [self.message(content, **fields) for content in contents]
        stored = await self.store(*messages)
        await Announcer(self.redis).announce(stored.announcements)
        return messages

    # ---- asking

    async def rows(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        async with self.db.everyone.autocommit() as tx:
            return await tx.rows(statement, params)

    async def open_rows(self) -> int:
        rows = await self.rows(
            """SELECT (SELECT count(*) FROM chat_logs WHERE state <> 'extracted'
                         AND retry_at IS DISTINCT FROM 'infinity')
                    + (SELECT count(*) FROM memory_facts WHERE state <> 'settled'
                         AND retry_at IS DISTINCT FROM 'infinity')
                    + (SELECT count(*) FROM jobs WHERE state <> 'done'
                         AND retry_at IS DISTINCT FROM 'infinity') AS open"""
        )
        return int(rows[0]["open"])

    async def settled(self, timeout_seconds: float = 60.0) -> None:
        """Wait until no row is open that is not dead."""
        async with asyncio.timeout(timeout_seconds):
            while await self.open_rows():
                await asyncio.sleep(0.02)

    async def stream_lengths(self, streams: Sequence[str]) -> dict[str, int]:
        return {stream: await self.redis.xlen(stream) for stream in streams}

    async def drained(self, streams: Sequence[str], timeout_seconds: float = 60.0) -> None:
        """Wait until these streams are empty."""
        async with asyncio.timeout(timeout_seconds):
            while any((await self.stream_lengths(streams)).values()):
                await asyncio.sleep(0.02)

    async def current(self, user: str = "ana", slot: str | None = None) -> list[str]:
        """List what is believed now: values of a slot, or contents."""
        rows = await self.rows(
            """SELECT coalesce(CASE WHEN %(slot)s::text IS NOT NULL THEN value END, content) AS said
                 FROM memory_facts
                WHERE user_id = %(user)s AND standing = 'belief' AND believed @> now()
                  AND (%(slot)s::text IS NULL OR slot = %(slot)s) ORDER BY said_at, id""",
            user=user,
            slot=slot,
        )
        return [row["said"] for row in rows]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
