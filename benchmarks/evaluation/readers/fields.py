"""Takes values out of JSON documents; says which one is missing or of the wrong kind (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from benchmarks.evaluation.readers.errors import ShapeError

T = TypeVar("T")

_KINDS = {str: "text", list: "a list", dict: "an object", bool: "true or false"}
_FORMATS = ("%b %d, %Y, %H:%M:%S", "%I:%M %p on %d %B, %Y")


def take(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """The value of a field that must be there."""
    if name not in document:
        raise ShapeError(f"{name!r} is missing")
    value = document[name]
    if not isinstance(value, kind):
        raise ShapeError(f"{name!r} must be {_KINDS.get(kind, kind.__name__)}, not {value!r:.60}")
    return value


def objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects."""
    found = take(document, name, list)
    for index, each in enumerate(found):
        if not isinstance(each, dict):
            raise ShapeError(f"{name}[{index}] must be an object, not {each!r:.60}")
    return found


def moment(text: str) -> datetime:
    """ISO 8601, "Sep 04, 2025, 10:44:31" or "1:56 pm on 8 May, 2023"; UTC unless it says else."""
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ShapeError(f"{text!r:.60} is not a time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
