"""A message as evidence: which of its parts assert something, and which do not (pure).

Questions, suppositions, others' words, texts handed over and denials are found once a message,
however many facts rest on it. The words are `junk.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib.resources import files
from itertools import islice
from typing import Any, Literal, NamedTuple

from services.extractor.grounding import folded
from services.extractor.reported import reported_spans

Reason = Literal["question", "hypothetical", "quotation", "request"]

_SENTENCE = re.compile(r"[^.!?…;\n]+(?:[.!?…]+[\"'”’)]*|[;\n]|$)|[.!?…;\n]+")
_WOULD = re.compile(r"\b(?:would|I'd|we'd|could)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STEM = 5
_LONGEST_CLAUSE = 300
_MAX_PARTS = 200  # of a kind, in one message: nobody asks more questions
_COMMON = frozenset({
    "the", "and", "for", "are", "was", "were", "has", "have", "had", "that", "this", "with",
    "from", "into", "about", "user", "they", "their", "them", "who", "his", "her", "its", "she",
    "him", "you", "your", "our", "not", "but", "can", "will", "would", "very", "really", "also",
    "just", "some", "any", "been", "being", "does", "did", "doing", "more", "most", "than",
    "then", "there", "here",
})  # fmt: skip
_NEGATED = re.compile(
    r"\b(?:I|we)(?:(?P<be>'m| am|'re| are| was| were) (?:not|never|no longer) "
    r"(?!just\b|only\b|sure\b)"
    r"| (?:\w+ )?(?:don['’]t|do not|didn['’]t|did not|never|no longer) "
    r"(?!just\b|only\b|think\b|know\b|mind\b|believe\b|care\b|see why\b|want to\b)"
    r"|(?:['’]ve| have) never | (?:haven['’]t|have not) )",
    re.IGNORECASE,
)
_ONLY_NOW = re.compile(r"\b(?:don['’]t|do not|no longer)\b|(?:'m|\bam|'re|\bare) ", re.IGNORECASE)
_CLAUSE_ENDS = re.compile(
    r"[,;:()–—]|\b(?:but|and|because|since|so|although|though|unless|until|yet)\b"
)
_SENTENCE_ENDS = re.compile(r"[.!?…](?:\s|$)|\n")


class Denial(NamedTuple):
    """A denied clause: the stem of its verb, its words, and whether the past is denied too."""

    verb: str
    clause: str
    ever: bool

    @property
    def stems(self) -> set[str]:
        return stems(self.clause)


class Evidence:
    """One message as an extractor was shown it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._rests: dict[str, Rest] = {}

    @cached_property
    def folded(self) -> str:
        return folded(self.text)

    @cached_property
    def is_small_talk(self) -> bool:
        return bool(words("small_talk").fullmatch(self.text.strip()))

    @cached_property
    def injects(self) -> bool:
        return injects(self.text)

    @cached_property
    def unasserted(self) -> dict[Reason, list[str]]:
        """The parts that assert nothing, by what they are."""
        sentences = [found[0] for found in _SENTENCE.finditer(self.text)]
        handed_over = _scopes("handed_over", self.text) + _scopes("fiction", self.text)
        return {
            "question": [each for each in sentences if _only_asks(each)][:_MAX_PARTS],
            "hypothetical": list(_supposed(sentences))[:_MAX_PARTS],
            "quotation": [*_scopes("others_words", self.text), *_reported(self.text)][:_MAX_PARTS],
            "request": handed_over[:_MAX_PARTS],
        }

    @cached_property
    def denied(self) -> list[Denial]:
        return list(islice(_denied(self.text), _MAX_PARTS))

    @cached_property
    def unasserted_stems(self) -> dict[Reason, set[str]]:
        return {
            reason: set().union(*(stems(part) for part in parts))
            for reason, parts in self.unasserted.items()
        }

    def without(self, reason: Reason | Literal["denial"]) -> Rest:
        """What the message says besides its parts of this kind."""
        if reason not in self._rests:
            denied = [each.clause for each in self.denied]
            parts = denied if reason == "denial" else self.unasserted[reason]
            rest = self.text
            for part in parts:  # once each: the same words may be the user's own elsewhere
                rest = rest.replace(part, " ", 1)
            self._rests[reason] = Rest(rest)
        return self._rests[reason]


class Rest:
    """What a message says otherwise: its letters, and the stems of its words."""

    def __init__(self, text: str) -> None:
        self.folded = folded(text)
        self.stems = stems(text)


def injects(message: str) -> bool:
    """Whether a message gives orders to whoever reads it."""
    return bool(words("injects").search(message))


def stems(text: str) -> set[str]:
    """The words that tell one fact from another, cut so that "lives" is "lived"."""
    plain = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return {stem(word) for word in plain if len(word) > 2 and word not in _COMMON}


def stem(word: str) -> str:
    plain = re.sub(r"(?:ing|ed|es|s|e)$", "", word) if len(word) > 3 else word
    return plain[:_STEM]


def words_of(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _only_asks(sentence: str) -> bool:
    plain = sentence.strip().rstrip("\"'”’)")
    asks = plain.endswith("?") and words("asks").search(plain)
    return bool(asks) and not words("asserts").search(plain)


def _supposed(sentences: Sequence[str]) -> Iterator[str]:
    """Suppositions, with what would follow from them in the next sentence."""
    goes_on = False
    for sentence in sentences:
        starts = [m.start() for each in patterns("supposes") if (m := each.search(sentence))]
        if starts:
            condition_last = _WOULD.search(sentence[: min(starts)])
            yield sentence if condition_last else sentence[min(starts) :]
        elif goes_on and _WOULD.search(sentence):
            yield sentence
        goes_on = bool(starts)


def _scopes(name: str, message: str) -> list[str]:
    found = (part for match in words(name).finditer(message) for part in match.groups())
    return [part for part in found if part and part.strip()]


def _reported(message: str) -> Iterator[str]:
    parts = (message[start:end] for start, end in reported_spans(message))
    return (part for part in parts if part.strip())


def _denied(message: str) -> Iterator[Denial]:
    for found in _NEGATED.finditer(message):
        ends = _SENTENCE_ENDS.search(message, found.end())
        sentence = message[found.end() : ends.start() if ends else None]
        clause = _CLAUSE_ENDS.split(sentence[:_LONGEST_CLAUSE], maxsplit=1)[0]
        if said := words_of(clause):
            verb = stem("be" if found["be"] else said[0])
            yield Denial(verb, clause, ever=not _ONLY_NOW.search(found[0]))


# ---- the words


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("services.extractor").joinpath("junk.toml").read_text("utf-8"))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)


@cache
def words(name: str) -> re.Pattern[str]:
    return _compiled(_data()[name])


@cache
def patterns(name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(_compiled(pattern) for pattern in _data()[name])
