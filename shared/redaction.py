"""Secrets in text: found, and replaced by what kind they are (pure).

Keys, tokens, passwords, card and account numbers are blanked before any model is shown a text, and
no fact may hold one. What a message said is stored as it came. The patterns are `redaction.toml`;
they would rather leave an odd secret than blank an order number, a phone number or a date.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Any

_PLACEHOLDER = re.compile(r"\[redacted:[a-z-]+\]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{32,}")
_GIT_COMMIT = 40
_DIGIT = re.compile(r"\d")
_WITH_DIGITS = "0-9"
_CARD = re.compile(  # what issuers begin with, and how long their numbers are
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[0689]\d{12}"
    r"|35\d{14}|6(?:011|[45]\d\d)\d{12,15}"
)
_ARTICLES = ("the", "a", "my", "le", "la", "mon", "ma", "el", "mi")
_LEAST_ENTROPY = 3.5  # bits a character; English words written together have about 3
_LEAST_CHANGES = (
    0.45  # of neighbours that differ in kind: camel case .4, random letters and digits .6
)


@dataclass(frozen=True, slots=True)
class _Pattern:
    kind: str
    when: re.Pattern[str]
    check: Callable[[str], bool] | None
    near: tuple[str, ...]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        group = "secret" if "secret" in self.when.groupindex else 0
        for match in self.when.finditer(text):
            if self.check is None or self.check(match[group]):
                yield match.span(group)


def redact(text: str) -> str:
    """The text with each secret replaced by `[redacted:<kind>]`; without one it is unchanged."""
    for pattern in _worth_trying(text):
        for start, end in reversed(list(pattern.spans(text))):
            if not _PLACEHOLDER.search(text, start, end):
                text = f"{text[:start]}[redacted:{pattern.kind}]{text[end:]}"
    return text


def is_secret(text: str) -> bool:
    """Whether a text holds a secret, or the place where one was."""
    if _PLACEHOLDER.search(text):
        return True
    return any(True for pattern in _worth_trying(text) for _ in pattern.spans(text))


def redact_all(document: Any) -> Any:
    """Redact every string of a JSON document; keys stay."""
    match document:
        case str():
            return redact(document)
        case Mapping():
            return {key: redact_all(value) for key, value in document.items()}
        case list() | tuple():
            return [redact_all(item) for item in document]
    return document


def _worth_trying(text: str) -> list[_Pattern]:
    """The patterns whose words are near, in their order; most texts have none of the words."""
    small = text.lower()
    close = [at for near, patterns in _NEAR if near in small for at in patterns]
    if _DIGIT.search(text):
        close += _NEAR_DIGITS
    return [_PATTERNS[at] for at in sorted(set(close))] if close else []


# ---- what a match must be as well


def _is_card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    doubled = [int(digit) * 2 if odd else int(digit) for odd, digit in _from_the_right(digits)]
    total = sum(number - 9 if number > 9 else number for number in doubled)
    return bool(_CARD.fullmatch(digits)) and total % 10 == 0


def _from_the_right(digits: str) -> Iterator[tuple[bool, str]]:
    return ((index % 2 == 1, digit) for index, digit in enumerate(reversed(digits)))


def _is_iban(found: str) -> bool:
    plain = found.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _is_mixed(found: str) -> bool:
    """Whether no word looks like this: letters and digits together, or digits alone."""
    return any(c.isdigit() for c in found)


def _is_secretive(found: str) -> bool:
    """Whether what follows "password is" may be one: no ordinary word, nor the first of several."""
    plain = found.casefold().strip(".!?()[]")
    ordinary = plain in _ORDINARY or plain in _TELLING
    return len(plain) >= 3 and not ordinary and (_is_mixed(found) or len(plain) >= 4)


def _is_phrase(found: str) -> bool:
    """Whether several words are a password: none of them tells something about it."""
    words = _plain_words(found)
    told = sum(word in _ORDINARY for word in words)
    return (
        not any(word in _TELLING or word.endswith("ly") for word in words)
        and not words[0].endswith(("ed", "ing"))
        and told * 2 < len(words)
        and any(len(word) >= 3 for word in words)
    )


def _is_saying(found: str) -> bool:
    """Whether words are a passphrase, which may be a sentence: its beginning tells nothing."""
    words = _plain_words(found)
    begins = words[1] if words[0] in _ARTICLES else words[0]
    plain = begins not in _ORDINARY and begins not in _TELLING
    inflected = begins.endswith(("ly", "ed", "ing"))
    return _is_phrase(found) or (len(words) >= 4 and plain and not inflected)


def _plain_words(found: str) -> list[str]:
    return found.casefold().replace("’", "'").replace(",", " ").split()


def _is_random(found: str) -> bool:
    """Whether it was drawn by a machine: no path, no identifier of words, no UUID, no commit."""
    plain = found.strip("=/-_+")
    if _UUID.fullmatch(plain) or not _is_mixed(plain) or plain.isdigit():
        return False
    if _HEX.fullmatch(plain):
        return len(plain) != _GIT_COMMIT and _entropy(plain.lower()) > _LEAST_ENTROPY - 0.5
    if not (any(c.isupper() for c in plain) and any(c.islower() for c in plain)):
        return False
    changes = sum(_kind(a) != _kind(b) for a, b in pairwise(plain)) / (len(plain) - 1)
    return changes >= _LEAST_CHANGES and _entropy(plain) >= _LEAST_ENTROPY


def _kind(character: str) -> str:
    return "digit" if character.isdigit() else "upper" if character.isupper() else "lower"


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "luhn": _is_card,
    "iban": _is_iban,
    "mixed": _is_mixed,
    "secretive": _is_secretive,
    "phrase": _is_phrase,
    "saying": _is_saying,
    "random": _is_random,
}


def _load() -> tuple[tuple[_Pattern, ...], frozenset[str], frozenset[str]]:
    data = tomllib.loads(files("shared").joinpath("redaction.toml").read_text("utf-8"))
    patterns = tuple(
        _Pattern(
            entry["kind"],
            re.compile(entry["when"], re.DOTALL | (0 if entry.get("case") else re.IGNORECASE)),
            _CHECKS[entry["check"]] if "check" in entry else None,
            tuple(entry["near"]),
        )
        for entry in data["pattern"]
    )
    about = data["ordinary"]
    return patterns, frozenset(about["words"]), frozenset(about["telling"])


def _by_word(word: str) -> tuple[int, ...]:
    return tuple(at for at, pattern in enumerate(_PATTERNS) if word in pattern.near)


_PATTERNS, _ORDINARY, _TELLING = _load()
_NEAR_DIGITS = _by_word(_WITH_DIGITS)
_NEAR = tuple(
    (word, _by_word(word))
    for word in sorted({word for pattern in _PATTERNS for word in pattern.near} - {_WITH_DIGITS})
)
