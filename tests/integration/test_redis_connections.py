"""A connection to Redis that has gone is an outage, whatever the event loop calls it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from faststream.redis.subscriber.usecases import stream_subscriber
from redis.asyncio import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.broker import build_broker, connect_redis, ensure_group, subscribe
from tests.chaos.proxy import Proxy, tcp


def test_a_connection_reset_a_moment_ago_is_a_connection_error(redis_url: str) -> None:
    """uvloop raises RuntimeError for it; who waits for outages must see one."""

    async def reset_and_write() -> None:
        redis = connect_redis(redis_url)
        connection = await redis.connection_pool.get_connection()
        connection._writer.transport.abort()
        await redis.connection_pool.release(connection)
        with pytest.raises(RedisConnectionError):
            await connection.send_command("PING")
        assert await redis.ping(), "the next command has a connection of its own"
        await redis.aclose()

    uvloop.run(reset_and_write())


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_it_is_one_over_tls_too(scheme: str) -> None:
    """Clients and FastStream's reader alike; with TLS the same class of ours lies over redis-py's."""

    class Gone:
        def writelines(self, _: object) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

        def close(self) -> None:
            return None

    url = f"{scheme}://localhost:1/0"
    broker = build_broker(url)
    await broker.connect()
    for pool in (connect_redis(url).connection_pool, broker._connection.connection_pool):
        connection: Any = pool.make_connection()
        connection._writer, connection._reader = Gone(), object()
        assert issubclass(type(connection), SSLConnection) == (scheme == "rediss")
        with pytest.raises(RedisConnectionError):
            await connection.send_packed_command(b"PING", check_health=False)


async def test_reading_goes_on_as_soon_as_redis_is_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for FastStream's own pause after a failed read, here an hour."""
    monkeypatch.setattr(stream_subscriber, "CONSUME_ERROR_BACKOFF_SECONDS", 3_600)
    known = urlsplit(redis_url)
    proxy = Proxy(tcp("127.0.0.1", known.port or 0))
    port = await proxy.start()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def deliver(_: str, entries: Any) -> None:
        for entry_id, _fields in entries:
            heard.put_nowait(entry_id)

    redis = connect_redis(redis_url)
    await ensure_group(redis, "test:back", "group")
    broker = build_broker(redis_url.replace(f":{known.port}", f":{port}"))
    await broker.connect()
    subscriber = subscribe(
        broker,
        stream="test:back",
        group="group",
        consumer="me",
        batch=10,
        poll_ms=50,
        deliver=deliver,
    )
    await subscriber.start()
    async with asyncio.timeout(60):
        for _ in range(3):
            added = await redis.xadd("test:back", {"hello": "1"})
            assert await heard.get() == added.decode()
            proxy.cut()
            await asyncio.sleep(0.5)
            proxy.heal()
    await broker.stop()
    await proxy.stop()
    await redis.delete("test:back")
    await redis.aclose()
