"""From a slot's outcome to the standing of each of its facts."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from shared.beliefs.competition import Interval, Lane, Outcome
from shared.beliefs.observations import Correction
from shared.beliefs.plans import Plan
from shared.beliefs.standing import Standing


def standings(
    facts: Iterable[UUID], forgotten: Iterable[UUID], outcome: Outcome, ends: Iterable[Plan]
) -> dict[UUID, Standing]:
    """The standing of each fact; `ends` are the announced ends of the outcome's beliefs."""
    result = {fact: Standing(kind="retired", canonical_id=fact) for fact in facts}
    for plan in outcome.plans:
        result.update(_of_plan(plan))
    for lane in outcome.lanes:
        result.update(_hidden(lane, outcome))
    result.update(_merged(outcome))
    result.update(_believed(outcome, list(ends)))
    result.update(
        {f: Standing(kind="forgotten", canonical_id=f, evidence_count=0) for f in forgotten}
    )
    return {fact: _pointing_to_canonical(standing, result) for fact, standing in result.items()}


def replaced(
    result: Mapping[UUID, Standing], acts: Iterable[Correction]
) -> Mapping[UUID, Standing]:
    """Points from what a correction replaced to what it says, where no other value took over."""
    found = dict(result)
    for act in acts:
        old, new = found.get(act.fact_id), result.get(act.id)
        if old and old.kind == "retired" and not old.superseded_by and new:
            by = new.canonical_id if new.kind in {"belief", "merged", "plan"} else None
            found[act.fact_id] = replace(old, superseded_by=by if by != act.fact_id else None)
    return found


def _of_plan(plan: Plan) -> Iterator[tuple[UUID, Standing]]:
    """A standing plan and what says the same; a closed one is retired by what closed it."""
    for fact in plan.evidence:
        if plan.until is not None:
            yield fact, Standing(kind="retired", canonical_id=fact, superseded_by=plan.closed_by)
        elif fact != plan.fact_id:
            yield fact, Standing(kind="merged", canonical_id=plan.fact_id)
    if plan.until is None:
        yield (
            plan.fact_id,
            Standing(
                kind="plan",
                canonical_id=plan.fact_id,
                planned_for=plan.day,
                planned_since=plan.since,
                evidence_count=len(plan.evidence),
            ),
        )


def _hidden(lane: Lane, outcome: Outcome) -> Iterator[tuple[UUID, Standing]]:
    """Claims that hold nowhere, with the belief found where they would have begun."""
    ends = [interval.valid_to for interval in lane.intervals]
    closed = [end for end in ends if end is not None]
    for claim in lane.claims:
        fact, asked = claim.entry.fact_id, outcome.asked[claim.entry.fact_id]
        at = bisect_right(closed, asked)
        found = lane.intervals[at] if at < len(lane.intervals) else None
        by = None
        if found and found.valid_from and found.valid_from <= asked:
            by = found.fact_id if found.value_key != claim.value_key else None
        yield fact, Standing(kind="retired", canonical_id=fact, superseded_by=by)


def _merged(outcome: Outcome) -> Iterator[tuple[UUID, Standing]]:
    """Evidence points to the canonical fact of the latest interval it lies in."""
    for lane in outcome.lanes:
        for interval in lane.intervals:
            for fact in interval.evidence:
                yield fact, Standing(kind="merged", canonical_id=interval.fact_id)


def _believed(outcome: Outcome, ends: list[Plan]) -> Iterator[tuple[UUID, Standing]]:
    intervals: dict[UUID, list[Interval]] = {}
    for lane in outcome.lanes:
        for interval in lane.intervals:
            intervals.setdefault(interval.fact_id, []).append(interval)
    open_ends = {plan.belief_id: plan for plan in ends if plan.until is None}
    for fact, own in intervals.items():
        end = open_ends.get(fact)
        yield (
            fact,
            Standing(
                kind="belief",
                canonical_id=fact,
                valid=tuple((i.valid_from, i.valid_to) for i in own),
                planned_for=end.day if end else None,
                planned_since=end.since if end else None,
                superseded_by=own[-1].superseded_by,
                evidence_count=len({f for i in own for f in i.evidence}),
            ),
        )


def _pointing_to_canonical(standing: Standing, all_of: Mapping[UUID, Standing]) -> Standing:
    """`superseded_by` names a fact that is shown: the canonical one of the cluster it is in."""
    by = all_of.get(standing.superseded_by) if standing.superseded_by else None
    if by is None or by.canonical_id == standing.superseded_by:
        return standing
    return replace(standing, superseded_by=by.canonical_id)
