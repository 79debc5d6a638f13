"""What may change between two versions of the streams' entries, as AsyncAPI's schemas say (pure).

Both versions run at once: each reads what the other writes. So fields are only added, what outsiders
had to send is all they have to send, and what they could send is still taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schemas = Mapping[str, Mapping[str, Any]]

TAKEN_IN = frozenset({"message"})
"""What outside programs write; everything else is written by us."""

_EXACT = ("type", "const", "pattern", "format", "contentMediaType", "default")


def broken(before: Schemas, now: Schemas) -> list[str]:
    """What a program that knows the schemas from before would stumble over; [] if nothing."""
    return [
        f"{name}: {problem}"
        for name, old in before.items()
        for problem in (_between(name, old, now[name]) if name in now else ["is gone"])
    ]


def _between(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    required, needed = set(old["required"]), set(new["required"])
    if name in TAKEN_IN:
        yield from (f"{field} has to be sent now" for field in sorted(needed - required))
    else:
        yield from (f"{field} need not be there now" for field in sorted(required - needed))
    for field, was in old["properties"].items():
        found = new["properties"].get(field)
        if found is None:
            yield f"{field} is gone"
        else:
            yield from (f"{field}: {problem}" for problem in _changed(was, found))


def _changed(was: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for rule in _EXACT:
        if was.get(rule) != found.get(rule):
            yield f"{rule} was {was.get(rule)!r}, is {found.get(rule)!r}"
    if found.get("minLength", 0) > was.get("minLength", 0):
        yield "has to be longer now"
    if found.get("maxLength", float("inf")) < was.get("maxLength", float("inf")):
        yield "has to be shorter now"
    if missing := set(was.get("enum", ())) - set(found.get("enum", was.get("enum", ()))):
        yield f"may not be {', '.join(sorted(missing))} now"
    if "enum" in found and "enum" not in was:
        yield "may not be anything now"
