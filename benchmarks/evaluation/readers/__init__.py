"""Finds and reads data files, whichever of the formats they are in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.evaluation.people import Pair, Person
from benchmarks.evaluation.readers import halumem, labelled, locomo
from benchmarks.evaluation.readers.errors import DataError, ShapeError

T = TypeVar("T")

FORMATS = "HaluMem (.jsonl), LoCoMo (.json), labelled chat (.jsonl), pairs (.jsonl)"
_SUFFIXES = (".json", ".jsonl")
_BY_NAME = {"near_misses": False, "paraphrases": True}


@dataclass(slots=True)
class Data:
    """What files hold: people, and pairs by the file they stand in. `read`, `skipped`: the files."""

    people: list[Person] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    read: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)

    def add(self, other: Data) -> None:
        self.people += other.people
        self.pairs |= other.pairs
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
        data.people += locomo.read_conversations(document)
    except ShapeError as error:
        raise DataError(path, "", str(error)) from None
    return True


def _add_lines(data: Data, path: Path, text: str) -> bool:
    lines = list(_lines(path, text))
    if not lines:
        raise DataError(path, "", "is empty")
    first = lines[0][1]
    if halumem.is_halumem(first):
        data.people += _each(path, lines, lambda _, line: halumem.read_user(line))
    elif labelled.is_chat(first):
        data.people.append(labelled.chat(path.stem, _each(path, lines, labelled.chat_turn)))
    elif labelled.is_pair(first):
        same = next((told for name, told in _BY_NAME.items() if name in path.stem), None)
        data.pairs[str(path)] = _each(path, lines, lambda _, line: labelled.pair(line, same))
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
            if not isinstance(line, dict):
                raise ShapeError("must be an object")
            found.append(read(number, line))
        except ShapeError as error:
            raise DataError(path, f"line {number}", str(error)) from None
    return found
