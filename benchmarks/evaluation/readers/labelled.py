"""Two formats of our own, one JSON object a line (pure).

Labelled chat: `{"content": …, "timestamp"?: …, "facts": [{"content"?, "slot"?, "value"?, …}]}`, a
message with the facts it says, none for `[]`. Pairs: `{"a": …, "b": …, "same"?: true}`; without
`same` the file's name tells: near_misses or paraphrases.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.evaluation.people import GoldFact, Pair, Turn
from benchmarks.evaluation.readers.errors import ShapeError
from benchmarks.evaluation.readers.fields import moment, objects, take

_BEGINNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def is_chat(document: Any) -> bool:
    return isinstance(document, dict) and {"content", "facts"} <= document.keys()


def is_pair(document: Any) -> bool:
    return isinstance(document, dict) and {"a", "b"} <= document.keys()


def chat_turn(number: int, document: Mapping[str, Any]) -> Turn:
    """A line of labelled chat; without a time it is said an hour after the one before."""
    said = document.get("timestamp")
    at = moment(str(said)) if said else _BEGINNING + timedelta(hours=number)
    content = take(document, "content", str)
    facts = tuple(_fact(fact) for fact in objects(document, "facts"))
    return Turn("s", "user", at, content, facts)


def _fact(fact: Mapping[str, Any]) -> GoldFact:
    if "slot" in fact and not isinstance(fact.get("value"), str):
        raise ShapeError(f"'value' must be text where there is a slot, not {fact.get('value')!r}")
    content = fact.get("content") or f"{fact.get('slot')}: {fact.get('value')}"
    if not fact.get("content") and "slot" not in fact:
        raise ShapeError("a fact needs 'content' or 'slot' and 'value'")
    fields = {key: value for key, value in fact.items() if key != "content"}
    return GoldFact(str(content), fields)


def pair(document: Mapping[str, Any], same: bool | None) -> Pair:
    """A line of pairs; `same` is what the file's name tells."""
    told = document.get("same", same)
    if not isinstance(told, bool):
        raise ShapeError("'same' must be true or false, or the file called paraphrases/near_misses")
    return Pair(take(document, "a", str), take(document, "b", str), told)
