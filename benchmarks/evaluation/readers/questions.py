"""Questions of LoCoMo and HaluMem, and which told facts answer them (pure).

LoCoMo: one memory holds what both speakers say. A conversation is asked about twice: once with
every message as a fact of its own, once with the gold observations, where only evidence that an
observation covers counts. HaluMem: a question is asked at the end of its session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.evaluation.people import GoldFact, Person, Turn
from benchmarks.evaluation.quizzes import Question, Quiz
from benchmarks.evaluation.readers import halumem, locomo
from benchmarks.evaluation.readers.errors import ShapeError
from benchmarks.evaluation.readers.fields import moment, objects, take

VERBATIM, OBSERVED, POINTS = "every message a fact", "gold observations", "gold points as of then"
_KINDS = {1: "multi-hop", 2: "when", 3: "inference", 4: "single-hop", 5: "adversarial"}
_ADVERSARIAL = 5


def locomo_quizzes(document: Any) -> list[Quiz]:
    """Two quizzes of each conversation that has questions."""
    many = document if isinstance(document, list) else [document]
    return [quiz for each in many if each.get("qa") for quiz in _of_conversation(each)]


def _of_conversation(document: Mapping[str, Any]) -> Iterator[Quiz]:
    asked = objects(document, "qa")
    for mode, turns in (
        (VERBATIM, list(_turns(document, observed=False))),
        (OBSERVED, list(_turns(document, observed=True))),
    ):
        told = {
            turn_id: frozenset(fact.content for fact in turn.facts)
            for turn_id, turn in turns
            if turn.facts
        }
        person = Person("", tuple(turn for _, turn in turns), exact=True)
        questions = tuple(_locomo_question(each, told) for each in asked)
        yield Quiz(mode, person, questions, by_messages=mode == OBSERVED)


def _turns(document: Mapping[str, Any], *, observed: bool) -> Iterator[tuple[str, Turn]]:
    """Both speakers' turns by their id, all of them the user's own words."""
    people = locomo.read_conversations(document)
    speakers = [document["conversation"][name] for name in ("speaker_a", "speaker_b")]
    ids = locomo.turn_ids(document["conversation"])
    for place, turn_id in enumerate(ids):
        speaker, turn = _spoken(people, speakers, place)
        facts = turn.facts if observed else (GoldFact(f"{speaker}: {turn.content}"),)
        yield turn_id, replace(turn, speaker=speaker, facts=facts)


def _spoken(people: Sequence[Person], speakers: Sequence[str], place: int) -> tuple[str, Turn]:
    """Whose turn it is: to the one who says it, it is the user's."""
    for person, speaker in zip(people, speakers, strict=True):
        if person.turns[place].role == "user":
            return speaker, person.turns[place]
    raise ShapeError(f"turn {place} is neither speaker's")


def _locomo_question(document: Mapping[str, Any], told: Mapping[str, frozenset[str]]) -> Question:
    category = take(document, "category", int)
    named = dict.fromkeys(
        found
        for each in take(document, "evidence", list)
        for found in re.findall(r"D\d+:\d+", each)
    )
    evidence = tuple(told[turn_id] for turn_id in named if turn_id in told)
    kind = _KINDS.get(category, f"category {category}")
    text = take(document, "question", str)
    return Question(text, kind, evidence, answerable=category != _ADVERSARIAL)


def halumem_quiz(line: Mapping[str, Any]) -> Quiz | None:
    """The questions of one user; None where there are none."""
    questions = tuple(
        _halumem_question(each, moment(take(session, "end_time", str)))
        for session in objects(line, "sessions")
        for each in session.get("questions") or ()
    )
    return Quiz(POINTS, _of_points(line), questions) if questions else None


def _of_points(line: Mapping[str, Any]) -> Person:
    """The user with the data's own points and nothing that only updates or distortions name."""
    points = {
        take(point, "memory_content", str).strip()
        for session in objects(line, "sessions")
        for point in objects(session, "memory_points")
    }
    person = halumem.read_user(line)
    turns = (
        replace(turn, facts=tuple(f for f in turn.facts if f.content in points and not f.beside))
        for turn in person.turns
    )
    return replace(person, turns=tuple(turns))


def _halumem_question(document: Mapping[str, Any], at: Any) -> Question:
    evidence = dict.fromkeys(
        take(each, "memory_content", str).strip() for each in objects(document, "evidence")
    )
    return Question(
        take(document, "question", str),
        take(document, "question_type", str),
        tuple(frozenset({content}) for content in evidence),
        at,
        answerable=bool(evidence),
    )
