"""Whose words a fact rests on, and how far they are trusted (pure).

The role of a message says who spoke; a label `source` in its metadata can only lower that: a
user's turn that hands over a document is the document's word, and no label makes a tool a user.
Only the user's words make first-person facts; what others say of the user waits for review.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, get_args

Source = Literal["user", "operator", "assistant", "tool", "document"]

SOURCES: tuple[Source, ...] = get_args(Source)
"""In the order of trust, the most trusted first."""

LABEL = "source"
"""The label of a message or stated fact that says where its words are from."""

TRUST: Mapping[Source, float] = {
    "user": 1.0,
    "operator": 1.0,
    "assistant": 0.6,
    "tool": 0.4,
    "document": 0.3,
}
_OF_ROLE: Mapping[str, Source] = {
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "system": "operator",
}


def source_of(role: str, metadata: Mapping[str, Any] | None) -> Source:
    """Whose words a message has: its role's, or less trusted ones that its label names."""
    return least([_OF_ROLE[role], *_labelled(metadata)])


def stated_source(metadata: Mapping[str, Any] | None, by: Source = "operator") -> Source:
    """Whose words a fact has that was stated `by` somebody: theirs, unless a label says whose."""
    return next(iter(_labelled(metadata)), by)


def least(sources: Iterable[Source]) -> Source:
    """The least trusted of some: what rests on several is worth no more than its weakest."""
    return max(sources, key=SOURCES.index)


def speaks_for_user(source: Source) -> bool:
    """Whether first-person facts may rest on these words alone."""
    return source in {"user", "operator"}


def _labelled(metadata: Mapping[str, Any] | None) -> list[Source]:
    said = metadata.get(LABEL) if metadata else None
    return [cast("Source", said)] if said in SOURCES else []
