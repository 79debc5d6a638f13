"""Which pairs of free-text facts are worth judging (pure): near neighbours of the same subject.

One matrix product compares a batch's vectors with all that the user has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.deduper import guards
from services.deduper.thresholds import Floors

_BLOCK = 512  # rows of one product: 512 × 10,000 similarities are 20 MB


@dataclass(frozen=True, slots=True)
class FreeText:
    """A free-text fact and its vector (L2-normalized)."""

    id: UUID
    subject: str
    content: str
    generation: int
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What was decided about a pair; `first` < `second`."""

    first: UUID
    second: UUID
    verdict: str
    reason: str
    cosine: float


def judge_pairs(
    fresh: Sequence[FreeText], others: Sequence[FreeText], floors: Floors
) -> list[PairVerdict]:
    """Judge every new fact against its neighbours, old and new; independent pairs are left out."""
    verdicts: dict[tuple[UUID, UUID], PairVerdict] = {}
    for a, b, cosine in _neighbours(fresh, [*others, *fresh], floors.candidate):
        first, second = sorted((a, b), key=lambda fact: fact.id)
        if (first.id, second.id) in verdicts or not _comparable(first, second):
            continue
        judged = guards.judge(first.content, second.content, cosine, floors)
        if judged.verdict != "independent":
            verdicts[first.id, second.id] = PairVerdict(
                first.id, second.id, judged.verdict, judged.reason, cosine
            )
    return list(verdicts.values())


def _comparable(a: FreeText, b: FreeText) -> bool:
    """Facts of two generations never meet, but those stated directly belong to every one."""
    same_run = a.generation == b.generation or 0 in (a.generation, b.generation)
    return a.id != b.id and a.subject == b.subject and same_run


def _neighbours(
    fresh: Sequence[FreeText], everything: Sequence[FreeText], floor: float
) -> Iterator[tuple[FreeText, FreeText, float]]:
    if not fresh or not everything:
        return
    matrix = np.stack([fact.vector for fact in everything])
    for start in range(0, len(fresh), _BLOCK):
        block = fresh[start : start + _BLOCK]
        similarity = np.stack([fact.vector for fact in block]) @ matrix.T
        for row, column in np.argwhere(similarity >= floor):
            yield block[row], everything[column], float(similarity[row, column])
