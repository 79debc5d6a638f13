"""Finding the one item that fails its batch, and handling it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psycopg
import psycopg.errors
import redis.exceptions

from shared.errors import ConfigurationError, NotNowError, RetryableError

Item = TypeVar("Item")
Result = TypeVar("Result")

_SERVER_AWAY = ("08", "53", "57")  # SQLSTATE classes: connection, resources, operator intervention


def is_outage(error: BaseException) -> bool:
    """Say whether PostgreSQL or Redis is away: no item is to blame, and nothing can be recorded."""
    match error:
        case psycopg.errors.QueryCanceled():  # 57014: this statement took too long
            return False
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return error.sqlstate is None or error.sqlstate.startswith(_SERVER_AWAY)
        case redis.exceptions.ConnectionError() | redis.exceptions.TimeoutError():
            return True
        case ConnectionError() | TimeoutError():
            return True
    return False


def is_conflict(error: BaseException) -> bool:
    """Say whether another transaction was in the way: the same again will do."""
    return isinstance(
        error,
        psycopg.errors.SerializationFailure
        | psycopg.errors.DeadlockDetected
        | psycopg.errors.LockNotAvailable,
    )


async def isolate(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], Awaitable[list[Result]]],
    refuse: Callable[[Sequence[Item], Exception], Awaitable[None]],
) -> list[Result]:
    """Attempt all items at once; on failure halve them until the culprit stands alone.

    `refuse` records what failed: the culprit alone, or all of them when the world failed rather
    than an item. Outages, configuration errors and calls that may not be made just now pass
    through: they say nothing about items.
    """
    if not items:
        return []
    try:
        return await attempt(items)
    except Exception as error:
        if is_outage(error) or isinstance(error, ConfigurationError | NotNowError):
            raise
        if len(items) == 1 or isinstance(error, RetryableError):
            await refuse(items, error)
            return []
    middle = len(items) // 2
    first = await isolate(items[:middle], attempt, refuse)
    return [*first, *await isolate(items[middle:], attempt, refuse)]
