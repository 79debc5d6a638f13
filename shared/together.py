"""Answering concurrent questions in one go: one statement for a hundred sessions, not a hundred.

Whoever asks awaits an answer of his own; questions asked while a batch is under way make the next
batch. Nobody waits for a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from shared.fairness import Turns
from shared.isolation import is_outage

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_MOST = 200


class Together(Generic[Question, Answer]):
    """Turns `ask_many` (answers in the questions' order) into a function of one question.

    When a batch fails, each of its questions is asked again alone, so that one bad question spoils
    no other's answer (unless a server is away: that concerns all); `ask_many` must change nothing
    when it raises. Where more is asked than one batch may weigh (`most`), those named by `whose`
    take turns. After a batch that was not full the next waits for `pause_seconds`, so that a steady
    trickle is answered in batches too.
    """

    def __init__(
        self,
        ask_many: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]],
        most: int = _MOST,
        *,
        pause_seconds: float = 0.0,
        whose: Callable[[Question], Hashable] = lambda _: None,
        weigh: Callable[[Question], int] = lambda _: 1,
    ) -> None:
        self._ask_many = ask_many
        self._most = most
        self._pause_seconds = pause_seconds
        self._whose = whose
        self._weigh = weigh
        self._context = copy_context()  # what is logged is no single asker's
        self._waiting: Turns[tuple[Question, asyncio.Future[Answer]]] = Turns()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, question: Question) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.add(self._whose(question), (question, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), context=self._context.copy())
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # let everybody who is ready ask
                batch = self._waiting.take(self._most, lambda asked: self._weigh(asked[0]))
                batch = [
                    asked for asked in batch if not asked[1].done()
                ]  # who gave up asks no more
                if batch:
                    await self._answer(batch)
                if self._pause_seconds and len(batch) < self._most:
                    await asyncio.sleep(self._pause_seconds)
        finally:
            self._worker = None

    async def _answer(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._ask_many([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  it is raised where the question was asked
            if len(batch) > 1 and not is_outage(error):
                for single in batch:
                    await self._answer([single])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
