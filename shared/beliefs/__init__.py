"""The law of beliefs: what is believed is a pure function of the set of inputs.

Slots are folded by `fold_slot`, free text by `cluster`; both give every fact a `Standing`, which
`status_at` turns into its status at a moment. Nothing here reads a clock, a database or a model.
"""

from shared.beliefs.clusters import cluster
from shared.beliefs.competition import Interval
from shared.beliefs.fold import fold_slot
from shared.beliefs.observations import (
    Cardinality,
    ClaimKind,
    Correction,
    Observation,
    OtherWords,
    Precision,
    Rank,
    Review,
    TemporalState,
    Tombstone,
    Undo,
    effective_said_at,
    natural_key,
    rank_key,
)
from shared.beliefs.plans import Plan
from shared.beliefs.quarantine import review_key
from shared.beliefs.standing import Kind, Standing, Status, due_to_end, is_believed, status_at
from shared.beliefs.timeline import (
    SlotTimeline,
    believed_at,
    ending_at,
    plan_status_at,
    planned_at,
    recurring_at,
)

__all__ = [
    "Cardinality",
    "ClaimKind",
    "Correction",
    "Interval",
    "Kind",
    "Observation",
    "OtherWords",
    "Plan",
    "Precision",
    "Rank",
    "Review",
    "SlotTimeline",
    "Standing",
    "Status",
    "TemporalState",
    "Tombstone",
    "Undo",
    "believed_at",
    "cluster",
    "due_to_end",
    "effective_said_at",
    "ending_at",
    "fold_slot",
    "is_believed",
    "natural_key",
    "plan_status_at",
    "planned_at",
    "rank_key",
    "recurring_at",
    "review_key",
    "status_at",
]
