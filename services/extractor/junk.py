"""What is no fact about the user although a model says so (pure).

Questions, suppositions, others' words, texts handed over, small talk, denials that lost their
"not", and orders to the memory. A message is parted into what it asserts and what it does not; a fact is
dropped only when it rests on the latter alone. The words are `junk.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from services.extractor.grounding import folded

_SENTENCE = re.compile(r"[^.!?…;\n]+(?:[.!?…]+[\"'”’)]*|[;\n]|$)|[.!?…;\n]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STEM = 5
_COMMON = frozenset({
    "the", "and", "for", "are", "was", "were", "has", "have", "had", "that", "this", "with",
    "from", "into", "about", "user", "they", "their", "them", "who", "his", "her", "its", "she",
    "him", "you", "your", "our", "not", "but", "can", "will", "would", "very", "really", "also",
    "just", "some", "any", "been", "being", "does", "did", "doing", "more", "most", "than",
    "then", "there", "here",
})  # fmt: skip
_NEGATED = re.compile(
    r"\b(?:I|we)(?:'m| am|'re| are| was| were) (?:not|never|no longer) (?!just\b|only\b|sure\b)"
    r"|\b(?:I|we) (?:\w+ )?(?:don't|do not|didn't|did not|never|no longer|don’t|didn’t) "
    r"(?!just\b|only\b|think\b|know\b|mind\b|believe\b|care\b|see why\b|want to\b)"
    r"|\b(?:I|we)(?:'ve| have) never |\b(?:I|we) (?:haven't|have not|haven’t) ",
    re.IGNORECASE,
)
_CLAUSE_ENDS = re.compile(
    r"[,;:()–—]|\b(?:but|and|because|since|so|although|though|unless|until|yet)\b"
)
_VERBS = {"has": "have", "had": "have", "is": "be", "was": "be", "does": "do"}


@dataclass(frozen=True, slots=True)
class Saying:
    """What a fact says, as far as the guards look at it."""

    content: str
    value: str | None
    subject: str
    claim: str
    temporal_state: str


def junk_reason(saying: Saying, quote: str | None, messages: Sequence[str]) -> str | None:
    """Why a fact that rests on these messages is none; None where nothing is certain.

    Without a quote the whole messages are its evidence.
    """
    if _orders(saying.content, messages):
        return "instruction"
    if _W["about_the_talk"].search(saying.content) or all(map(_is_small_talk, messages)):
        return "small_talk"
    for reason, parts in _unasserted(messages, saying).items():
        if parts and _rests_on(saying, quote, parts, messages):
            return reason
    return "negation_lost" if _negation_lost(saying, quote, messages) else None


def injects(message: str) -> bool:
    """Whether a message gives orders to whoever reads it."""
    return bool(_W["injects"].search(message))


def _orders(content: str, messages: Sequence[str]) -> bool:
    if any(pattern.search(content) for pattern in _ORDERS):
        return True
    return bool(_W["rank"].search(content)) and any(map(injects, messages))


def _is_small_talk(message: str) -> bool:
    return bool(_W["small_talk"].fullmatch(message.strip()))


# ---- what a message does not assert


def _unasserted(messages: Sequence[str], saying: Saying) -> dict[str, list[str]]:
    """The parts of the messages that assert nothing, by the reason a fact is dropped with."""
    parts: dict[str, list[str]] = {
        "question": [],
        "hypothetical": [],
        "quotation": [],
        "request": [],
    }
    hedged = bool(_W["supposed"].search(saying.content)) or saying.temporal_state == "future"
    for message in messages:
        sentences = [found[0] for found in _SENTENCE.finditer(message)]
        parts["question"] += [each for each in sentences if _only_asks(each)]
        if not hedged:
            parts["hypothetical"] += _supposed(sentences)
        if saying.subject == "user":
            parts["quotation"] += _scopes(_W["others_words"], message)
        parts["request"] += _scopes(_W["handed_over"], message) + _scopes(_W["fiction"], message)
    return parts


def _only_asks(sentence: str) -> bool:
    plain = sentence.strip().rstrip("\"'”’)")
    asks = plain.endswith("?") and _W["asks"].search(plain)
    return bool(asks) and not _W["asserts"].search(plain)


def _supposed(sentences: Sequence[str]) -> Iterator[str]:
    would = False
    for sentence in sentences:
        starts = [m.start() for each in _SUPPOSES if (m := each.search(sentence))]
        if starts:
            yield sentence if _would_before(sentence, min(starts)) else sentence[min(starts) :]
        elif would and re.search(r"\b(?:would|I'd|we'd)\b", sentence):
            yield sentence
        would = bool(starts)


def _would_before(sentence: str, start: int) -> bool:
    """Whether the condition comes last: "I'd have two dogs if I lived in Paris"."""
    return bool(re.search(r"\b(?:would|I'd|we'd|could)\b", sentence[:start]))


def _scopes(pattern: re.Pattern[str], message: str) -> list[str]:
    return [
        part
        for match in pattern.finditer(message)
        for part in match.groups()
        if part and part.strip()
    ]


def _rests_on(
    saying: Saying, quote: str | None, parts: Sequence[str], messages: Sequence[str]
) -> bool:
    """Whether all that a fact says stands in these parts, and nothing of it elsewhere."""
    rest = "\n".join(messages)
    for part in parts:
        rest = rest.replace(part, " ")
    if quote and folded(quote) and folded(quote) in folded(rest):
        return False
    said = _stems(saying.value or saying.content)
    within = set().union(*(_stems(part) for part in parts))
    return bool(said & within) and not said & _stems(rest)


def _stems(text: str) -> set[str]:
    """The words that tell one fact from another, cut so that "lives" is "lived"."""
    words = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return {_stem(word) for word in words if len(word) > 2 and word not in _COMMON}


def _stem(word: str) -> str:
    plain = re.sub(r"(?:ing|ed|es|s|e)$", "", word) if len(word) > 3 else word
    return plain[:_STEM]


# ---- denials


def _negation_lost(saying: Saying, quote: str | None, messages: Sequence[str]) -> bool:
    """Whether "I don't live in Paris" became "Lives in Paris"."""
    if saying.claim != "holds" or saying.temporal_state not in {"current", "recurring"}:
        return False
    if saying.subject != "user" or _W["denying"].search(saying.content):
        return False
    first, *others = (word.casefold() for word in _WORD.findall(saying.content))
    verb = _VERBS.get(first, first)
    told = {_stem(word) for word in others if len(word) > 2 and word not in _COMMON}
    denied = [clause for message in messages for clause in _denied(message)]
    rest = "\n".join(messages)
    for _, clause in denied:
        rest = rest.replace(clause, " ")
    if not told or told & _stems(rest) or (quote and folded(quote) in folded(rest)):
        return False
    return any(told <= _stems(clause) and _stem(verb) == is_denied for is_denied, clause in denied)


def _denied(message: str) -> Iterator[tuple[str, str]]:
    """Each denied clause with the stem of its verb."""
    for found in _NEGATED.finditer(message):
        rest = message[found.end() :].split("\n", 1)[0]
        sentence = re.split(r"[.!?…](?:\s|$)", rest, maxsplit=1)[0]
        end = _CLAUSE_ENDS.search(sentence)
        clause = sentence[: end.start()] if end else sentence
        words = _WORD.findall(clause)
        is_be = re.search(r"'m|am|'re|are|was|were", found[0], re.IGNORECASE)
        if words:
            yield (_stem("be") if is_be else _stem(words[0].casefold())), clause


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)


def _load() -> dict[str, Any]:
    return tomllib.loads(files("services.extractor").joinpath("junk.toml").read_text("utf-8"))


_DATA = _load()
_W = {name: _compiled(pattern) for name, pattern in _DATA.items() if isinstance(pattern, str)}
_ORDERS = [_compiled(pattern) for pattern in _DATA["orders"]]
_SUPPOSES = [_compiled(pattern) for pattern in _DATA["supposes"]]
