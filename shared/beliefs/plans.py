"""Rule 8: what was announced, until its day planned and then due, and what became of it.

Decides which plan stands in a slot of one (or for each value of a slot of many), what confirms,
cancels or fells it. Believing a plan is never decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.beliefs.entries import Entry, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A value announced to begin, or a believed one announced to end.

    It stands in [since, until); `day` is its date (None: never due) in both kinds. `fact_id` is
    the announcing fact, lowest-ranked, and `evidence` all of them; `belief_id` is the belief that
    is to end, and `closed_by` the fact that confirmed, replaced, cancelled or felled it.
    """

    kind: Literal["begin", "end"]
    value: str | None
    value_key: str | None
    fact_id: UUID
    day: datetime | None
    since: datetime
    until: datetime | None
    evidence: tuple[UUID, ...]
    belief_id: UUID | None = None
    closed_by: UUID | None = None


@dataclass(slots=True)
class _Open:
    """A plan that still stands while the inputs are read in rank order."""

    entries: list[Entry]
    day: Moment | None = None

    def announce(self, entry: Entry) -> None:
        """The latest said day counts; saying it again without a day changes nothing."""
        if entry.start is not None:
            self.day = entry.start

    def closed(self, until: datetime | None, by: UUID | None) -> Plan:
        first = self.entries[0]
        return Plan(
            kind="begin",
            value=first.value,
            value_key=first.value_key,
            fact_id=first.fact_id,
            day=self.day.at if self.day else None,
            since=first.said,
            until=until,
            evidence=tuple(entry.fact_id for entry in self.entries),
            closed_by=by,
        )


@dataclass(slots=True)
class PlanBook:
    """The plans of one slot, told entry by entry in rank order."""

    many: bool
    _open: dict[str, _Open] = field(default_factory=dict)
    _closed: list[Plan] = field(default_factory=list)

    def announce(self, entry: Entry) -> None:
        """A `future` claim: the latest said plan for a slot stands; an equal one joins it."""
        key = entry.value_key or ""
        rivals = [] if self.many else [other for other in self._open if other != key]
        for other in rivals:
            self._close(other, entry.said, entry.fact_id)
        plan = self._open.setdefault(key, _Open(entries=[]))
        plan.entries.append(entry)
        plan.announce(entry)

    def cancel(self, entry: Entry) -> None:
        """A `future` denial cancels the plan for its value; for any other message's without one."""
        for key, plan in list(self._open.items()):
            same_message = plan.entries[-1].message == entry.message
            if entry.value_key == key or (entry.value_key is None and not same_message):
                self._close(key, entry.said, entry.fact_id)

    def day_of(self, value_key: str) -> Moment | None:
        """The day of the standing plan for a value: the start of a confirmation without one."""
        plan = self._open.get(value_key)
        return plan.day if plan else None

    def state(self, entry: Entry, start: datetime) -> None:
        """A current statement, true since `start`, confirms its own plan and may fell another."""
        for key, plan in list(self._open.items()):
            if key == entry.value_key:
                self._close(key, start, entry.fact_id)
            elif not self.many and plan.day is not None and entry.said >= plan.day.until:
                self._close(key, entry.said, entry.fact_id)

    def plans(self) -> Iterator[Plan]:
        """Every plan there was; one that was true before it was announced ends before it began."""
        yield from self._closed
        for plan in self._open.values():
            yield plan.closed(None, None)

    def _close(self, key: str, until: datetime, by: UUID) -> None:
        self._closed.append(self._open.pop(key).closed(until, by))
