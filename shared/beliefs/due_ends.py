"""Rule 8, last sentence: a `future` ending makes a belief due to end; it never closes it.

Decides which intervals such an announcement is about, and what cancels it: a `future` denial of
the value, or the value stated once more after the announced day's unit.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.beliefs.competition import Interval, Outcome
from shared.beliefs.entries import Entry, Moment
from shared.beliefs.moments import FOREVER
from shared.beliefs.plans import Plan
from shared.beliefs.statements import undenied


def due_ends(entries: Sequence[Entry], outcome: Outcome) -> tuple[Plan, ...]:
    """The announced ends of all intervals; entries by rank, of several on one the latest stands."""
    by_id = {entry.fact_id: entry for entry in entries}
    intervals = [interval for lane in outcome.lanes for interval in lane.intervals]
    plans = [
        _due_end(ending, interval, _closing(ending, interval, entries[at + 1 :], outcome))
        for at, ending in enumerate(entries)
        if _announces_end(ending)
        for interval in intervals
        if _is_about(ending, interval, by_id)
    ]
    return tuple(plan for plan in plans if plan.until is None or plan.since < plan.until)


def _announces_end(entry: Entry) -> bool:
    return entry.claim == "ends" and entry.state == "future"


def _is_about(ending: Entry, interval: Interval, by_id: Mapping[UUID, Entry]) -> bool:
    """It was not over when the end was announced, and rests on something said before."""
    if ending.value_key not in {None, interval.value_key}:
        return False
    if interval.valid_to is not None and interval.valid_to <= ending.said:
        return False
    said = (by_id[fact_id] for fact_id in interval.evidence)
    nameless = ending.value_key is None
    return any(
        e.rank < ending.rank and not (nameless and e.message == ending.message) for e in said
    )


def _closing(
    ending: Entry, interval: Interval, later: Iterable[Entry], outcome: Outcome
) -> tuple[datetime, UUID | None]:
    """When the announcement stops standing, and through which fact; `later` comes by rank."""
    over = interval.valid_to or FOREVER, interval.superseded_by
    for entry in later:
        if entry.said >= over[0]:
            break
        if _calls_off(entry, ending, interval.value_key, outcome):
            return entry.said, entry.fact_id
    return over


def _calls_off(entry: Entry, ending: Entry, value_key: str, outcome: Outcome) -> bool:
    """Another announcement, a `future` denial, or the value stated after the day's unit."""
    if entry.value_key not in {None, value_key}:
        return False
    if _announces_end(entry) or (entry.claim == "denies" and entry.state == "future"):
        return True
    day = _day(ending)
    return day is not None and entry.said >= day.until and undenied(entry, outcome.denied)


def _day(ending: Entry) -> Moment | None:
    return ending.end or ending.start


def _due_end(ending: Entry, interval: Interval, closing: tuple[datetime, UUID | None]) -> Plan:
    day, (until, by) = _day(ending), closing
    return Plan(
        kind="end",
        value=interval.value,
        value_key=interval.value_key,
        fact_id=ending.fact_id,
        day=day.at if day else None,
        since=max(ending.said, interval.valid_from or ending.said),
        until=None if until == FOREVER else until,
        evidence=(ending.fact_id,),
        belief_id=interval.fact_id,
        closed_by=by,
    )
