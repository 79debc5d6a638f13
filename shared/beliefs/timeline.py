"""The timeline of one slot, and the questions one asks it; it does not depend on "now"."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.beliefs.competition import Interval
from shared.beliefs.observations import Cardinality
from shared.beliefs.plans import Plan
from shared.beliefs.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTimeline:
    """What the inputs of one (subject, slot) come to.

    `intervals` by (valid_from, value_key); in a slot of one they never overlap. `recurring` holds
    in a slot of one beside them and competes with nothing (rule 2). `plans` are all that ever
    stood, by (since, fact id). `standings` has every observation that was recorded by `known_at`,
    and every act of an operator under the act's id.
    """

    cardinality: Cardinality
    intervals: tuple[Interval, ...]
    recurring: tuple[Interval, ...]
    plans: tuple[Plan, ...]
    standings: Mapping[UUID, Standing]


def believed_at(timeline: SlotTimeline, as_of: datetime) -> tuple[Interval, ...]:
    """What holds at a moment: at most one in a slot of one."""
    return tuple(interval for interval in timeline.intervals if _covers(interval, as_of))


def recurring_at(timeline: SlotTimeline, as_of: datetime) -> tuple[Interval, ...]:
    """What recurs at a moment, in a slot of one."""
    return tuple(interval for interval in timeline.recurring if _covers(interval, as_of))


def planned_at(timeline: SlotTimeline, as_of: datetime) -> tuple[Plan, ...]:
    """The plans to begin that stand at a moment, planned or due: see `plan_status_at`."""
    return _standing_at(timeline, "begin", as_of)


def ending_at(timeline: SlotTimeline, as_of: datetime) -> tuple[Plan, ...]:
    """The announced ends that stand at a moment; 'due' ones make a belief due to end."""
    return _standing_at(timeline, "end", as_of)


def plan_status_at(plan: Plan, as_of: datetime) -> Literal["planned", "due"]:
    """Planned until its day, then due; without a day never due (rule 8)."""
    return "due" if plan.day is not None and as_of >= plan.day else "planned"


def _standing_at(
    timeline: SlotTimeline, kind: Literal["begin", "end"], as_of: datetime
) -> tuple[Plan, ...]:
    return tuple(
        plan
        for plan in timeline.plans
        if plan.kind == kind and plan.since <= as_of and (plan.until is None or as_of < plan.until)
    )


def _covers(interval: Interval, as_of: datetime) -> bool:
    start, end = interval.valid_from, interval.valid_to
    return (start is None or start <= as_of) and (end is None or as_of < end)
