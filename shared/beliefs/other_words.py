"""Rule 12 across generations: what a correction replaced stays replaced in other words too.

A correction names a statement, and whoever reads the same messages anew may word it otherwise.
Those words are noted as part of the correction: what they say, said before it, holds nowhere from
then on. Unlike what a tombstone names it was known before, and is known again if the correction
is taken back. Which words say the same is never decided here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from shared.beliefs.entries import Named
from shared.beliefs.observations import Observation, OtherWords, Undo, effective_said_at
from shared.beliefs.standing import Standing
from shared.beliefs.undoing import in_force

_SHOWN = {"belief", "merged", "plan"}


@dataclass(frozen=True, slots=True)
class Replacing:
    """The other words in force, by the statement that they are; of several the latest."""

    words: Mapping[Named, OtherWords]

    def stops(self, observation: Observation) -> bool:
        return self._by(observation) is not None

    def _by(self, observation: Observation) -> OtherWords | None:
        """What replaced it, if that was no earlier than it was said."""
        statement = (observation.subject, observation.slot, observation.value_key)
        found = self.words.get(statement)
        return found if found and effective_said_at(observation) <= found.at else None

    def pointed(
        self, standings: Mapping[UUID, Standing], observations: Iterable[Observation]
    ) -> dict[UUID, Standing]:
        """Points from what other words replaced to what the correction says, if that is shown."""
        result = dict(standings)
        for observation in observations:
            old, by = result[observation.fact_id], self._by(observation)
            new = result.get(by.act_id) if by else None
            if new and new.kind in _SHOWN and old.kind == "retired":
                result[observation.fact_id] = replace(old, superseded_by=new.canonical_id)
        return result


def replacing(
    words: Iterable[OtherWords], undos: Iterable[Undo], known_at: datetime | None
) -> Replacing:
    """Those in force at `known_at`, each under its statement."""
    made = [one for one in words if known_at is None or one.at <= known_at]
    latest: dict[Named, OtherWords] = {}
    for one in sorted(in_force(made, undos, known_at), key=lambda one: (one.at, one.id.int)):
        latest[one.subject, one.slot, one.value_key] = one
    return Replacing(latest)
