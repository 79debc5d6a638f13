"""The fold of one slot's entries into beliefs: who competes with whom (rules 2, 9 and 10).

A slot of one is one lane, a slot of many has a lane for each value. `recurring` never competes in
a slot of one: each recurring value has a lane of its own beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeAlias
from uuid import UUID

from shared.beliefs.cover import Claim, covered
from shared.beliefs.denials import Denied
from shared.beliefs.entries import Entry
from shared.beliefs.moments import bounded_above, bounded_below
from shared.beliefs.plans import Plan
from shared.beliefs.succession import Won, lying_in, succeeded, winners

LaneKey: TypeAlias = tuple[bool, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One belief: `value` holds in [valid_from, valid_to); None is "no bound known".

    `fact_id` is the canonical fact, the lowest-ranked of `evidence` (by rank, at least one).
    `superseded_by` is the canonical fact of the value whose beginning closed the interval.
    """

    value: str
    value_key: str
    fact_id: UUID
    valid_from: datetime | None
    valid_to: datetime | None
    evidence: tuple[UUID, ...]
    superseded_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """Values that exclude each other, or one alone: its intervals in order of time.

    `beside`: recurring in a slot of one. `claims` are all of the lane, by rank.
    """

    beside: bool
    claims: tuple[Claim, ...]
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one slot's entries come to. `asked` is where each claim would have begun."""

    lanes: tuple[Lane, ...]
    plans: tuple[Plan, ...]
    asked: Mapping[UUID, datetime]
    denied: Denied

    def believed_with(self, fact_id: UUID) -> list[Interval]:
        """The intervals in which a fact is evidence."""
        return [i for lane in self.lanes for i in lane.intervals if fact_id in i.evidence]


def compete(entries: Sequence[Entry], *, many: bool, lasts: timedelta | None) -> Outcome:
    """Folds the entries of one slot, which come by rank."""
    cover = covered(entries, many=many, lasts=lasts)
    lanes: dict[LaneKey, list[Claim]] = {}
    for claim in cover.claims:
        lanes.setdefault(_lane_of(claim, many=many), []).append(claim)
    ordered = sorted(lanes, key=lambda key: (key[0], key[1] or ""))
    return Outcome(
        tuple(_lane(key[0], lanes[key]) for key in ordered), cover.plans, cover.asked, cover.denied
    )


def _lane_of(claim: Claim, *, many: bool) -> LaneKey:
    if many:
        return False, claim.value_key
    if claim.entry.state == "recurring":
        return True, claim.value_key
    return False, None


def _lane(beside: bool, claims: Sequence[Claim]) -> Lane:
    competing = succeeded(claims)
    won = winners(competing)
    lying = lying_in(competing, won)
    followed = zip(pairwise(won), lying[1:], strict=False)
    successors = [_successor(a, b, inside) for (a, b), inside in followed]
    intervals = tuple(map(_interval, won, lying, [*successors, None]))
    return Lane(beside, tuple(claims), intervals)


def _successor(ended: Won, following: Won, claims: Sequence[Claim]) -> UUID | None:
    """The canonical fact of what follows, if it began there; nobody's when it only returned."""
    if following.begins and following.start == ended.end:
        return claims[0].entry.fact_id
    return None


def _interval(won: Won, claims: Sequence[Claim], superseded_by: UUID | None) -> Interval:
    canonical = claims[0].entry
    return Interval(
        value=canonical.value or won.value_key,
        value_key=won.value_key,
        fact_id=canonical.fact_id,
        valid_from=bounded_below(won.start),
        valid_to=bounded_above(won.end),
        evidence=tuple(claim.entry.fact_id for claim in claims),
        superseded_by=superseded_by,
    )
