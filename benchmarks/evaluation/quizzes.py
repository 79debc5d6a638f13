"""Questions about a person, and what should be found for each (pure).

An answer is right by the words of what was told, so a question does not know how it was told. Each
piece of evidence may stand in several facts: any one of them finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from benchmarks.evaluation.people import Person


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; `evidence` is empty where nothing told answers it.

    `at`: the moment whose truth is asked for, None for all that was told.
    """

    text: str
    kind: str
    evidence: tuple[frozenset[str], ...]
    at: datetime | None = None
    answerable: bool = True


@dataclass(frozen=True, slots=True)
class Quiz:
    """Questions to one person's memory; `mode` says how the person is told."""

    mode: str
    person: Person
    questions: tuple[Question, ...]
    by_messages: bool = False
    """Whether the conversation is sent and facts are extracted; else they are stated."""

    def in_the_past(self, now: datetime) -> Self:
        """The same, moved back by whole days where any of it would be said after now."""
        moved = self.person.in_the_past(now)
        if moved == self.person:
            return self
        back = self.person.turns[0].at - moved.turns[0].at
        questions = tuple(
            replace(question, at=question.at - back if question.at else None)
            for question in self.questions
        )
        return replace(self, person=moved, questions=questions)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what came back, best first, and how sure the memory was of it."""

    question: Question
    contents: tuple[frozenset[str], ...]
    """Of each result, every wording that it stands for."""
    best_score: float = 0.0
    milliseconds: float = 0.0
