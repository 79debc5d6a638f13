"""A chat model as judge: one call a batch of pairs, with a versioned prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Protocol
from uuid import UUID

from services.deduper.candidates import Pair
from services.deduper.judging.verdicts import ANSWER_SCHEMA, Reading, question, read_answer
from shared.ids import time_ordered_id
from shared.llm import ChatModel

PROMPT = "judge.v1"


@dataclass(frozen=True, slots=True)
class Judged:
    """One answered call: how many pairs it was asked, what they are, and its tokens (in, out)."""

    reading: Reading
    asked: int
    tokens: tuple[int, int] = (0, 0)
    id: UUID = field(default_factory=time_ordered_id)


class Judge(Protocol):
    """Who is asked about doubtful pairs. Raises the three kinds of error of `shared.errors`."""

    model: str
    prompt: str

    def wait_seconds(self, payer: str | None = None) -> float:
        """How long nobody may ask, or nobody for this tenant; 0 where one may."""
        ...

    def spent(self) -> list[str]:
        """The tenants whose budget of today is spent."""
        ...

    async def ask(self, pairs: Sequence[Pair], *, payer: str) -> Judged:
        """Ask about pairs, for one tenant."""
        ...


class ByModel:
    """Asks a chat model."""

    def __init__(self, model: ChatModel, *, prompt: str = PROMPT) -> None:
        self.model = model.model
        self.prompt = prompt
        self._chat = model
        folder = resources.files("services.deduper.judging.prompts")
        self._system = folder.joinpath(f"{prompt}.md").read_text("utf-8")

    def wait_seconds(self, payer: str | None = None) -> float:
        return self._chat.wait_seconds(payer)

    def spent(self) -> list[str]:
        return self._chat.spent()

    async def ask(self, pairs: Sequence[Pair], *, payer: str) -> Judged:
        answer = await self._chat.ask(self._system, question(pairs), ANSWER_SCHEMA, payer=payer)
        reading = read_answer(answer.content, pairs, self.model)
        return Judged(reading, len(pairs), (answer.input_tokens, answer.output_tokens))
