"""From what a chat model wrote to the JSON object that was asked for (pure).

Reads past code fences, reasoning and prose, and puts right what models get wrong about JSON: a bare
list, one item a line, trailing commas, NaN, Python's words, raw line breaks. Of an answer that a
token limit cut it keeps the items that are complete. The effort is bounded, whatever the answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import PoisonError

_MAX_VALUES = 200
_MAX_TIDIED = 2
_REASONING_ENDS = re.compile(
    r"</(?:think|thinking|thought|reasoning|analysis|scratchpad)>|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_OPENS = re.compile(r"[{\[]")
_STRING = (
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'  # to the end where it is not closed: once, not often
)
_SLIPS = re.compile(  # a string is kept whatever it holds; outside of strings these are slips
    rf"({_STRING})|,(?=\s*[}}\]])|\b(True|False|None|undefined)\b|//[^\n]*", re.DOTALL
)
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_WRITTEN = re.compile(r'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])[^"\\]*+)*+')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL holds neither NUL nor half a character


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for: an object whose `wanted` lists items that have some of `properties`."""

    wanted: str | None
    properties: frozenset[str]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> Shape:
        """Read it from a JSON schema: the first property that is an array, if one is."""
        for name, property_ in schema.get("properties", {}).items():
            if property_.get("type") == "array":
                items = property_.get("items", {})
                return cls(name, frozenset(items.get("properties", {})))
        return cls(None, frozenset())

    def is_item(self, value: Any) -> bool:
        return isinstance(value, dict) and len(self.properties.intersection(value)) > 1


def read_object(text: str, shape: Shape, *, cut: bool = False) -> dict[str, Any]:
    """Find the answer; raises PoisonError where there is none.

    Of several the last counts, since models think aloud first. A bare list, or items one after
    another, are taken for what the object should have held. What was cut may have been complete:
    some models go on with blanks for ever.
    """
    if cut and text.rstrip(" \t\r\n`")[-1:] not in {"}", "]"}:
        raise PoisonError("the answer was cut")
    values, whole = _values(_answer_part(text))
    if cut and not whole:
        raise PoisonError("the answer was cut")
    objects = [value for value in values if isinstance(value, dict)]
    if shape.wanted is None:
        if objects:
            return objects[-1]
        raise PoisonError("the answer holds no JSON object")
    for value in reversed(values):
        if (answer := _as_asked(value, shape)) is not None:
            return answer
    if whole and objects and all(shape.is_item(each) for each in objects):
        return {shape.wanted: objects}
    if not values:
        raise PoisonError("the answer holds no JSON object")
    raise PoisonError(f"the answer's JSON has no list of {shape.wanted}")


def complete_items(text: str, shape: Shape) -> list[Any]:
    """The items that were written to their end before the answer was cut."""
    part = _answer_part(text)
    names = list(re.finditer(rf'"{re.escape(shape.wanted or "")}"\s*:\s*\[', part))
    opening = names[-1].end() if names else part.find("[") + 1
    if not opening or shape.wanted is None:
        return []
    tidy, position, items = _tidied(part[opening:]), 0, []
    while (start := tidy.find("{", position)) != -1 and not tidy[position:start].strip(" \t\r\n,"):
        try:
            item, position = _DECODER.raw_decode(tidy, start)
        except (ValueError, RecursionError):
            break
        items.append(_storable(item))
    return items


def _as_asked(value: Any, shape: Shape) -> dict[str, Any] | None:
    assert shape.wanted is not None
    if isinstance(value, list):
        named = bool(value) and all(shape.is_item(each) for each in value)
        return {shape.wanted: value} if named else None
    if value == {}:
        return {shape.wanted: []}
    if shape.wanted not in value:
        inner = next(iter(value.values())) if len(value) == 1 else None
        found = isinstance(inner, dict) and shape.wanted in inner
        return _as_asked(inner, shape) if found else None
    items = value[shape.wanted]
    listed = items if isinstance(items, list) else [items] if shape.is_item(items) else []
    return {**value, shape.wanted: listed}


def _answer_part(text: str) -> str:
    """What follows the reasoning, unless nothing does."""
    ends = [match.end() for match in _REASONING_ENDS.finditer(text)]
    return text[ends[-1] :] if ends and text[ends[-1] :].strip() else text


def _values(text: str) -> tuple[list[Any], bool]:
    """Decode the outermost objects and lists; tell whether nothing that opened was left over."""
    values, position, left_over = [], 0, 0
    for _ in range(_MAX_VALUES):
        opening = _OPENS.search(text, position)
        if opening is None:
            break
        start = opening.start()
        found = _decoded(text, start) or (
            _decoded(_tidied(text[start:]), 0) if left_over < _MAX_TIDIED else None
        )
        if found is None:
            left_over += 1
            position = start + 1
        else:
            value, length = found
            values.append(_storable(value))
            position = start + length
    if values == [[]] and not left_over:
        values = [{}]
    return values, not left_over


def _decoded(text: str, start: int) -> tuple[Any, int] | None:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value, end - start


def _tidied(text: str) -> str:
    return _SLIPS.sub(lambda slip: slip[1] or _WORDS.get(slip[2] or "", ""), text)


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_float=_finite)


def _storable(value: Any) -> Any:
    """Without what PostgreSQL cannot hold."""
    match value:
        case str():
            return _UNSTORABLE.sub("", value)
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_UNSTORABLE.sub("", key): _storable(item) for key, item in value.items()}
    return value


def text_of_cut_body(body: str) -> str:
    """What a completion's body says as far as it was read: its `content`, to where it ends."""
    opening = re.search(r'"content"\s*:\s*"', body)
    written = _WRITTEN.match(body, opening.end()) if opening else None
    return str(_DECODER.decode(f'"{written[0]}"')) if written else ""
