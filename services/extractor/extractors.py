"""The two ways to find facts in messages: a chat model, or rules. Both answer in one shape.

What they are given has been stripped of secrets and echoes (`echoes.py`); what they answer is
validated, whoever it comes from (`facts.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from shared.screening import suspicions

PROMPT = "extract.v2"
_CONTEXT_TURNS = 12


@dataclass(frozen=True, slots=True)
class Extraction:
    """The raw facts of one pass, the tokens they cost (input, output), what was lost already."""

    facts: list[Any]
    tokens: tuple[int, int] = (0, 0)
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Extraction) -> Extraction:
        tokens = (self.tokens[0] + other.tokens[0], self.tokens[1] + other.tokens[1])
        dropped = Counter(self.dropped) + Counter(other.dropped)
        return Extraction([*self.facts, *other.facts], tokens, dropped)


class Extractor(Protocol):
    provenance: Provenance
    paid: bool
    """Whether a pass costs money: then its answer is kept before anything is made of it."""

    def wait_seconds(self, payer: str) -> float:
        """How long nothing may be asked for this tenant; 0 where it may."""
        ...

    async def extract(
        self,
        messages: Sequence[ChatTurn],
        context: Sequence[ChatTurn],
        known: Sequence[KnownFact],
        *,
        payer: str,
    ) -> Extraction:
        """Find facts; `payer` is the tenant whose messages they are."""
        ...


class ByRules:
    """Patterns, without a model: no key, no cost, English first."""

    provenance = Provenance("rules", "rules", "rules.v1")
    paid = False

    def __init__(self) -> None:
        self._rules = RulesExtractor()

    def wait_seconds(self, payer: str) -> float:
        del payer
        return 0.0

    async def extract(
        self,
        messages: Sequence[ChatTurn],
        context: Sequence[ChatTurn],
        known: Sequence[KnownFact],
        *,
        payer: str,
    ) -> Extraction:
        del context, payer
        return Extraction(list(self._rules.extract(messages, known)))


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one call is about, and for whom."""

    messages: Sequence[ChatTurn]
    context: Sequence[ChatTurn]
    known: Sequence[KnownFact]
    payer: str


class ByModel:
    """A chat model and a versioned prompt."""

    paid = True

    def __init__(
        self,
        model: ChatModel,
        *,
        prompt: str = PROMPT,
        clock: Clock = utc_now,
        guards: bool = True,
    ) -> None:
        self.provenance = Provenance("llm", model.model, prompt)
        self._model = model
        self._clock = clock
        self._guards = guards
        folder = resources.files("services.extractor.prompts")
        self._system = folder.joinpath(f"{prompt}.md").read_text("utf-8")

    def wait_seconds(self, payer: str) -> float:
        return self._model.wait_seconds(payer)

    async def extract(
        self,
        messages: Sequence[ChatTurn],
        context: Sequence[ChatTurn],
        known: Sequence[KnownFact],
        *,
        payer: str,
    ) -> Extraction:
        """Ask once; a message that gives orders is asked about by itself.

        Whatever it talks a model into then touches its own facts alone.
        """
        harmless = [turn for turn in context if not self._orders(turn)]
        groups = list(_groups(messages, self._orders))
        found = [await self._in_parts(_Asking(group, harmless, known, payer)) for group in groups]
        if len(groups) > 1:
            found = [
                _its_own(each, group, messages) for each, group in zip(found, groups, strict=True)
            ]
        return sum(found[1:], start=found[0])

    def _orders(self, turn: ChatTurn) -> bool:
        """Whether a turn gives orders to whoever reads it."""
        if turn.role == "user" and injects(turn.content):
            return True
        return self._guards and bool(set(suspicions(turn.content)) - {"link"})

    async def _in_parts(self, asking: _Asking) -> Extraction:
        """Ask; where the answer is cut, ask about each half, and of one message take what is whole.

        Raises CutAnswerError when the answer to a single message holds nothing that is whole.
        """
        try:
            return _extraction(await self._ask(asking))
        except CutAnswerError as error:
            if len(asking.messages) == 1:
                if not error.complete.content:
                    raise
                return _extraction(error.complete) + Extraction([], dropped={"cut_off": 1})
            spent = Extraction([], (error.complete.input_tokens, error.complete.output_tokens))
        middle = len(asking.messages) // 2
        first, second = asking.messages[:middle], asking.messages[middle:]
        begun = spent + await self._in_parts(replace(asking, messages=first))
        around = [*asking.context, *first][-_CONTEXT_TURNS:]
        return begun + await self._in_parts(replace(asking, messages=second, context=around))

    async def _ask(self, asking: _Asking) -> Answer:
        document = {
            "task": "extract",
            "today": self._clock().date().isoformat(),
            "known": list(asking.known),
            "context": [_as_json(turn) for turn in asking.context],
            "messages": [_as_json(turn) for turn in asking.messages],
        }
        return await self._model.ask(self._system, document, ANSWER_SCHEMA, payer=asking.payer)


def _extraction(answer: Answer) -> Extraction:
    facts = answer.content.get("facts")
    tokens = (answer.input_tokens, answer.output_tokens)
    return Extraction(facts if isinstance(facts, list) else [], tokens)


def _groups(
    messages: Sequence[ChatTurn], orders: Callable[[ChatTurn], bool]
) -> Iterator[list[ChatTurn]]:
    """Part the messages into those that only say something, and each that gives orders."""
    ordering = [turn for turn in messages if orders(turn)]
    if harmless := [turn for turn in messages if turn not in ordering]:
        yield harmless
    for turn in ordering:
        yield [turn]


def _its_own(
    found: Extraction, group: Sequence[ChatTurn], messages: Sequence[ChatTurn]
) -> Extraction:
    """Without the facts that name a message which was asked about elsewhere."""
    others = {turn.id for turn in messages} - {turn.id for turn in group}
    own = [
        fact
        for fact in found.facts
        if not isinstance(fact, dict) or others.isdisjoint(source_ids(fact))
    ]
    lost = len(found.facts) - len(own)
    dropped = {**found.dropped, "unknown_source": lost} if lost else found.dropped
    return Extraction(own, found.tokens, dropped)


def _as_json(turn: ChatTurn) -> dict[str, str]:
    at = turn.at.isoformat().replace("+00:00", "Z")
    role = "tool" if turn.role == "document" else turn.role
    return {"id": turn.id, "role": role, "at": at, "content": turn.content}
