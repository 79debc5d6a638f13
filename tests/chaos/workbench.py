"""A small pipeline of real processes, one of which dies where a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from redis import Redis

from shared.broker import Announcer, connect_redis
from shared.db import OperatorDatabase
from shared.events import RowsBell
from shared.intake.messages import IncomingMessage, accept
from shared.intake.store import store_messages
from shared.topology import JOBS, MESSAGES, STAGES
from tests.acceptance.instance import free_port
from tests.chaos import auditor, crashing
from tests.chaos.accounts import Accounts
from tests.chaos.instance import ADMIN_KEY
from tests.chaos.provider import Provider
from tests.chaos.world import Said, tell

QUICK = {
    "MEMOIRE_LEASE_SECONDS": "0.6",
    "MEMOIRE_CLAIM_IDLE_MS": "500",
    "MEMOIRE_SWEEP_SECONDS": "0.1",
    "MEMOIRE_LOST_AFTER_SECONDS": "0.4",
    "MEMOIRE_POLL_MS": "50",
    "MEMOIRE_WINDOW_MS": "20",
    "MEMOIRE_BATCH_PAUSE_MS": "5",
    "MEMOIRE_EXTRACT_LINGER_MS": "20",
    "MEMOIRE_RETRY_BASE_SECONDS": "0.05",
    "MEMOIRE_STOP_GRACE_SECONDS": "2",
}
_OPEN = """
    SELECT (SELECT count(*) FROM chat_logs WHERE state <> 'extracted')
         + (SELECT count(*) FROM memory_facts WHERE state <> 'settled')
         + (SELECT count(*) FROM jobs WHERE state = 'requested')"""


class Workbench:
    """Processes by stage, the model server they ask, and what they were given."""

    def __init__(self, database_url: str, redis_url: str, provider: Provider) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.provider = provider
        self.accounts = Accounts()
        self.port = free_port()
        self._children: list[BaseProcess] = []

    # ---- processes

    def start(
        self, process: str, *sabotages: str, crash_at: str = "", **settings: str
    ) -> BaseProcess:
        env = {
            "MEMOIRE_DATABASE_URL": self.database_url,
            "MEMOIRE_REDIS_URL": self.redis_url,
            "MEMOIRE_LLM_BASE_URL": self.provider.url,
            "MEMOIRE_LLM_API_KEY": "fake",
            "MEMOIRE_EMBED_BASE_URL": self.provider.url,
            "MEMOIRE_EMBED_API_KEY": "fake",
            "MEMOIRE_CRASH_AT": f"{process}:{crash_at}" if crash_at else "",
            "MEMOIRE_PORT": str(self.port),
            "MEMOIRE_ADMIN_KEY": ADMIN_KEY,
            **QUICK,
            **settings,
        }
        child = crashing.start(process, env, sabotages)
        self._children.append(child)
        return child

    def start_all(self, *sabotages: str, without: Sequence[str] = (), **settings: str) -> None:
        for process in (*STAGES, "sweeper"):
            if process not in without:
                self.start(process, *sabotages, **settings)

    async def died(self, child: BaseProcess, within_seconds: float = 180.0) -> int | None:
        """Wait for a process to end; its exit code, None when it lives on."""
        await asyncio.to_thread(child.join, within_seconds)
        return child.exitcode

    async def stop_all(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(crashing.stop, c, 5) for c in self._children))

    # ---- messages and jobs

    async def store(self, several: Sequence[Said], *, ring: bool = True) -> None:
        """Take messages in as the gateway does: stored, then their bells rung."""
        now = datetime.now(UTC)
        messages = [accept(IncomingMessage(**said.body()), said.tenant) for said in several]
        db, redis = (
            OperatorDatabase(self.database_url, max_connections=1),
            connect_redis(self.redis_url),
        )
        await db.open()
        async with db.transaction() as tx:
            stored = await store_messages(tx, messages, 1_000)
        if ring:
            await Announcer(redis).announce(stored.announcements)
        await redis.aclose()
        await db.close()
        for said in several:
            self.accounts.accept(said, now, datetime.now(UTC))

    async def post(self, several: Sequence[Said], *, batch: bool) -> None:
        """Send messages to the gateway until it says that they are accepted."""
        key = {"X-API-Key": ADMIN_KEY}
        url = f"http://127.0.0.1:{self.port}/v1/ingest"
        groups = [several] if batch else [[said] for said in several]
        async with httpx.AsyncClient(headers=key, timeout=10) as http:
            for group in groups:
                bodies = [said.body() for said in group]
                named = {"Idempotency-Key": f"k{group[0].number}"}
                path, body = ("/batch", {"messages": bodies}) if batch else ("", bodies[0])
                asked = datetime.now(UTC)
                while not await _accepted(http, url + path, body, named):
                    await asyncio.sleep(0.05)
                for said in group:
                    self.accounts.accept(said, asked, datetime.now(UTC))

    def add(self, several: Sequence[Said]) -> None:
        """Put messages straight on the stream."""
        with self.redis() as redis:
            for said in several:
                asked = datetime.now(UTC)
                redis.xadd(MESSAGES, said.body())  # type: ignore[arg-type]
                self.accounts.accept(said, asked, datetime.now(UTC))

    def ask_for_a_job(self, user: str) -> None:
        job, now = uuid4(), datetime.now(UTC)
        self.query(
            f"""INSERT INTO jobs (tenant_id, user_id, id, kind, announced_at)
                VALUES ('default', '{user}', '{job}', 'consolidate', now()) RETURNING id"""
        )
        with self.redis() as redis:
            bell: Any = RowsBell("default", user, (job,), now).encode()
            redis.xadd(JOBS["consolidate"], bell)

    # ---- looking

    def redis(self) -> Redis:
        return Redis.from_url(self.redis_url)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def backlog(self) -> int:
        with self.redis() as redis:
            return sum(int(redis.xlen(s)) for names in STAGES.values() for s in names)  # type: ignore[arg-type]

    async def settled(self, within_seconds: float = 180.0) -> bool:
        """Wait until every row and stream is done; whether that came to pass."""
        return await until(
            lambda: self.query(_OPEN)[0][0] + self.backlog() == 0, within_seconds
        )  # fmt: skip

    def audit(self) -> auditor.Findings:
        return auditor.audit(self.accounts, auditor.read(self.database_url, self.redis_url))


async def _accepted(http: httpx.AsyncClient, url: str, body: Any, headers: dict[str, str]) -> bool:
    try:
        answer = await http.post(url, json=body, headers=headers)
    except httpx.HTTPError:
        return False
    assert answer.status_code in {202, 503}, answer.text
    return answer.status_code == 202


async def until(condition: Callable[[], Any], within_seconds: float) -> bool:
    """Look until the condition holds."""
    deadline = asyncio.get_running_loop().time() + within_seconds
    while asyncio.get_running_loop().time() < deadline:
        if condition():
            return True
        await asyncio.sleep(0.03)
    return False


def story(seed: int, messages: int, users: int = 3) -> list[Said]:
    """A few messages with facts in all of them."""
    told = (said for said in tell(seed, messages * 4, users) if "=" in said.content)
    return [said for said in told if said.role == "user"][:messages]
