"""A connection to Redis that has gone is an outage, whatever the event loop calls it."""

from __future__ import annotations

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.broker import connect_redis


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
