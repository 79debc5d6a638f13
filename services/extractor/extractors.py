"""The two ways to find facts in messages: a chat model, or rules. Both answer in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

from services.extractor.rules import RulesExtractor
from services.extractor.store import Provenance
from services.extractor.turns import ChatTurn, KnownFact
from shared.clock import Clock, utc_now
from shared.llm import ChatModel

PROMPT = "extract.v1"

_FACT_SCHEMA = {
    "type": "object",
    "properties": {
        "content": {"type": "string"},
        "category": {"type": "string"},
        "subject": {"type": "string"},
        "slot": {"type": ["string", "null"]},
        "value": {"type": ["string", "null"]},
        "cardinality": {"type": ["string", "null"], "enum": ["one", "many", None]},
        "claim": {"type": "string", "enum": ["holds", "ends", "denies"]},
        "temporal_state": {"type": "string", "enum": ["current", "past", "future", "recurring"]},
        "confidence": {"type": "number"},
        "source_message_ids": {"type": "array", "items": {"type": "string"}},
        "quote": {"type": ["string", "null"]},
        "occurred_at": {"type": ["string", "null"]},
        "ended_at": {"type": ["string", "null"]},
    },
    "required": ["content", "source_message_ids"],
}
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"facts": {"type": "array", "items": _FACT_SCHEMA}},
    "required": ["facts"],
}


@dataclass(frozen=True, slots=True)
class Extraction:
    """The raw facts of one pass, and the tokens they cost (input, output)."""

    facts: list[Any]
    tokens: tuple[int, int] = (0, 0)


class Extractor(Protocol):
    provenance: Provenance
    paid: bool
    """Whether a pass costs money: then its answer is kept before anything is made of it."""

    async def extract(
        self, messages: Sequence[ChatTurn], context: Sequence[ChatTurn], known: Sequence[KnownFact]
    ) -> Extraction: ...


class ByRules:
    """Patterns, without a model: no key, no cost, English first."""

    provenance = Provenance("rules", "rules", "rules.v1")
    paid = False

    def __init__(self) -> None:
        self._rules = RulesExtractor()

    async def extract(
        self, messages: Sequence[ChatTurn], context: Sequence[ChatTurn], known: Sequence[KnownFact]
    ) -> Extraction:
        del context
        return Extraction(list(self._rules.extract(messages, known)))


class ByModel:
    """A chat model and a versioned prompt."""

    paid = True

    def __init__(self, model: ChatModel, *, prompt: str = PROMPT, clock: Clock = utc_now) -> None:
        self.provenance = Provenance("llm", model.model, prompt)
        self._model = model
        self._clock = clock
        folder = resources.files("services.extractor.prompts")
        self._system = folder.joinpath(f"{prompt}.md").read_text("utf-8")

    async def extract(
        self, messages: Sequence[ChatTurn], context: Sequence[ChatTurn], known: Sequence[KnownFact]
    ) -> Extraction:
        document = {
            "task": "extract",
            "today": self._clock().date().isoformat(),
            "known": list(known),
            "context": [_as_json(turn) for turn in context],
            "messages": [_as_json(turn) for turn in messages],
        }
        answer = await self._model.ask(self._system, document, ANSWER_SCHEMA)
        facts = answer.content.get("facts")
        tokens = (answer.input_tokens, answer.output_tokens)
        return Extraction(facts if isinstance(facts, list) else [], tokens)


def _as_json(turn: ChatTurn) -> dict[str, str]:
    at = turn.at.isoformat().replace("+00:00", "Z")
    return {"id": turn.id, "role": turn.role, "at": at, "content": turn.content}
