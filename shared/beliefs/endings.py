"""Rule 5: where a later-said ending closes earlier-said claims of its value.

Decides one moment per claim, or none. Sources are `ends`, denials that act as `ends` (rule 6),
stated ends of `holds`, and past claims of an equal value.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from shared.beliefs.denials import is_denial, messages_backwards
from shared.beliefs.entries import Entry, Moment
from shared.beliefs.moments import FOREVER, next_midnight
from shared.beliefs.statements import Statements


def endings(
    entries: Sequence[Entry], starts: Mapping[UUID, datetime], statements: Statements
) -> Mapping[UUID, datetime]:
    """For each claim with a start (by fact id) where later-said endings close it, else FOREVER.

    Entries come by rank and are read backwards: each claim meets exactly what was said after it.
    """
    reading = _Reading(starts=starts, statements=statements)
    for message in messages_backwards(entries):
        for entry in reversed(message):
            reading.read(entry)
        reading.nameless += [e for e in message if _is_ending(e) and e.value_key is None]
    return reading.closed


def own_end(entry: Entry, start: datetime | None, statements: Statements) -> datetime | None:
    """The end a claim states for itself (rules 2 and 7); None when it states none.

    A unit that holds the claim's own start, or its own time of saying, ends with the unit.
    A past claim with a start only ends with the unit of its start.
    """
    if entry.end is None:
        if entry.state != "past" or entry.start is None:
            return None
        return min(entry.start.until, entry.said)
    latest = entry.said if entry.state == "past" else FOREVER
    inner = entry.said if entry.is_statement else start
    if inner is not None and entry.end.at <= inner < entry.end.until:
        return min(entry.end.until, latest)
    key = entry.value_key or ""
    return min(yielding_end(entry.end, entry.said, key, statements), latest)


def yielding_end(end: Moment, said: datetime, key: str, statements: Statements) -> datetime:
    """Rule 7: an end known to a unit gives way to the same value's statement within it."""
    latest = min(end.until, said) if end.at <= said else end.until
    statement = statements.last_of(key, end.at, latest)
    return end.at if statement is None else min(next_midnight(statement), latest)


def _is_ending(entry: Entry) -> bool:
    if entry.state == "future":
        return False
    return entry.claim == "ends" or (entry.claim == "denies" and not is_denial(entry))


def _moment(entry: Entry) -> Moment:
    """An ending's date: `ended_at`, else `occurred_at`, else the time of saying."""
    return entry.end or entry.start or Moment(at=entry.said, until=entry.said)


@dataclass(slots=True)
class _Value:
    """What later-said entries say about the ending of one value."""

    cut: datetime = FOREVER
    stated: list[datetime] = field(default_factory=list)  # close only what began before them
    of_unit: list[datetime] = field(default_factory=list)  # the same, and only open claims
    nameless_read: int = 0

    def closing(self, start: datetime, *, is_open: bool) -> datetime:
        of_unit = _first_after(start, self.of_unit) if is_open else FOREVER
        return min(self.cut, _first_after(start, self.stated), of_unit)


def _first_after(start: datetime, ends: Sequence[datetime]) -> datetime:
    index = bisect_right(ends, start)
    return ends[index] if index < len(ends) else FOREVER


@dataclass(slots=True)
class _Reading:
    starts: Mapping[UUID, datetime]
    statements: Statements
    closed: dict[UUID, datetime] = field(default_factory=dict)
    nameless: list[Entry] = field(default_factory=list)
    values: dict[str, _Value] = field(default_factory=dict)

    def read(self, entry: Entry) -> None:
        if entry.value_key is None:
            return
        value = self.values.setdefault(entry.value_key, _Value())
        if entry.is_claim:
            self._close(entry, value)
            self._claims_end(entry, value)
        elif _is_ending(entry):
            value.cut = min(value.cut, self._at(entry, entry.value_key))

    def _close(self, entry: Entry, value: _Value) -> None:
        start = self.starts.get(entry.fact_id)
        if start is None:
            return
        for nameless in self.nameless[value.nameless_read :]:
            value.cut = min(value.cut, self._at(nameless, entry.value_key or ""))
        value.nameless_read = len(self.nameless)
        self.closed[entry.fact_id] = value.closing(start, is_open=entry.is_open)

    def _claims_end(self, entry: Entry, value: _Value) -> None:
        """A stated end closes equal claims that began before it; "used to", whatever there was."""
        end = own_end(entry, self.starts.get(entry.fact_id), self.statements)
        if end is None and entry.state == "past":
            value.cut = min(value.cut, entry.said)
        elif end is not None and not entry.quiet and not self._says_nothing(entry, end):
            insort(value.of_unit if entry.end is None else value.stated, end)

    def _says_nothing(self, entry: Entry, end: datetime) -> bool:
        """An end that is only a day's, or only a unit's after which the value was stated."""
        if entry.end is not None or entry.start is None:
            return False
        of_a_day = entry.start.until - entry.start.at <= timedelta(days=1)
        stated = self.statements.last_of(entry.value_key or "", end, entry.said)
        return of_a_day or stated is not None

    def _at(self, ending: Entry, key: str) -> datetime:
        return yielding_end(_moment(ending), ending.said, key, self.statements)
