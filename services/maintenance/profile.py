"""A user's profile (pure): what is known about them now, in a few lines that any prompt can hold.

Slots come first, a line each, then sentences by category, the best attested first. The same facts
give the same text, whatever order they come in. What does not fit is left out whole, and the
profile does not rest on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

MOST_CHARACTERS = 2_000  # about 500 tokens, at 4 characters each

_HEADINGS = {
    "biographical": "About",
    "work_context": "Work",
    "relationship": "People",
    "user_preference": "Preferences",
    "learning": "Learning",
}
"""The known categories, in the order of the text; a tenant's own follow by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFact:
    """A fact about the user that is believed now; `slot` and `value` are null for free text."""

    id: UUID
    category: str
    slot: str | None
    value: str | None
    content: str
    evidence_count: int
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Profile:
    """The text, and the facts it rests on in the order in which they stand there."""

    content: str
    rests_on: tuple[UUID, ...]


def write_profile(facts: Iterable[KnownFact]) -> Profile:
    """Write what is known, as far as it fits."""
    known = list(facts)
    page = _Page()
    for slot, stated in _by_slot(known):
        page.add_line(f"{_title(slot)}: ", ((fact.value or "", fact.id) for fact in stated), ", ")
    for category, said in _by_category(known):
        heading = f"{_HEADINGS.get(category, _title(category))}:\n- "
        page.add_line(heading, ((fact.content, fact.id) for fact in said), "\n- ")
    return Profile("\n".join(page.lines), tuple(page.rests_on))


class _Page:
    """Lines as long as there is room."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rests_on: list[UUID] = []
        self._room = MOST_CHARACTERS

    def add_line(self, heading: str, items: Iterable[tuple[str, UUID]], between: str) -> None:
        """Add a heading with as many of its items as fit; without any, nothing."""
        line = ""
        for text, fact in items:
            longer = f"{line}{between}{text}" if line else f"{heading}{text}"
            if len(longer) + 1 > self._room:
                continue
            line = longer
            self.rests_on.append(fact)
        if line:
            self.lines.append(line)
            self._room -= len(line) + 1


def _by_slot(facts: Sequence[KnownFact]) -> Iterator[tuple[str, list[KnownFact]]]:
    slots: dict[tuple[int, str, str], list[KnownFact]] = {}
    for fact in facts:
        if fact.slot is not None and fact.value is not None:
            slots.setdefault((*_place(fact.category), fact.slot), []).append(fact)
    for place in sorted(slots):
        yield place[-1], sorted(slots[place], key=best_first)


def _by_category(facts: Sequence[KnownFact]) -> Iterator[tuple[str, list[KnownFact]]]:
    categories: dict[tuple[int, str], list[KnownFact]] = {}
    for fact in facts:
        if fact.slot is None:
            categories.setdefault(_place(fact.category), []).append(fact)
    for place in sorted(categories):
        yield place[-1], sorted(categories[place], key=best_first)


def _place(category: str) -> tuple[int, str]:
    known = list(_HEADINGS)
    return (known.index(category) if category in known else len(known), category)


def best_first(fact: KnownFact) -> tuple[int, float, int]:
    """The best attested first, of those the one said last."""
    return -fact.evidence_count, -fact.said_at.timestamp(), fact.id.int


def _title(name: str) -> str:
    words = name.replace("_", " ")
    return f"{words[:1].upper()}{words[1:]}"
