"""Rule 12: an operator's correction as two entries said at the act's time.

Decides which stretch a correction is about: the one for which the operator, at the time of the
act, saw the corrected fact believed. A belief that had already ended is corrected in its own
stretch and no further, so that mending the past leaves the present alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.beliefs.competition import Outcome, compete
from shared.beliefs.denials import is_denial
from shared.beliefs.entries import Entry, Moment
from shared.beliefs.observations import Correction, act_rank


def with_corrections(
    entries: Sequence[Entry], acts: Sequence[Correction], *, many: bool, lasts: timedelta | None
) -> list[Entry]:
    """Entries and acts (both in their order) as entries by rank."""
    result = list(entries)
    corrected = {act.id: act.fact_id for act in acts}
    stands_for: dict[UUID, UUID] = {}  # who took a fact's place in other words
    for act in acts:
        named = stands_for.get(act.fact_id, act.fact_id)
        seen = [entry for entry in result if _seen(entry, named, act)]
        target = next((e for e in reversed(seen) if e.fact_id == named), None)
        if target is None:
            result += _from_record(act)
        elif target.value_key == act.value_key:
            result = [e for e in result if e is not target] + [_reworded(act, target)]
            stands_for |= {old: act.id for old, new in stands_for.items() if new == named}
            stands_for[named] = act.id
            corrected[act.id] = corrected.get(named, named)
        elif target.claim != "holds" or (target.state == "past" and target.start is None):
            result = [e for e in result if e is not target] + [_restated(act, target)]
        elif target.state == "future":
            result += _replanned(act, target)
        else:
            made = _replaced(act, target, compete(seen, many=many, lasts=lasts))
            said = [e for e in seen if many and corrected.get(e.fact_id) == act.fact_id]
            result += _instead_of(said, act, made[-1]) + made
        result.sort(key=lambda entry: entry.rank)
    return result


def _seen(entry: Entry, named: UUID, act: Correction) -> bool:
    """What the operator saw, the corrected fact included; the act wins ties with the rest."""
    if entry.fact_id == named:
        return entry.rank < act_rank(act, 0)
    return entry.recorded < act.at


def _is_assertion(entry: Entry) -> bool:
    """Whether it is the half of a correction that says the new value."""
    return entry.rank[1:4:2] == (1, 1)


def is_retraction(entry: Entry) -> bool:
    """Whether it is the half of a correction that takes back the old value."""
    return entry.rank[1:4:2] == (1, 0)


def _assertion(act: Correction) -> Entry:
    """The new value, said at the act's time."""
    said = act.at.astimezone(UTC)
    return Entry(
        rank=act_rank(act, 1),
        fact_id=act.id,
        message=str(act.id),
        said=said,
        recorded=said,
        claim="holds",
        state="current",
        value=act.value,
        value_key=act.value_key,
        start=None,
        end=None,
        quiet=True,
    )


def _from_record(act: Correction) -> list[Entry]:
    """The act by its own record, when the corrected fact is gone: at least from now on."""
    if act.value_key == act.old_value_key and act.valid_from is None:
        return []  # other words for what was believed nowhere
    new = replace(
        _assertion(act),
        start=None if act.valid_from is None else _exact(act.valid_from.astimezone(UTC)),
        end=None if act.valid_to is None else _exact(act.valid_to.astimezone(UTC)),
    )
    old = replace(new, value=None, value_key=act.old_value_key)
    return [new] if old.value_key is None else [_denial(act, new, old), new]


def _reworded(act: Correction, target: Entry) -> Entry:
    """The same statement where it stood, as the operator spells it: nothing else changes."""
    return replace(target, fact_id=act.id, value=act.value)


def _restated(act: Correction, target: Entry) -> Entry:
    """What only ends or denies, said again with the new value, for the moment it was said of."""
    timeless = target.claim == "ends" or not is_denial(target)
    start = target.start or (_exact(target.said) if timeless and target.end is None else None)
    return replace(
        _assertion(act), claim=target.claim, state=target.state, start=start, end=target.end
    )


def _replanned(act: Correction, target: Entry) -> list[Entry]:
    """The plan for the old value is called off, and one for the new value stands in its place."""
    planned = replace(_assertion(act), state="future", start=target.start, end=target.end)
    return [planned] if target.value_key is None else [_denial(act, planned, target), planned]


def _replaced(act: Correction, target: Entry, seen: Outcome) -> list[Entry]:
    """The old value is denied for the corrected belief's stretch, the new one asserted for it."""
    believed = seen.believed_with(target.fact_id)
    starts = [interval.valid_from for interval in believed if interval.valid_from]
    ends = [interval.valid_to for interval in believed] or [_stated_end(target)]
    start = min(starts, default=seen.asked.get(target.fact_id, target.said))
    end = max((end for end in ends if end), default=act.at) if all(ends) else None
    new = replace(
        _assertion(act),
        state="recurring" if target.state == "recurring" else "current",
        start=_exact(start),
        end=None if end is None else _exact(end),
    )
    return [new] if target.value_key is None else [_denial(act, new, target), new]


def _instead_of(said: Sequence[Entry], act: Correction, new: Entry) -> list[Entry]:
    """In a slot of many, what earlier corrections of the same fact put in its place goes too."""
    others = [e for e in said if _is_assertion(e) and e.value_key not in {None, act.value_key}]
    return [_denial(act, new, other) for other in others]


def _denial(act: Correction, new: Entry, old: Entry) -> Entry:
    """What the new value replaces: the old value, over the same dates."""
    return replace(
        _assertion(act),
        rank=act_rank(act, 0),
        claim="denies",
        state="future" if new.state == "future" else "current",
        value=old.value,
        value_key=old.value_key,
        start=new.start,
        end=new.end,
    )


def _stated_end(target: Entry) -> datetime | None:
    if target.end is not None:
        return target.end.at
    return target.start.until if target.state == "past" and target.start else None


def _exact(at: datetime) -> Moment:
    return Moment(at=at, until=at)
