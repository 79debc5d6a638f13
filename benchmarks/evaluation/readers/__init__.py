"""Finds and reads data files, whichever of the formats they are in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.evaluation.people import Pair, Person
from benchmarks.evaluation.quizzes import Quiz
from benchmarks.evaluation.readers import halumem, labelled, languages, locomo, questions
from benchmarks.evaluation.readers.errors import DataError, ShapeError

T = TypeVar("T")

FORMATS = (
    "HaluMem (.jsonl), LoCoMo (.json), labelled chat (.jsonl), pairs (.jsonl), "
    "facts with questions (.jsonl)"
)
_SUFFIXES = (".json", ".jsonl")
_NOT_IN_IDS = re.compile(r"[^\w.-]", re.ASCII)
_LONGEST_NAME = 60
_BY_NAME = {"near_misses": False, "paraphrases": True}


@dataclass(slots=True)
class Data:
    """What files hold: people, questions, and pairs by file.

    `read` and `skipped` name the files.
    """

    people: list[Person] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    quizzes: list[Quiz] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)

    def groups(self) -> dict[str, list[Person]]:
        """People by the data set they come from."""
        found: dict[str, list[Person]] = {}
        for person in self.people:
            found.setdefault(person.group, []).append(person)
        return found

    def add(self, other: Data) -> None:
        self.people += other.people
        self.pairs |= other.pairs
        self.quizzes += other.quizzes
        self.read += other.read
        self.skipped += other.skipped


def load(path: Path) -> Data:
    """Read a file, or every file of a folder whose format is known; raises DataError."""
    data = Data()
    if path.is_dir():
        for file in sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES):
            (data.read if _add(data, file) else data.skipped).append(file)
        if not data.read:
            raise DataError(path, "", f"holds no file of a known format: {FORMATS}")
        return data
    if not path.is_file():
        raise DataError(path, "", "is not there")
    if not _add(data, path):
        raise DataError(path, "", f"is in none of the known formats: {FORMATS}")
    data.read.append(path)
    return data


def _add(data: Data, path: Path) -> bool:
    """Read a file into `data`; False for a format nobody knows."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, "", f"cannot be read: {error}") from None
    return (
        _add_document(data, path, text) if path.suffix == ".json" else _add_lines(data, path, text)
    )


def _add_document(data: Data, path: Path, text: str) -> bool:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(path, f"line {error.lineno}", f"not JSON: {error.msg}") from None
    if not locomo.is_locomo(document):
        return False
    try:
        people = locomo.read_conversations(document)
        quizzes = questions.locomo_quizzes(document)
    except ShapeError as error:
        raise DataError(path, "", str(error)) from None
    data.people += _grouped(path, people)
    data.quizzes += _named(path, quizzes)
    return True


def _named(path: Path, quizzes: list[Quiz]) -> list[Quiz]:
    """Name each quiz's person after its file and place in it."""
    people = _grouped(path, [quiz.person for quiz in quizzes])
    return [
        replace(quiz, person=replace(person, name=f"{person.name}-quiz"))
        for quiz, person in zip(quizzes, people, strict=True)
    ]


def _grouped(path: Path, people: list[Person]) -> list[Person]:
    """Name people after their file, so that no two of a run share a name or break an id's rules."""
    group = _NOT_IN_IDS.sub("-", path.name)[-_LONGEST_NAME:]
    return [
        replace(person, name=f"{group}-{index}", group=group) for index, person in enumerate(people)
    ]


def _add_lines(data: Data, path: Path, text: str) -> bool:
    lines = list(_lines(path, text))
    if not lines:
        raise DataError(path, "", "is empty")
    first = lines[0][1]
    if halumem.is_halumem(first):
        users = _each(path, lines, lambda _, line: halumem.read_user(line))
        data.people += _grouped(path, users)
        asked = _each(path, lines, lambda _, line: questions.halumem_quiz(line))
        data.quizzes += _named(path, [quiz for quiz in asked if quiz is not None])
    elif labelled.is_chat(first):
        turns = _each(path, lines, labelled.chat_turn)
        data.people += _grouped(path, [Person("", tuple(turns), exact=True)])
    elif labelled.is_pair(first):
        same = next((told for name, told in _BY_NAME.items() if name in path.stem), None)
        data.pairs[str(path)] = _each(path, lines, lambda _, line: labelled.pair(line, same))
    elif languages.is_asked(first):
        told = _each(path, lines, languages.asked_line)
        data.quizzes += _named(path, [languages.quiz(told)])
    else:
        return False
    return True


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(path, f"line {number}", f"not JSON: {error.msg}") from None


def _each(path: Path, lines: list[tuple[int, Any]], read: Callable[[int, Any], T]) -> list[T]:
    found = []
    for number, line in lines:
        try:
            found.append(read(number, _object(line)))
        except ShapeError as error:
            raise DataError(path, f"line {number}", str(error)) from None
    return found


def _object(line: Any) -> Any:
    if not isinstance(line, dict):
        raise ShapeError("must be an object")
    return line
