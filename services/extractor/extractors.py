"""The two ways to find facts in messages: a chat model, or rules. Both answer in one shape.

What they are given has been stripped of secrets and echoes (`echoes.py`); what they answer is
validated, whoever it comes from (`facts.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Protocol

from services.extractor.answer_schema import ANSWER_SCHEMA
from services.extractor.evidence import injects
from services.extractor.leniency import source_ids
from services.extractor.rules import RulesExtractor
from services.extractor.store import Provenance
from services.extractor.turns import ChatTurn, KnownFact
from shared.clock import Clock, utc_now
from shared.llm import Answer, ChatModel, CutAnswerError

PROMPT = "extract.v2"


@dataclass(frozen=True, slots=True)
class Extraction:
    """The raw facts of one pass, the tokens they cost (input, output), what was lost already."""

    facts: list[Any]
    tokens: tuple[int, int] = (0, 0)
    dropped: Mapping[str, int] = field(default_factory=dict)


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
        """Ask once; a message that gives orders is asked about by itself.

        Whatever it talks a model into then touches its own facts alone.
        """
        harmless = [turn for turn in context if not (turn.role == "user" and injects(turn.content))]
        facts: list[Any] = []
        tokens, dropped = [0, 0], Counter[str]()
        groups = list(_groups(messages))
        for group in groups:
            answer, lost = await self._ask(group, harmless, known)
            tokens = [tokens[0] + answer.input_tokens, tokens[1] + answer.output_tokens]
            dropped.update(lost)
            for fact in answer.content.get("facts") or []:
                if len(groups) > 1 and _names_another(fact, group, messages):
                    dropped["unknown_source"] += 1
                else:
                    facts.append(fact)
        return Extraction(facts, (tokens[0], tokens[1]), dropped)

    async def _ask(
        self, messages: Sequence[ChatTurn], context: Sequence[ChatTurn], known: Sequence[KnownFact]
    ) -> tuple[Answer, dict[str, int]]:
        """Of one message's cut answer take what is complete; of several's let less be asked."""
        document = {
            "task": "extract",
            "today": self._clock().date().isoformat(),
            "known": list(known),
            "context": [_as_json(turn) for turn in context],
            "messages": [_as_json(turn) for turn in messages],
        }
        try:
            return await self._model.ask(self._system, document, ANSWER_SCHEMA), {}
        except CutAnswerError as error:
            if len(messages) > 1 or not error.complete.content:
                raise
            return error.complete, {"cut_off": 1}


def _groups(messages: Sequence[ChatTurn]) -> Iterator[list[ChatTurn]]:
    """Part the messages into those that only say something, and each that gives orders."""
    if harmless := [turn for turn in messages if not injects(turn.content)]:
        yield harmless
    for turn in messages:
        if injects(turn.content):
            yield [turn]


def _names_another(fact: Any, group: Sequence[ChatTurn], messages: Sequence[ChatTurn]) -> bool:
    """Whether a fact names a message that was not sent with its own."""
    others = {turn.id for turn in messages} - {turn.id for turn in group}
    return isinstance(fact, dict) and not others.isdisjoint(source_ids(fact))


def _as_json(turn: ChatTurn) -> dict[str, str]:
    at = turn.at.isoformat().replace("+00:00", "Z")
    return {"id": turn.id, "role": turn.role, "at": at, "content": turn.content}
