"""One stage as a process: FastStream subscribers, and the loops that keep them honest.

The group is created at 0 before the first read and again whenever Redis has been emptied; a
subscriber that stopped is started again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog
from redis.exceptions import RedisError

from shared.broker import build_broker, connect_redis, ensure_group, subscribe
from shared.crash import AtPoint, crash_hook
from shared.delivery import Delivery, Stage
from shared.settings import Settings

log = structlog.get_logger()

_START_SECONDS = 5.0


def consumer_name() -> str:
    """Name this process among its group's consumers; never the same twice."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def give_way(niceness: int) -> None:
    """Let the machine's other processes go first, where that may be asked for."""
    try:
        os.nice(niceness)
    except OSError as error:
        log.warning("the process keeps its priority", error=str(error))


async def every(
    seconds: float, action: Callable[[], Awaitable[object]], stopping: asyncio.Event
) -> None:
    """Repeat an action until the process stops; a server being away only skips a turn."""
    while not stopping.is_set():
        try:
            await action()
        except (RedisError, psycopg.Error, TimeoutError) as error:
            log.debug("skipped a turn", error=str(error).strip())
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            continue


class StageProcess:
    """A stage's consumer: built by the composition root, run until it is told to stop."""

    def __init__(
        self, stage: Stage, settings: Settings, redis_url: str, at_point: AtPoint | None = None
    ) -> None:
        self._stage = stage
        self._settings = settings
        self._redis = connect_redis(redis_url)
        self._broker = build_broker(redis_url)
        consumer = consumer_name()
        self.delivery = Delivery(
            self._redis,
            stage,
            consumer=consumer,
            claim_idle_ms=settings.claim_idle_ms,
            configuration_pause_seconds=settings.configuration_pause_seconds,
            batch_pause_seconds=settings.batch_pause_ms / 1000,
            at_point=at_point or crash_hook(stage.name),
        )
        self._subscribers: dict[str, Any] = {
            stream: subscribe(
                self._broker,
                stream=stream,
                group=stage.name,
                consumer=consumer,
                batch=settings.read_batch,
                poll_ms=settings.poll_ms,
                deliver=self.delivery.deliver,
            )
            for stream in stage.streams
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping` is set, then finish what is in flight.

        What is held is refreshed to the end, so that nobody claims what is being finished.
        """
        third = self._settings.claim_idle_ms / 3_000
        finished = asyncio.Event()
        async with asyncio.TaskGroup() as loops:
            loops.create_task(every(0.5, self.keep_subscribed, stopping))
            loops.create_task(every(third, self.delivery.refresh_held, finished))
            loops.create_task(every(third, self._stage.heartbeat, finished))
            loops.create_task(every(min(third, 1.0), self.delivery.claim_abandoned, stopping))
            log.info("consuming", streams=list(self._stage.streams))
            await stopping.wait()
            for subscriber in self._subscribers.values():
                await subscriber.stop()
            await self.delivery.drain(self._settings.stop_grace_seconds)
            finished.set()
        await self._release()
        await self._give_back()
        await self._broker.stop()
        await self._redis.aclose()

    async def _release(self) -> None:
        """Let go of what the stage holds in PostgreSQL, so that nobody waits for a lease."""
        try:
            await self._stage.release()
        except (psycopg.Error, TimeoutError) as error:
            log.warning("leases have to run out", error=str(error).strip())

    async def _give_back(self) -> None:
        """Hand over what was read and not begun; when Redis is away it is claimed in time."""
        try:
            if given := await self.delivery.give_back():
                log.info("given back", entries=given)
        except (RedisError, TimeoutError) as error:
            log.warning("entries wait to be claimed", error=str(error).strip())

    async def keep_subscribed(self) -> None:
        """See that every group exists and every subscriber reads."""
        for stream, subscriber in self._subscribers.items():
            if await ensure_group(self._redis, stream, self._stage.name):
                log.info("consumer group created", stream=stream)
            if not subscriber.running and not self.delivery.stopping:
                await self._broker.connect()
                # Should Redis be emptied since then, FastStream creates the group: at the end,
                # unless told otherwise. What waits would be skipped, and since its bells are still
                # there, the sweep would never call its rows lost.
                subscriber.last_id = "0"
                async with asyncio.timeout(_START_SECONDS):  # its client waits for a Redis away
                    await subscriber.start()
