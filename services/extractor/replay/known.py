"""What was believed of a user at a moment: what a call at that moment would have been told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.extractor.turns import KnownFact
from shared.beliefs import believed_at
from shared.db import Row
from shared.ledger import folding
from shared.ledger.acts import Acts

_KNOWN_LIMIT = 50


class KnownThen:
    """Folds the user's own attributes of the generation in use, as far as they were said by then.

    Always the same at the same moment, whatever the replay has found so far: sessions may be read
    in any order and side by side, and after a crash the same is asked again.
    """

    def __init__(self, rows: Sequence[Row], acts: Acts) -> None:
        self._rows = folding.by_attribute(rows)
        self._acts = acts

    def at(self, moment: datetime) -> list[KnownFact]:
        known: list[KnownFact] = []
        for attribute, rows in sorted(self._rows.items()):
            said = [row for row in rows if row["said_at"] < moment]
            if not said:
                continue
            acts = Acts(
                tuple(act for act in self._acts.corrections if act.at < moment),
                self._acts.tombstones,
            )
            timeline = folding.fold_attribute(attribute, said, acts)
            known += [
                KnownFact(slot=attribute[1], value=interval.value)
                for interval in believed_at(timeline, moment)
            ]
        return known[:_KNOWN_LIMIT]
