"""HaluMem: one user a line, sessions with dialogue and gold `memory_points` (pure).

The data dates all points of a session by its end, so they rest on its last user turn. A fact that
an update replaces is often given only in `original_memories`; such a one is told at the end of the
session before its first update, which is the least that makes the update an update. Likewise the
true fact beside a distorted one is told where only `reference_memory_content` has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from benchmarks.evaluation.people import GoldFact, Person, Role, Turn
from benchmarks.evaluation.readers.errors import ShapeError
from benchmarks.evaluation.readers.fields import moment, objects, take

INTERFERENCE = "interference"


def is_halumem(document: Any) -> bool:
    return isinstance(document, dict) and "sessions" in document


def read_user(document: Mapping[str, Any]) -> Person:
    """One line of the file."""
    name = take(document, "uuid", str)
    sessions = objects(document, "sessions")
    points = [_in_session(index, _points, session) for index, session in enumerate(sessions)]
    told = _with_originals(points)
    turns: list[Turn] = []
    for index, session in enumerate(sessions):
        dialogue = _in_session(index, _dialogue, session)
        turns += _resting_on_last(dialogue, told[index], f"s{index:03}", index)
    return Person(name, tuple(turns), exact=False)


def _in_session(index: int, read: Any, session: Mapping[str, Any]) -> Any:
    try:
        return read(session)
    except ShapeError as error:
        raise ShapeError(f"sessions[{index}]: {error}") from None


def _points(session: Mapping[str, Any]) -> list[GoldFact]:
    return [_point(point) for point in objects(session, "memory_points")]


def _point(point: Mapping[str, Any]) -> GoldFact:
    replaced = point.get("original_memories") or []
    if not isinstance(replaced, list) or not all(isinstance(each, str) for each in replaced):
        raise ShapeError(f"'original_memories' must be a list of texts, not {replaced!r:.60}")
    distorts = None
    if point.get("memory_source") == INTERFERENCE:
        distorts = take(point, "reference_memory_content", str)
    content = take(point, "memory_content", str).strip()
    if not content:
        raise ShapeError("'memory_content' is empty")
    return GoldFact(content, {}, tuple(replaced), distorts)


def _with_originals(points: Sequence[Sequence[GoldFact]]) -> list[list[GoldFact]]:
    """Add what updates replace and nobody told; a link that nothing can precede is dropped."""
    told: list[list[GoldFact]] = [[] for _ in points]
    known: set[str] = set()
    for index, session in enumerate(points):
        for fact in session:
            for original in fact.replaces:
                if original not in known and index > 0:
                    told[index - 1].append(GoldFact(original))
                    known.add(original)
            replaces = tuple(
                each for each in fact.replaces if each in known and each != fact.content
            )
            told[index].append(replace(fact, replaces=replaces))
            if fact.distorts is None:
                known.add(fact.content)
        told[index] = [*_references(told[index], known), *told[index]]
    return told


def _references(session: Sequence[GoldFact], known: set[str]) -> list[GoldFact]:
    """What distorted facts of a session distort, where nobody told it."""
    wanted = dict.fromkeys(fact.distorts for fact in session if fact.distorts)
    return [GoldFact(each, beside=True) for each in wanted if each and each not in known]


def _dialogue(session: Mapping[str, Any]) -> list[tuple[Role, datetime, str]]:
    turns = []
    for index, turn in enumerate(objects(session, "dialogue")):
        try:
            at = moment(take(turn, "timestamp", str))
            turns.append((_role(turn), at, take(turn, "content", str)))
        except ShapeError as error:
            raise ShapeError(f"dialogue[{index}]: {error}") from None
    return turns


def _role(turn: Mapping[str, Any]) -> Role:
    role = take(turn, "role", str)
    if role == "user":
        return "user"
    if role == "assistant":
        return "assistant"
    raise ShapeError(f"'role' must be user or assistant, not {role!r:.60}")


def _resting_on_last(
    dialogue: Sequence[tuple[Role, datetime, str]], facts: Sequence[GoldFact], name: str, index: int
) -> list[Turn]:
    spoken = [place for place, (role, _, _) in enumerate(dialogue) if role == "user"]
    if facts and not spoken:
        raise ShapeError(f"sessions[{index}]: has memory points and no turn of the user")
    return [
        Turn(name, role, at, content, tuple(facts) if spoken and place == spoken[-1] else ())
        for place, (role, at, content) in enumerate(dialogue)
        if content.strip()
    ]
