"""Trying again while somebody else has the user; a user who is busy is not waited for long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import RetryableError

Result = TypeVar("Result")

_TRIES = 60
_LONGEST_PAUSE_SECONDS = 0.1


class UserBusyError(RetryableError):
    """Another transaction has this user just now, or changed what was read."""


async def when_free(attempt: Callable[[], Awaitable[Result | None]], user: str) -> Result:
    """Attempt until it answers; None means that somebody else has the user.

    Raises UserBusyError after some seconds.
    """
    for attempted in range(_TRIES):
        if (result := await attempt()) is not None:
            return result
        pause = min(_LONGEST_PAUSE_SECONDS, 0.002 * 2**attempted)
        await asyncio.sleep(pause * random.uniform(0.5, 1))
    raise UserBusyError(f"user {user!r} is busy")
