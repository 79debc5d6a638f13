"""What is held for review, and what was decided about it.

An observation that was suspicious when it was written is believed by nobody until an operator
approves it; one that was rejected is as if it had been forgotten. Both follow from what it says and
from the acts alone: a decision names words and messages, never a row, so that a replay that reads
the same messages to the same words meets the decision made before. Which words are suspicious is
decided where they are written, never here.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.beliefs.observations import Observation, Review, Undo
from shared.beliefs.standing import Standing
from shared.beliefs.undoing import in_force


def review_key(subject: str, content: str, value: str | None, sources: Sequence[UUID]) -> str:
    """Name what is held: whom it is about, all its words, and the messages it rests on."""
    said = "\x1f".join([subject, content, value or "", *sorted(str(one) for one in sources)])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The decisions in force by what they name; of several the last counts."""

    approved: Mapping[str, bool]

    def holds(self, observation: Observation) -> bool:
        return self.awaited(observation.held)

    def awaited(self, key: str | None) -> bool:
        """Whether what this names waits for a decision; None names what was never suspicious."""
        return key is not None and key not in self.approved

    def rejects(self, observation: Observation) -> bool:
        return self.rejected(observation.held)

    def rejected(self, key: str | None) -> bool:
        return key is not None and self.approved.get(key) is False

    def standings(self, observations: Iterable[Observation]) -> dict[UUID, Standing]:
        """How those stand that wait."""
        return {
            o.fact_id: Standing(kind="quarantined", canonical_id=o.fact_id, evidence_count=0)
            for o in observations
            if self.holds(o)
        }


def reviewed(
    reviews: Iterable[Review], undos: Collection[Undo], known_at: datetime | None
) -> Reviewed:
    """Those in force at `known_at`, in the order they were made."""
    made = [one for one in reviews if known_at is None or one.at <= known_at]
    order = sorted(in_force(made, undos, known_at), key=lambda one: (one.at, one.id.int))
    return Reviewed({one.key: one.approved for one in order})
