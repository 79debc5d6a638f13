"""Facts about one person in several languages, and a question or more to each (pure).

One JSON object a line: `{"fact": "Vive en Sevilla", "in": "es", "asked": {"es": "¿Dónde vive?",
"en": "Where does she live?"}}`. The fact of its own line is what answers a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.evaluation.people import GoldFact, Person, Turn
from benchmarks.evaluation.quizzes import Question, Quiz
from benchmarks.evaluation.readers.errors import ShapeError
from benchmarks.evaluation.readers.fields import take

LANGUAGES = "facts in several languages"
_BEGINNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

Line = tuple[Turn, tuple[Question, ...]]


def is_asked(document: Any) -> bool:
    return isinstance(document, dict) and {"fact", "asked"} <= document.keys()


def asked_line(number: int, document: Mapping[str, Any]) -> Line:
    """What a line tells, a day after the one before, and what it asks."""
    fact, language = take(document, "fact", str), take(document, "in", str)
    asked = take(document, "asked", dict)
    if not fact.strip() or not all(isinstance(text, str) and text for text in asked.values()):
        raise ShapeError("'fact' and every question must be text")
    turn = Turn("s", "user", _BEGINNING - timedelta(days=number), fact, (GoldFact(fact),))
    questions = tuple(
        Question(
            text,
            "in its language" if asking == language else "in another language",
            (frozenset({fact}),),
        )
        for asking, text in asked.items()
    )
    return turn, questions


def quiz(lines: Sequence[Line]) -> Quiz:
    turns = tuple(turn for turn, _ in reversed(lines))
    return Quiz(LANGUAGES, Person("", turns, exact=True), sum((asked for _, asked in lines), ()))
