"""Where claims begin, read in rank order (rules 2, 6, 7 and 8).

Decides the start of every claim: the stated one, else that of the value it replaces in the same
message, else the day of the plan it confirms, else the time of saying.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from uuid import UUID

from shared.beliefs.denials import Denied
from shared.beliefs.entries import Entry, Moment
from shared.beliefs.moments import next_midnight
from shared.beliefs.plans import Plan, PlanBook
from shared.beliefs.statements import Statements, undenied


@dataclass(frozen=True, slots=True)
class Beginnings:
    """The start of each claim that has one (by fact id), and the plans met on the way."""

    starts: Mapping[UUID, datetime]
    plans: tuple[Plan, ...]


def beginnings(entries: Sequence[Entry], denied: Denied, *, many: bool) -> Beginnings:
    """Reads the entries (by rank) once; each start depends only on what was said earlier."""
    reading = _Reading(denied=denied, many=many, book=PlanBook(many=many))
    for _, message in groupby(entries, key=lambda entry: (entry.said, entry.rank[1:3])):
        reading.read(list(message))
    plans = sorted(reading.book.plans(), key=lambda plan: (plan.since, plan.fact_id.int))
    return Beginnings(reading.starts, tuple(plans))


@dataclass(slots=True)
class _Reading:
    denied: Denied
    many: bool
    book: PlanBook
    statements: Statements = field(default_factory=Statements)
    starts: dict[UUID, datetime] = field(default_factory=dict)
    runs: dict[str, datetime] = field(default_factory=dict)  # since when each value is claimed

    def read(self, message: Sequence[Entry]) -> None:
        inherited = self._inherited(message)
        for entry in message:
            if entry.is_claim:
                self._read_claim(entry, inherited)
            elif entry.state == "future":
                self._read_future(entry)
            elif entry.claim != "holds":
                self._end_run(entry)

    def _inherited(self, message: Iterable[Entry]) -> Mapping[str, datetime]:
        """Rule 6: what each value denied here leaves to the value said in its place."""
        return {
            entry.value_key: max((self.runs[entry.value_key], *_starts(entry)))
            for entry in message
            if entry.claim == "denies" and entry.state != "future" and entry.value_key in self.runs
        }

    def _read_claim(self, entry: Entry, inherited: Mapping[str, datetime]) -> None:
        key, start = entry.value_key or "", self._start(entry, inherited)
        if start is None:
            return
        self.starts[entry.fact_id] = start
        if entry.state == "current":
            self._run(key, start, is_open=entry.end is None)
        if undenied(entry, self.denied):
            self.book.state(entry, start)
            self.statements.add(entry.said, key)

    def _start(self, entry: Entry, inherited: Mapping[str, datetime]) -> datetime | None:
        if entry.start is not None:
            return self._yielding(entry, entry.start)
        if entry.state == "past":
            return None
        if entry.state == "recurring":
            return entry.said
        left = [start for value, start in inherited.items() if value != entry.value_key]
        if left:
            return min(*left, entry.said)
        day = self.book.day_of(entry.value_key or "")
        return entry.said if day is None else self._yielding(entry, day)

    def _yielding(self, entry: Entry, start: Moment) -> datetime:
        """Rule 7: a start known to a unit gives way to what was said to be true within it."""
        latest = min(start.until, entry.said)
        if self.many or entry.state == "recurring" or start.at >= latest:
            return min(start.at, entry.said)
        other = self.statements.last_of_another(entry.value_key or "", start.at, latest)
        return start.at if other is None else min(next_midnight(other), latest)

    def _run(self, key: str, start: datetime, *, is_open: bool) -> None:
        """A value's run goes on until another value succeeds it (in a slot of one) or it ends."""
        earlier = self.runs.get(key, start)
        if is_open and not self.many:
            self.runs.clear()
        self.runs[key] = min(earlier, start)

    def _end_run(self, entry: Entry) -> None:
        if entry.value_key is None:
            self.runs.clear()
        else:
            self.runs.pop(entry.value_key, None)

    def _read_future(self, entry: Entry) -> None:
        if entry.claim == "holds" and entry.value_key is not None:
            self.book.announce(entry)
        elif entry.claim == "denies":
            self.book.cancel(entry)


def _starts(entry: Entry) -> tuple[datetime, ...]:
    return (entry.start.at,) if entry.start else ()
