"""What a question asks for, and how much likelier that makes a fact (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from services.gateway.asking.words import plain_words

USER = "user"

SLOT = 1.5
CATEGORY = 1.1
TIME = 1.25
"""Factors of a hint that a fact meets. Chosen so that the slot asked for overtakes a fact that only
shares words with the question, and no other hint overtakes the slot."""

PRIOR_OF_SLOT = 0.6
PRIOR_AT_LARGE = 2.0
"""How much is asked for by itself, beside the arms' 0..1, whatever its words are. A question that
is nothing but a slot's cue puts that slot before the best hit of one arm; "what does my dog eat?",
half a cue, adds a quarter of it and leaves the words to decide."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, [since, until), and the words that named it; None is open."""

    since: datetime | None
    until: datetime | None
    words: str

    def holds(self, moment: datetime | None) -> bool:
        return (
            moment is not None
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment < self.until)
        )

    def shown(self) -> dict[str, Any]:
        return {"since": self.since, "until": self.until, "words": self.words}


@dataclass(frozen=True, slots=True)
class Asked:
    """What hints look at in a fact; `at` is when it came about, else when it was said."""

    slot: str | None
    category: str
    subject: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Hints:
    """Soft: what the words of a question name, each with those words.

    `since`, `until`: facts of that time are likelier. `as_of`: only what was held true at some
    moment of that stretch. `subjects`: the known persons it names; none: it is about the user.
    """

    slots: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    window: Window | None = None
    as_of: Window | None = None
    about_user_at_large: bool = False
    words: frozenset[str] = frozenset()
    telling: frozenset[str] = frozenset()
    """The words that say what is asked for: neither empty ones nor those of the time."""
    own_words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Those by which each slot was heard."""

    @property
    def since(self) -> datetime | None:
        return self.window.since if self.window else None

    @property
    def until(self) -> datetime | None:
        return self.window.until if self.window else None

    def knowing(self, subjects: Collection[str]) -> Hints:
        """The same question, where these persons are known."""
        named = {one for one in subjects if one != USER and self._names(one)}
        return replace(self, subjects=tuple(sorted(named | set(self.subjects))))

    def _names(self, subject: str) -> bool:
        return any(len(word) > 1 and word in self.words for word in plain_words(subject))

    def yielding_to(self, *, slots: bool, categories: bool, time: bool, as_of: bool) -> Hints:
        """What is left of them where the request says some of it itself."""
        return replace(
            self,
            slots={} if slots else self.slots,
            categories={} if categories or slots else self.categories,
            window=None if time else self.window,
            as_of=None if as_of or time else self.as_of,
        )

    def factors(self, fact: Asked) -> dict[str, float]:
        """What this fact meets, with its factor; each is above 1."""
        met = {}
        if self._asks_for(fact):
            met["slot"] = 1 + (SLOT - 1) * self._strength(fact.slot)
        elif fact.category in self.categories and self._about(fact.subject):
            met["category"] = CATEGORY
        if self.window is not None and self.window.holds(fact.at):
            met["time"] = TIME
        return met

    def prior(self, fact: Asked) -> float:
        """How much this fact is asked for by itself: 0 where only its words can tell."""
        return PRIOR_OF_SLOT * self._strength(fact.slot) ** 2 if self._asks_for(fact) else 0.0

    def _strength(self, slot: str | None) -> float:
        """How much of the question its cue is, above 0 to 1: all of "where do I live?"."""
        who = {word for one in self.subjects for word in plain_words(one)}
        own = self.own_words.get(slot or "", frozenset()) - who
        others = self.telling - own - who
        return max(len(own & self.telling), 1) / (max(len(own & self.telling), 1) + len(others))

    def _asks_for(self, fact: Asked) -> bool:
        """Whether it is the slot asked for, of who is asked about.

        Where a person is named by what they are to the user ("my sister"), it is also the user's
        own slot that says who they are.
        """
        said = self.slots.get(fact.slot or "")
        if said is None:
            return False
        return self._about(fact.subject) or (
            fact.subject == USER
            and any(set(said.split()) <= set(plain_words(one)) for one in self.subjects)
        )

    def _about(self, subject: str) -> bool:
        return subject in self.subjects if self.subjects else subject == USER

    def shown(self) -> dict[str, Any]:
        """What was read, as `explain` shows it; nothing where nothing was."""
        all_of = {
            "slots": dict(self.slots),
            "categories": dict(self.categories),
            "subjects": list(self.subjects),
            "time": self.window and self.window.shown(),
            "as_of": self.as_of and self.as_of.shown(),
            "about_user_at_large": self.about_user_at_large,
        }
        return {name: read for name, read in all_of.items() if read}


def nothing_asked() -> Hints:
    """What is read where hints are switched off."""
    return Hints()
