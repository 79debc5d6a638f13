"""What the law says of one fact: the cache that its row carries, independent of the time asked.

`status_at` turns it into the status at a moment; nothing else needs to know the moment.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast
from uuid import UUID

from shared.beliefs.observations import TemporalState

Kind: TypeAlias = Literal["belief", "merged", "plan", "retired", "forgotten", "quarantined"]
Status: TypeAlias = Literal[
    "current", "planned", "due", "past", "merged", "forgotten", "quarantined"
]
Validity: TypeAlias = tuple[tuple[datetime | None, datetime | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What became of one fact.

    `kind`: 'belief' is the canonical fact of at least one interval; 'merged' is evidence for
    another, `canonical_id`; 'plan' stands announced; 'retired' holds nowhere; 'forgotten' is
    stopped by a tombstone, or rejected; 'quarantined' waits for an operator's decision.
    `canonical_id` is the fact's own id in every kind but 'merged'.

    `valid`: ordered half-open stretches for which it is believed, as its intervals' canonical
    fact; empty in every kind but 'belief'. `planned_for` and `planned_since`: the day of a plan,
    or of a belief's announced end, and when it was announced. `superseded_by`: the fact whose
    beginning closed the last stretch, or that took the place of a retired one. `evidence_count`:
    how many observations a belief or plan rests on; 1 for others, 0 when forgotten or held.
    """

    kind: Kind
    canonical_id: UUID
    valid: Validity = ()
    planned_for: datetime | None = None
    planned_since: datetime | None = None
    superseded_by: UUID | None = None
    evidence_count: int = 1


def status_at(
    standing: Standing,
    temporal_state: TemporalState,  # noqa: ARG001 - callers pass the row; its tense is folded already
    as_of: datetime,
) -> Status:
    """The status of a fact at a moment.

    A bygone is current at the moments it covers, like any other belief. A plan is planned until
    its day and due from then on (without a day never due). Before it was announced it is 'past',
    and so is a belief outside its stretches.
    """
    if standing.kind in {"merged", "forgotten", "quarantined"}:
        return cast("Status", standing.kind)
    if standing.kind == "plan":
        return _plan_status(standing, as_of)
    return "current" if is_believed(standing, as_of) else "past"


def _plan_status(standing: Standing, as_of: datetime) -> Status:
    since, day = standing.planned_since, standing.planned_for
    if since is None or as_of < since:
        return "past"
    return "due" if day is not None and as_of >= day else "planned"


def is_believed(standing: Standing, as_of: datetime) -> bool:
    """Whether one of the stretches holds the moment."""
    return any(
        (start is None or start <= as_of) and (end is None or as_of < end)
        for start, end in standing.valid
    )


def due_to_end(standing: Standing, as_of: datetime) -> bool:
    """Believed, although its announced end has come (rule 8)."""
    day = standing.planned_for
    return day is not None and as_of >= day and is_believed(standing, as_of)
