"""Rule 2: the stretches of time that each claim covers, before claims compete.

Puts beginnings, own ends, `lasts`, endings and denials together; compares no two values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.beliefs.beginnings import beginnings
from shared.beliefs.denials import Denied, denied_stretches
from shared.beliefs.endings import endings, own_end
from shared.beliefs.entries import Entry
from shared.beliefs.moments import FOREVER, Stretch, later, until, without
from shared.beliefs.plans import Plan
from shared.beliefs.statements import Statements, all_statements


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim and the ordered, disjoint stretches that it covers."""

    entry: Entry
    stretches: tuple[Stretch, ...]

    @property
    def value_key(self) -> str:
        return self.entry.value_key or ""


@dataclass(frozen=True, slots=True)
class Covered:
    """Everything said about one slot: claims by rank, each claim's asked-for start, and plans."""

    claims: tuple[Claim, ...]
    asked: Mapping[UUID, datetime]
    plans: tuple[Plan, ...]
    denied: Denied


def covered(entries: Sequence[Entry], *, many: bool, lasts: timedelta | None) -> Covered:
    """Folds entries (by rank) up to the point where values compete."""
    denied = denied_stretches(entries)
    statements = all_statements(entries, denied)
    begun = beginnings(entries, denied, many=many)
    closed = endings(entries, begun.starts, statements)
    claims: list[Claim] = []
    for entry in entries:
        start = begun.starts.get(entry.fact_id) if entry.is_claim else None
        if start is None:
            continue
        own = (start, _end(entry, start, lasts, statements))
        kept = until(without(own, denied[entry.fact_id]), closed[entry.fact_id])
        claims.append(Claim(entry, kept))
    return Covered(tuple(claims), begun.starts, begun.plans, denied)


def _end(
    entry: Entry, start: datetime, lasts: timedelta | None, statements: Statements
) -> datetime:
    """Its own end; else, in a slot whose claims last (rule 11), that long after it was said."""
    end = own_end(entry, start, statements)
    if end is not None:
        return end
    return FOREVER if lasts is None else later(entry.said, lasts)
