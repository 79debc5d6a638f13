"""Who is told about: people, what they said, and the gold facts that rest on each turn.

Plain shapes. Every reader of a data format answers with these, so an evaluation never knows which
format it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class GoldFact:
    """A fact the data set says was told.

    `replaces`: contents of earlier facts that it makes untrue. `distorts`: the content of a true
    fact that this one alters, so that the two must stay apart. `beside`: a true fact that is told
    only where its distortion is. `fields`: slot, value, claim, dates and whatever else the
    extraction contract knows, where the data has them.
    """

    content: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()
    distorts: str | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `facts` rest on it."""

    session: str
    role: Role
    at: datetime
    content: str
    facts: tuple[GoldFact, ...] = ()
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """One user and everything said to or by them, in order.

    `exact`: whether facts stand at the very turn that says them, so that a turn without any is
    known to say nothing; else only their session is known. `group`: the data set.
    """

    name: str
    turns: tuple[Turn, ...]
    exact: bool
    group: str = ""

    def facts(self) -> Iterator[tuple[Turn, GoldFact]]:
        """Every gold fact with its turn, in the order told."""
        for turn in self.turns:
            for fact in turn.facts:
                yield turn, fact

    def in_the_past(self, now: datetime) -> Self:
        """The same, moved back by whole days where any of it would be said after now.

        A memory does not believe a clock that is ahead: such messages would count as said when
        they arrive, and their order would be lost.
        """
        last = max((turn.at for turn in self.turns), default=now)
        if last < now:
            return self
        back = timedelta(days=(last - now).days + 1)
        return replace(self, turns=tuple(replace(t, at=t.at - back) for t in self.turns))

    def updates(self) -> bool:
        """Whether any fact replaces another."""
        return any(fact.replaces for _, fact in self.facts())

    def by_slot(self) -> bool:
        """Whether the data says which attribute a fact is about."""
        return any(fact.fields.get("slot") for _, fact in self.facts())


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences, and whether they say the same."""

    a: str
    b: str
    same: bool
