"""Questions as rows of plain words, and cues that are looked for in them (pure)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_NO_WORD = re.compile(r"[^\w]+|_+")
_GAP = r"(?:\S+ ){0,4}"


@cache
def data() -> Mapping[str, Any]:
    """The words of `words.toml`."""
    text = files("services.gateway.asking").joinpath("words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def plain_words(text: str) -> tuple[str, ...]:
    """The words of a text in small letters, without accents and punctuation, spelled one way."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("ı", "i"))
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    spelling = data()["spelling"]
    return tuple(spelling.get(word, word) for word in _NO_WORD.split(letters) if word)


def row(words: Iterable[str]) -> str:
    """Words with one space before, between and after them, as cues are looked for in."""
    return f" {' '.join(words)} "


@dataclass(frozen=True, slots=True)
class Cue:
    """A row of words that means something; `anchors` are the last item's words or beginnings."""

    meaning: str
    pattern: re.Pattern[str]
    anchors: tuple[str, ...]


def cue(meaning: str, written: str) -> Cue:
    """Read a cue as `words.toml` writes it."""
    items = written.split()
    pattern = "".join(_item(item) for item in items)
    last = [item for item in items if item not in "*$"][-1]
    return Cue(
        meaning,
        re.compile(f"(?<= ){pattern}"),
        tuple(one.split("_")[-1] for one in last.split("|")),
    )


def _item(item: str) -> str:
    if item in ("*", "$"):
        return _GAP if item == "*" else "$"
    words = "|".join(
        re.escape(word[:-1]) + r"\S*" if word.endswith("~") else re.escape(word)
        for word in item.replace("_", " ").split("|")
    )
    return f"({words}) "


class Cues:
    """Many cues, of which only those whose last word is there are tried."""

    def __init__(self, cues: Iterable[Cue]) -> None:
        self._whole: dict[str, list[Cue]] = {}
        self._begun: dict[str, list[Cue]] = {}
        for one in cues:
            for anchor in one.anchors:
                if anchor.endswith("~"):
                    self._begun.setdefault(anchor[:-1], []).append(one)
                else:
                    self._whole.setdefault(anchor, []).append(one)
        self._lengths = sorted({len(anchor) for anchor in self._begun})

    def found_in(self, words: tuple[str, ...]) -> dict[str, re.Match[str]]:
        """What is meant, with the longest words that say so; its groups are the cue's own words."""
        text = row(words)
        found: dict[str, re.Match[str]] = {}
        for one in self._tried(words):
            match = one.pattern.search(text)
            longest = found.get(one.meaning)
            if match and (longest is None or len(match[0]) > len(longest[0])):
                found[one.meaning] = match
        return found

    def _tried(self, words: tuple[str, ...]) -> Iterable[Cue]:
        tried: dict[int, Cue] = {}
        for word in set(words):
            for one in self._whole.get(word, ()):
                tried[id(one)] = one
            for length in self._lengths:
                for one in self._begun.get(word[:length], ()):
                    tried[id(one)] = one
        return tried.values()
