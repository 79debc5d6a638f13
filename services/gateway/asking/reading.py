"""Reads a question: which slots, categories, persons and times its words name (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache

from services.gateway.asking.hints import Hints, Window
from services.gateway.asking.times import time_named
from services.gateway.asking.words import Cue, Cues, cue, data, plain_words
from shared.slots import Catalogue, SlotSpec

_MOST_WORDS = 64
"""A question is short; of a pasted page the beginning is read."""

_AT_LARGE = "at large"


def read(query: str, now: datetime, catalogue: Catalogue, subjects: Collection[str] = ()) -> Hints:
    """What the question asks for, seen from `now`; `subjects` are the persons that are known."""
    words = plain_words(query[: _MOST_WORDS * 32])[:_MOST_WORDS]
    slots = _slot_cues(catalogue).found_in(words)
    categories = _category_cues().found_in(words)
    named = time_named(words, now)
    hints = Hints(
        slots={slot: match[0].strip() for slot, match in slots.items()},
        categories={category: match[0].strip() for category, match in categories.items()},
        own_words={slot: _own(match) for slot, match in slots.items()},
        window=named.window if named else None,
        as_of=_certain(named.window, now)
        if named and named.explicit and _past_of_one(words, slots, catalogue)
        else None,
        about_user_at_large=bool(_at_large_cues().found_in(_without_articles(words))),
        words=frozenset(words),
        telling=frozenset(words)
        - _empty_words()
        - set(named.window.words.split() if named else ()),
    )
    return hints.knowing(subjects)


def _past_of_one(words: tuple[str, ...], slots: Collection[str], catalogue: Catalogue) -> bool:
    """Whether it asks what was: in the past tense, for what there is one of at a time."""
    ones = (catalogue.slots[slot].cardinality == "one" for slot in slots)
    return any(ones) and not _past_words().isdisjoint(words)


def _certain(window: Window, now: datetime) -> Window | None:
    """The stretch as far as it has begun; None when it lies ahead."""
    if window.since is not None and window.since >= now:
        return None
    until = now if window.until is None or window.until > now else window.until
    return Window(window.since, until, window.words)


def _without_articles(words: tuple[str, ...]) -> tuple[str, ...]:
    """`the user`, `this user`, `l'utilisateur`: the same person."""
    return tuple(word for word in words if word not in _ARTICLES)


_ARTICLES = frozenset({"the", "this", "l", "el", "den", "der", "dem", "please"})


@lru_cache(maxsize=64)
def _slot_cues(catalogue: Catalogue) -> Cues:
    return Cues(_cues_of(catalogue))


def _cues_of(catalogue: Catalogue) -> Iterator[Cue]:
    said: Mapping[str, list[str]] = data()["slots"]
    ambiguous = set(data()["ambiguous"])
    for spec in catalogue.slots.values():
        for written in said.get(spec.name, ()):
            yield cue(spec.name, written)
        for name in _names_of(spec):
            words = plain_words(name)
            if words and " ".join(words) not in ambiguous:
                yield cue(spec.name, " ".join(_singular_or_plural(words)))


def _names_of(spec: SlotSpec) -> Iterator[str]:
    """Its name and what else it is called; one word of the built-in synonyms says too little."""
    yield spec.name
    for synonym in spec.synonyms:
        if spec.source == "tenant" or "_" in synonym:
            yield synonym


def _singular_or_plural(words: tuple[str, ...]) -> tuple[str, ...]:
    last = words[-1]
    return (*words[:-1], last if last.endswith("s") else f"{last}|{last}s")


@cache
def _category_cues() -> Cues:
    categories: Mapping[str, list[str]] = data()["categories"]
    return Cues(cue(name, written) for name, some in categories.items() for written in some)


@cache
def _at_large_cues() -> Cues:
    return Cues(cue(_AT_LARGE, written) for written in data()["at_large"]["cues"])


def _own(match: re.Match[str]) -> frozenset[str]:
    """The words of a cue, without those it stepped over."""
    return frozenset(word for item in match.groups() for word in item.split())


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(data()["empty"])


@cache
def _past_words() -> frozenset[str]:
    return frozenset(data()["tense"]["past"])
