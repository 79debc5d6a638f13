"""LoCoMo: conversations of two people, with gold observations by the turn that says them (pure).

Both are users of a memory of their own: what one says is the other's "assistant".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from benchmarks.evaluation.people import GoldFact, Person, Turn
from benchmarks.evaluation.readers.errors import ShapeError
from benchmarks.evaluation.readers.fields import moment, objects, take

_SESSION = re.compile(r"^session_(\d+)$")
_TURN_ID = re.compile(r"\bD\d+:\d+\b")


def is_locomo(document: Any) -> bool:
    found = document[0] if isinstance(document, list) and document else document
    return isinstance(found, dict) and "conversation" in found


def read_conversations(document: Any) -> list[Person]:
    """A file of one conversation, or a list of them."""
    many = document if isinstance(document, list) else [document]
    people: list[Person] = []
    for index, each in enumerate(many):
        try:
            people += _read(each)
        except ShapeError as error:
            raise ShapeError(f"conversation {index}: {error}") from None
    return people


def _read(document: Any) -> list[Person]:
    if not isinstance(document, dict):
        raise ShapeError("must be an object")
    conversation = take(document, "conversation", dict)
    speakers = [take(conversation, name, str) for name in ("speaker_a", "speaker_b")]
    observed = _observations(document)
    sessions = _sessions(conversation)
    return [
        Person(
            speaker,
            tuple(
                _turn(number, at, turn, speaker, observed)
                for number, at, turns in sessions
                for at, turn in _spaced(at, turns)
            ),
            exact=True,
        )
        for speaker in speakers
    ]


def turn_ids(conversation: Mapping[str, Any]) -> list[str]:
    """The turns' ids, in the order of every reader's turns."""
    return [take(turn, "dia_id", str) for _, _, turns in _sessions(conversation) for turn in turns]


def _sessions(
    conversation: Mapping[str, Any],
) -> list[tuple[int, datetime, list[dict[str, Any]]]]:
    numbers = sorted(int(match[1]) for name in conversation if (match := _SESSION.match(name)))
    if not numbers:
        raise ShapeError("has no 'session_1'")
    found = []
    for number in numbers:
        name = f"session_{number}"
        try:
            at = moment(take(conversation, f"{name}_date_time", str))
            found.append((number, at, objects(conversation, name)))
        except ShapeError as error:
            raise ShapeError(f"{name}: {error}") from None
    return found


def _spaced(at: datetime, turns: list[dict[str, Any]]) -> list[tuple[datetime, dict[str, Any]]]:
    """Only the session has a time: its turns follow each other by a second."""
    return [(at + timedelta(seconds=place), turn) for place, turn in enumerate(turns)]


def _turn(
    number: int,
    at: datetime,
    turn: Mapping[str, Any],
    user: str,
    observed: Mapping[tuple[str, str], list[str]],
) -> Turn:
    try:
        speaker, text = take(turn, "speaker", str), take(turn, "text", str)
        mine = observed.get((user, take(turn, "dia_id", str)), []) if speaker == user else []
    except ShapeError as error:
        raise ShapeError(f"session_{number}: {error}") from None
    facts = tuple(GoldFact(content) for content in mine)
    return Turn(f"s{number:03}", "user" if speaker == user else "assistant", at, text or "…", facts)


def _observations(document: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Contents by (speaker, turn); one that names several turns rests on the first."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for session, by_speaker in take(document, "observation", dict).items():
        if not isinstance(by_speaker, dict):
            raise ShapeError(f"{session}: must be an object of speakers")
        for speaker, observations in by_speaker.items():
            for each in observations:
                if not isinstance(each, list) or len(each) != 2 or not isinstance(each[0], str):
                    raise ShapeError(f"{session}: {each!r:.60} is not [text, turn id]")
                turn = _TURN_ID.search(str(each[1]))
                if turn and each[0].strip():
                    found[speaker, turn[0]].append(each[0].strip())
    return found
