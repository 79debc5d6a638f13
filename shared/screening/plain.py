"""A text as a reader would take it: nothing hidden, one form a letter, no letters set apart (pure).

Attackers hide words from patterns and not from models: in invisible characters, in letters of
other scripts that look the same, in full width, spaced out, in base64. Only what is read by the
patterns is changed; what is stored never is.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator

_TAGS = range(0xE0000, 0xE0080)  # invisible twins of ASCII: models read them, people do not
_REORDERING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_JOINERS = {0x200C, 0x200D, 0xFE0E, 0xFE0F}
_INVISIBLE = re.compile(r"[\u200b\u200e\u200f\u2060-\u2064\ufeff\u00ad\u180e\u034f\u115f\u3164]")
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*·]{1,2}){4,}[^\W\d_](?!\w)")
_SPACES = re.compile(r"[ .\-_*·]")
_BLANKS = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"[^\W\d_]+")
_ENCODED = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{24,4096}={0,2}(?![\w+/=])")
_LEAST_PRINTABLE = 0.95
_HIDDEN_LEAST = 3
_ALIKE = (  # letters of other scripts, and the Latin ones they look like
    ("аеорсухіјѕһԁԛԝВЕКМНОРСТХАІ", "aeopcyxijshdqwBEKMHOPCTXAI"),
    ("ανορικυΑΒΕΙΚΜΝΟΡΤΧ", "avopikuABEIKMNOPTX"),
)
_LATIN = {
    letter: latin for theirs, ours in _ALIKE for letter, latin in zip(theirs, ours, strict=True)
}


def hides(text: str) -> bool:
    """Whether it holds characters whose only use here is to hide or reorder words."""
    if text.isascii():
        return False
    codes = [ord(letter) for letter in text]
    if any(code in _TAGS and code != _TAGS[0] for code in codes) and not _is_flag(text):
        return True
    if any(code in _REORDERING for code in codes):
        return True
    return len(_INVISIBLE.findall(text)) >= _HIDDEN_LEAST


def _is_flag(text: str) -> bool:
    """Flags of regions are a black flag, tags and an end: Scotland's hides nothing."""
    rest = re.sub("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,6}\U000e007f", "", text)
    return not any(ord(letter) in _TAGS for letter in rest)


def readable(text: str) -> str:
    """The text with hidden words shown, and look-alike, wide and spaced letters made plain."""
    if not text.isascii():
        shown = "".join(_shown(letter) for letter in text)
        text = _WORD.sub(_in_one_script, unicodedata.normalize("NFKC", shown))
    return _SPACED.sub(lambda run: _SPACES.sub("", run[0]), _BLANKS.sub(" ", text))


def _shown(letter: str) -> str:
    code = ord(letter)
    if code in _TAGS:
        return chr(code - _TAGS[0]) if 0x20 <= code - _TAGS[0] < 0x7F else ""
    if code in _REORDERING or code in _JOINERS or _INVISIBLE.match(letter):
        return ""
    return letter


def _in_one_script(word: re.Match[str]) -> str:
    """A word of two scripts in the one that most readers take it for; Russian stays Russian."""
    letters = word[0]
    if letters.isascii() or not any("a" <= each.lower() <= "z" for each in letters):
        return letters
    return "".join(_LATIN.get(each, each) for each in letters)


def decoded(text: str) -> Iterator[str]:
    """What stands in base64 in it and is text."""
    for found in _ENCODED.finditer(text):
        token = found[0]
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), validate=True)
            inner = raw.decode()
        except (binascii.Error, ValueError):
            continue
        printable = sum(each.isprintable() or each.isspace() for each in inner)
        if inner and printable >= _LEAST_PRINTABLE * len(inner) and " " in inner:
            yield inner
