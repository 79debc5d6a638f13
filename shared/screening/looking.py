"""Which parts of a text are suspicious, and why (pure). The patterns are `patterns.toml`.

What somebody says of themself or of others is none: "I tell my students to ignore the rules" is
about a teacher, "ignore the rules" is an order. So a pattern that a person may use in such a way is
passed over where its own sentence has somebody else as its subject. What is found is held for
review and never dropped: a doubt costs an operator a look, not the user a memory.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from shared.screening.necessary import folded, necessary_words
from shared.screening.plain import decoded, hides, readable
from shared.trust import Source

Suspicion = Literal[
    "order",
    "trigger",
    "role",
    "exfiltration",
    "link",
    "markup",
    "hidden",
]
_MOST_CHARACTERS = 32_768
_SENTENCE_ENDS = re.compile(r"[.!?…。！？](?=[\s\"'”’)]|$)|\n|;\s")
_CJK_ENDS = re.compile(r"[。！？]")


class Hit(NamedTuple):
    """A suspicious part: why, and the whole sentence it stands in, as it is read."""

    suspicion: Suspicion
    sentence: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One way to be suspicious.

    `near`: words of which every match has one. `said_of`: passed over where the sentence speaks of
    somebody before it; `for_self`: or where it asks something for the speaker; `from_others`:
    counts only in words that are not the user's.
    """

    suspicion: Suspicion
    when: re.Pattern[str]
    near: frozenset[str]
    said_of: bool
    for_self: bool
    from_others: bool

    def found(self, text: str, source: Source) -> Iterator[Hit]:
        if self.from_others and source in {"user", "operator"}:
            return
        for match in self.when.finditer(text):
            start, end = _sentence(text, match.start(), match.end())
            before, whole = text[start : match.start()], text[start:end]
            if self.said_of and _is_said_of_somebody(before):
                continue
            if self.for_self and _is_for_self(whole):
                continue
            yield Hit(self.suspicion, whole.strip())


def hits(text: str, source: Source = "user") -> list[Hit]:
    """The suspicious parts of a text in words of this source, each sentence once a reason."""
    cut = text[:_MOST_CHARACTERS]
    plain = readable(cut)
    found = list(_found(plain, source))
    if hides(cut):
        found.append(Hit("hidden", plain))
    if any(True for inner in decoded(cut) for _ in _found(inner, source)):
        found.append(Hit("hidden", plain))
    return list(dict.fromkeys(found))


def _found(text: str, source: Source) -> Iterator[Hit]:
    small = folded(text)
    for pattern in _patterns():
        if not pattern.near or any(word in small for word in pattern.near):
            yield from pattern.found(text, source)


def suspicions(text: str, source: Source = "user") -> list[Suspicion]:
    """Why a text is suspicious, in the order of their names; empty for most."""
    return sorted({hit.suspicion for hit in hits(text, source)})


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    begins = 0
    for stop in _SENTENCE_ENDS.finditer(text, 0, start):
        begins = stop.end()
    ends = _SENTENCE_ENDS.search(text, end)
    return begins, len(text) if ends is None else ends.end()


def _is_said_of_somebody(before: str) -> bool:
    """Whether what stands before in the sentence makes somebody who is no model its subject."""
    words = _words()
    clause = words["turns"].split(before)[-1]
    return bool(words["somebody"].search(clause)) and not words["addressed"].search(clause)


def _is_for_self(sentence: str) -> bool:
    words = _words()
    return bool(words["self"].search(sentence)) and not words["danger"].search(sentence)


# ---- the patterns


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("shared.screening").joinpath("patterns.toml").read_text("utf-8"))


@cache
def _patterns() -> Sequence[_Pattern]:
    return [_pattern(each) for each in _data()["pattern"]]


def _pattern(each: Mapping[str, Any]) -> _Pattern:
    when = _compiled(each["when"])
    return _Pattern(
        suspicion=each["suspicion"],
        when=when,
        near=necessary_words(when.pattern),
        said_of=each.get("said_of", False),
        for_self=each.get("for_self", False),
        from_others=each.get("from_others", False),
    )


@cache
def _words() -> dict[str, re.Pattern[str]]:
    return {name: _compiled(each) for name, each in _data()["words"].items()}


def _compiled(pattern: str) -> re.Pattern[str]:
    """Read a pattern; {NAME} stands for a list of words of the same file."""
    for name, words in _data()["list"].items():
        pattern = pattern.replace(f"{{{name}}}", f"(?:{words})")
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
