"""What a model is told for a profile, and what of its answer is believed (pure).

Each line is judged on its own: it names the facts it rests on, and every name, number and negation
in it, and most of its other words, must stand in those. What does not pass is dropped; a line that
is dropped costs a sentence, a line that is made up would be told to every application.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.maintenance.profile import MOST_CHARACTERS, KnownFact, Profile, best_first

_MOST_FACTS = 150
_LINE_CHARACTERS = 300
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NEGATIONS = frozenset({"no", "not", "never", "none", "without", "nobody", "nothing", "cannot"})
_STEM = 4  # characters by which two forms of a word are taken for the same
_SUPPORTED = 0.5  # of a line's content words, more than so many must stand in its facts
_SMALL = frozenset(
    _WORD.findall(
        "a an and are as at but by for from has have he her his in is it its of on or she that the "
        "their them they this to was were who with"
    )
)
"""Words that say nothing of their own."""

ANSWER_SCHEMA = {
    "type": "object",
    "properties": {
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "fact_ids": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["text", "fact_ids"],
            },
        }
    },
    "required": ["lines"],
}


def question(facts: Sequence[KnownFact]) -> dict[str, Any]:
    """The document a model is sent: facts f1, f2, …, the best attested first."""
    return {
        "task": "profile",
        "facts": [
            {
                "id": name,
                "content": fact.content,
                "category": fact.category,
                "evidence": fact.evidence_count,
            }
            for name, fact in _named(facts).items()
        ],
    }


def fingerprint(facts: Sequence[KnownFact], by: str) -> bytes:
    """What tells whether a model was asked the very same before."""
    shown = json.dumps([by, question(facts)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(shown.encode()).digest()


def read_answer(answer: Mapping[str, Any], facts: Sequence[KnownFact]) -> Profile | None:
    """Read the lines that rest on what they name; None when there are none."""
    named = _named(facts)
    lines: list[str] = []
    rests_on: dict[Any, None] = {}
    room = MOST_CHARACTERS
    for text, cited in _cited(answer, named):
        if text in lines or len(text) + 1 > room or not rests(text, cited):
            continue
        lines.append(text)
        room -= len(text) + 1
        rests_on.update(dict.fromkeys(fact.id for fact in cited))
    return Profile("\n".join(lines), tuple(rests_on)) if lines else None


def rests(text: str, cited: Sequence[KnownFact]) -> bool:
    """Whether a line says no more than these facts, as far as its words tell."""
    said = {word.casefold() for fact in cited for word in _WORD.findall(_wording(fact))}
    stems = {word[:_STEM] for word in said}
    words = _WORD.findall(text)
    for place, word in enumerate(words):
        named = place > 0 and word[0].isupper()
        if (named or any(c.isdigit() for c in word)) and word.casefold() not in said:
            return False
    if _denials(words) != _denials(said):
        return False
    content = {word.casefold() for word in words} - _SMALL
    supported = sum(word[:_STEM] in stems for word in content)
    return supported > _SUPPORTED * len(content)


def _denials(words: Sequence[str] | set[str]) -> bool:
    lower = {word.casefold() for word in words}
    return bool(lower & _NEGATIONS) or any(word.endswith("n't") for word in lower)


def _wording(fact: KnownFact) -> str:
    return f"{fact.content} {fact.value or ''}"


def _named(facts: Sequence[KnownFact]) -> dict[str, KnownFact]:
    best = sorted(facts, key=best_first)[:_MOST_FACTS]
    return {f"f{number}": fact for number, fact in enumerate(best, start=1)}


def _cited(
    answer: Mapping[str, Any], named: Mapping[str, KnownFact]
) -> Iterator[tuple[str, list[KnownFact]]]:
    """Yield each line with its facts; what names none, or an unknown one, is passed over."""
    lines = answer.get("lines")
    for line in lines if isinstance(lines, list) else []:
        text, ids = (
            (line.get("text"), line.get("fact_ids")) if isinstance(line, Mapping) else ("", [])
        )
        if not isinstance(text, str) or not isinstance(ids, list) or not ids:
            continue
        plain = " ".join(text.replace("\x00", "").split())
        if 0 < len(plain) <= _LINE_CHARACTERS and all(str(i) in named for i in ids):
            yield plain, [named[str(i)] for i in ids]
