"""When a value was said to be true at the time of saying.

Imprecise dates yield to these statements (rule 7), and plans are confirmed or fall by them (8).
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

from shared.beliefs.denials import Denied
from shared.beliefs.entries import Entry
from shared.beliefs.moments import BEGINNING, holds_at


class Statements:
    """The current statements of a slot in rank order; what was denied later does not count."""

    def __init__(self) -> None:
        self._said: list[datetime] = []
        self._values: list[str] = []
        self._other: list[datetime] = []  # before each: the latest statement of another value
        self._by_value: dict[str, list[datetime]] = {}

    def add(self, said: datetime, value_key: str) -> None:
        """One more, said no earlier than those before it."""
        other = BEGINNING
        if self._said:
            same = self._values[-1] == value_key
            other = self._other[-1] if same else self._said[-1]
        self._said.append(said)
        self._values.append(value_key)
        self._other.append(other)
        self._by_value.setdefault(value_key, []).append(said)

    def last_of_another(self, value_key: str, since: datetime, before: datetime) -> datetime | None:
        """The latest statement of another value in [since, before)."""
        index = bisect_left(self._said, before) - 1
        if index < 0:
            return None
        same = self._values[index] == value_key
        said = self._other[index] if same else self._said[index]
        return said if said >= since and said != BEGINNING else None

    def last_of(self, value_key: str, since: datetime, before: datetime) -> datetime | None:
        """The latest statement of this value in [since, before)."""
        said = self._by_value.get(value_key, [])
        index = bisect_left(said, before) - 1
        return said[index] if index >= 0 and said[index] >= since else None


def undenied(entry: Entry, denied: Denied) -> bool:
    """A statement that nobody took back for the moment at which it was made."""
    return entry.is_statement and not holds_at(denied.get(entry.fact_id, ()), entry.said)


def all_statements(entries: Iterable[Entry], denied: Denied) -> Statements:
    """The undenied statements of the entries, which come by rank."""
    statements = Statements()
    for entry in entries:
        if entry.value_key is not None and undenied(entry, denied):
            statements.add(entry.said, entry.value_key)
    return statements
