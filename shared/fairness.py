"""Taking turns between tenants: one that brings much waits behind itself, not before the others.

`Turns` decides who is next (pure); `FairSlots` lets that many at a time through.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """A queue for each tenant. Tenants are served in turn, and each one's items in their order."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Item]] = {}  # the next tenant first
        self._items = 0

    def __len__(self) -> int:
        return self._items

    def add(self, whose: Hashable, item: Item) -> None:
        self._queues.setdefault(whose, deque()).append(item)
        self._items += 1

    def take(self, most: int, weigh: Callable[[Item], int] = lambda _: 1) -> list[Item]:
        """Take items until they weigh `most` or none is left; always one, if there is any."""
        taken: list[Item] = []
        while self._queues and most > 0:
            whose = next(iter(self._queues))
            queue = self._queues.pop(whose)
            taken.append(queue.popleft())
            self._items -= 1
            most -= weigh(taken[-1])
            if queue:
                self._queues[whose] = queue  # behind the others
        return taken


class FairSlots:
    """A semaphore whose waiting tenants are let in by turns."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    @asynccontextmanager
    async def turn(self, whose: Hashable) -> AsyncIterator[None]:
        """Run a block when it is this tenant's turn and a slot is free."""
        await self._acquire(whose)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, whose: Hashable) -> None:
        if self._free:  # then nobody waits
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.add(whose, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came to be our turn at the same moment
                self._release()
            raise

    def _release(self) -> None:
        while next_one := self._waiting.take(1):
            if not next_one[0].done():
                next_one[0].set_result(None)
                return
        self._free += 1
