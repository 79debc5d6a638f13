"""Which pairs of free-text facts are worth judging (pure): near neighbours of the same subject.

One matrix product compares a batch's vectors with all that a user has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.deduper import guards
from services.deduper.thresholds import Floors

MOST_NEIGHBOURS = 100
"""Pairs judged per new fact. The nearest say the same; a hundred others that do are a cluster of
their own, which costs a row and loses nothing."""
_BLOCK = 512  # rows of one product: 512 × 10,000 similarities are 20 MB

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FreeText:
    """A free-text fact."""

    id: UUID
    subject: str
    content: str
    generation: int


@dataclass(frozen=True, slots=True)
class Collection:
    """Free-text facts with their vectors, row by row: (n, dimensions), L2-normalized."""

    facts: tuple[FreeText, ...]
    vectors: Vectors

    def plus(self, other: Collection) -> Collection:
        if not self.facts:
            return other
        if not other.facts:
            return self
        return Collection(
            (*self.facts, *other.facts), np.concatenate([self.vectors, other.vectors])
        )


NOTHING = Collection((), np.empty((0, 0), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What was decided about a pair; `first` < `second`."""

    first: UUID
    second: UUID
    verdict: str
    reason: str
    cosine: float


def judge_pairs(fresh: Collection, others: Collection, floors: Floors) -> list[PairVerdict]:
    """Judge every new fact against its neighbours, old and new; returns what may merge."""
    verdicts: dict[tuple[UUID, UUID], PairVerdict] = {}
    for a, b, cosine in _neighbours(fresh, others.plus(fresh), floors.candidate):
        first, second = (a, b) if a.id < b.id else (b, a)
        if (first.id, second.id) in verdicts or not _comparable(first, second):
            continue
        judged = guards.judge(first.content, second.content, cosine, floors)
        if judged.verdict == "duplicate":  # a doubtful pair waits for a model: both are kept
            verdicts[first.id, second.id] = PairVerdict(
                first.id, second.id, judged.verdict, judged.reason, cosine
            )
    return list(verdicts.values())


def _comparable(a: FreeText, b: FreeText) -> bool:
    """Facts of two generations never meet, but those stated directly belong to every one."""
    same_run = a.generation == b.generation or 0 in (a.generation, b.generation)
    return a.id != b.id and a.subject == b.subject and same_run


def _neighbours(
    fresh: Collection, everything: Collection, floor: float
) -> Iterator[tuple[FreeText, FreeText, float]]:
    """Yield each new fact's nearest neighbours above the floor, at most so many."""
    for start in range(0, len(fresh.facts), _BLOCK):
        similarity = fresh.vectors[start : start + _BLOCK] @ everything.vectors.T
        for row, cosines in enumerate(similarity):
            near = np.flatnonzero(cosines >= floor)
            if len(near) > MOST_NEIGHBOURS:
                near = near[np.argpartition(-cosines[near], MOST_NEIGHBOURS)[:MOST_NEIGHBOURS]]
            for column in near:
                yield fresh.facts[start + row], everything.facts[column], float(cosines[column])
