"""A chat model that ranks what is essential: one call, with a versioned prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from uuid import UUID

from services.maintenance.essential.choosing import Budget, Known, candidates, kind_of
from shared.errors import PoisonError
from shared.llm import ChatModel

PROMPT = "essential.v1"

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {
        "essential": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "why": {"type": "string"}},
                "required": ["id", "why"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["essential"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Ranked:
    """Facts in the order of an answer, the most important first, and the call's tokens."""

    facts: tuple[UUID, ...]
    tokens: tuple[int, int] = (0, 0)


class Ranker:
    """Asks a chat model."""

    def __init__(self, model: ChatModel, *, prompt: str = PROMPT) -> None:
        self.model = model.model
        self.prompt = prompt
        self._chat = model
        folder = resources.files("services.maintenance.essential.prompts")
        self._system = folder.joinpath(f"{prompt}.md").read_text("utf-8")

    def wait_seconds(self, payer: str) -> float:
        """How long nobody may ask for this tenant; 0 where one may."""
        return self._chat.wait_seconds(payer)

    def digest(self, facts: Collection[Known], budget: Budget) -> bytes:
        """Tell these inputs from any others: time, uses and what is essential already are none."""
        told = sorted(
            (str(f.id), f.content, f.slot, f.category, f.evidence_count)
            for f in facts
            if kind_of(f) is not None
        )
        inputs = [self.model, self.prompt, budget.facts, budget.tokens, told]
        return hashlib.sha256(json.dumps(inputs).encode()).digest()

    async def ask(self, facts: Collection[Known], budget: Budget, *, payer: str) -> Ranked:
        """Ask once, for one tenant. Raises the three kinds of error of `shared.errors`."""
        asked = candidates(facts)
        answer = await self._chat.ask(
            self._system, question(asked, budget), ANSWER_SCHEMA, payer=payer
        )
        return Ranked(
            tuple(read_answer(answer.content, asked)), (answer.input_tokens, answer.output_tokens)
        )


def question(facts: Sequence[Known], budget: Budget) -> dict[str, Any]:
    """The document a model is sent: facts f1, f2, … in this order."""
    return {
        "task": "essential",
        "budget": {"facts": budget.facts, "tokens": budget.tokens},
        "facts": [
            {"id": f"f{number}", **_as_json(fact)} for number, fact in enumerate(facts, start=1)
        ],
    }


def _as_json(fact: Known) -> dict[str, Any]:
    kind = kind_of(fact)
    said = {} if fact.said_at is None else {"said": fact.said_at.date().isoformat()}
    return {
        "kind": kind.name if kind else None,
        "content": fact.content,
        "evidence": fact.evidence_count,
        **said,
    }


def read_answer(answer: Mapping[str, Any], facts: Sequence[Known]) -> list[UUID]:
    """The facts that an answer names, each once; what names none of them is passed over.

    Raises PoisonError when none is left although some were asked about.
    """
    asked = {f"f{number}": fact.id for number, fact in enumerate(facts, start=1)}
    given = answer.get("essential")
    named = [_name(item) for item in (given if isinstance(given, list) else ())]
    found = list(dict.fromkeys(asked[name] for name in named if name in asked))
    if asked and not found:
        raise PoisonError("the answer names none of the facts")
    return found


def _name(item: Any) -> str:
    if isinstance(item, Mapping):
        item = item.get("id")
    return str(item).strip().casefold()
