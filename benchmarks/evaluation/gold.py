"""What a perfect model would answer, taken from gold facts (pure): the contract of DESIGN §4.

A `Script` holds the facts of one data set and its update links. Extraction finds messages by their
text and time: their ids are the memory's own. The oracle judge knows what the data says and nothing
else: what is neither linked nor equal is independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from benchmarks.evaluation.people import GoldFact, Pair, Person

Key = tuple[str, datetime]


@dataclass(slots=True)
class Script:
    """Facts by the message that says them, links (new, old), and sentences that say the same."""

    facts: dict[Key, list[GoldFact]] = field(default_factory=dict)
    links: set[tuple[str, str]] = field(default_factory=set)
    same: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, people: Iterable[Person]) -> Script:
        script = cls()
        for person in people:
            for turn, fact in person.facts():
                script.tell(turn.content, turn.at, fact)
        return script

    def tell(self, message: str, at: datetime, fact: GoldFact) -> None:
        """Rest a fact on a message."""
        self.facts.setdefault((message, at), []).append(fact)
        self.links |= {(fact.content, old) for old in fact.replaces}

    def answer(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request; raises KeyError for a task nobody knows."""
        return _TASKS[document["task"]](self, document)

    def extract(self, document: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            {"content": fact.content, **fact.fields, "source_message_ids": [message["id"]]}
            for message in document["messages"]
            for fact in self.facts.get(_key(message), ())
        ]
        return {"facts": found}

    def judge_pairs(self, document: Mapping[str, Any]) -> dict[str, Any]:
        verdicts = [
            {"id": pair["id"], "verdict": self._verdict(pair), "reason": "gold"}
            for pair in document["pairs"]
        ]
        return {"verdicts": verdicts}

    def _verdict(self, pair: Mapping[str, Any]) -> str:
        new, old = pair["new"]["content"], pair["old"]["content"]
        if (new, old) in self.links:
            return "supersedes"
        return "duplicate" if new == old or (new, old) in self.same else "independent"

    def equate(self, pairs: Iterable[Pair]) -> None:
        """Learn which pairs say the same, whichever way round."""
        for pair in pairs:
            if pair.same:
                self.same |= {(pair.a, pair.b), (pair.b, pair.a)}


def _nothing(script: Script, document: Mapping[str, Any]) -> dict[str, Any]:
    del script, document
    return {}


_TASKS = {
    "extract": Script.extract,
    "judge": Script.judge_pairs,
    "essential": _nothing,
    "profile": _nothing,
}


def _key(message: Mapping[str, Any]) -> Key:
    return message["content"], datetime.fromisoformat(message["at"])


@dataclass(slots=True)
class Asked:
    """What the model was asked: calls, and bytes in and out, by task; and which pairs."""

    calls: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    pairs: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    def note(self, document: Mapping[str, Any], received: int, answered: int) -> None:
        task = document["task"]
        self.calls[task] = self.calls.get(task, 0) + 1
        self.received[task] = self.received.get(task, 0) + received
        self.answered[task] = self.answered.get(task, 0) + answered
        for pair in document.get("pairs", ()):
            sides = (pair["new"], pair["old"])
            self.pairs.add(frozenset((side["content"], side["at"]) for side in sides))

    def tokens(self, task: str) -> int:
        """About how many tokens went in and out, at 4 bytes each."""
        return (self.received.get(task, 0) + self.answered.get(task, 0)) // 4
