"""Which pairs of free-text facts are worth judging (pure): those near in meaning or in words.

One matrix product compares a batch's vectors with all that a user has. Guards decide what needs no
model; with one, at most `MOST_CANDIDATES` undecided pairs of each new fact are proposed to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.deduper import guards
from services.deduper.lexical import Scores, Wordings
from services.deduper.thresholds import Floors
from shared.beliefs.observations import NaturalKey, natural_key

MOST_NEIGHBOURS = 100
"""Pairs the guards look at per new fact. The nearest say the same; a hundred others that do are a
cluster of their own, which costs a row and loses nothing."""
MOST_CANDIDATES = 30
"""Pairs a model is asked about per new fact."""
_RELATED_OVERLAP = 0.2  # Jaccard of content words from which a pair is a candidate at any cosine
_BLOCK = 512  # rows of one product: 512 × 10,000 similarities are 20 MB

Vectors = NDArray[np.float32]
PairKey: TypeAlias = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class FreeText:
    """A free-text fact; `said` is when it counts as said, never later than it arrived."""

    id: UUID
    subject: str
    content: str
    generation: int
    said: datetime
    message_key: str
    ordinal: int

    @property
    def rank(self) -> tuple[datetime, NaturalKey, int, int]:
        """Who is later, as the law of beliefs ranks observations."""
        return self.said, natural_key(self.message_key), self.ordinal, self.id.int


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
    judge: str = guards.JUDGE


@dataclass(frozen=True, slots=True)
class Pair:
    """Two facts and what guards say of them; `new` was said later."""

    new: FreeText
    old: FreeText
    cosine: float
    wording: guards.Verdict

    @property
    def key(self) -> PairKey:
        one, other = self.new.id, self.old.id
        return (one, other) if one < other else (other, one)

    def decided(self, verdict: str, reason: str, judge: str = guards.JUDGE) -> PairVerdict:
        return PairVerdict(*self.key, verdict, reason, self.cosine, judge)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What guards decided, and what is left for a model."""

    decided: list[PairVerdict]
    doubtful: list[Pair]


def propose(
    fresh: Collection,
    others: Collection,
    floors: Floors,
    *,
    with_model: bool,
) -> Proposal:
    """Decide every new fact's pairs, old and new, as far as wording goes.

    A pair is proposed to a model for what its two facts are, never for which came first; only for
    a fact with more candidates than a model may be asked about does it matter what else is there.
    """
    everything = others.plus(fresh)
    resembling = Resembling(everything, floors) if with_model else None
    decided: dict[PairKey, PairVerdict] = {}
    doubtful: dict[PairKey, Pair] = {}
    for row, cosines in _compared(fresh, everything):
        fact = everything.facts[row]
        same = list(_merged(fact, cosines, everything, floors, decided))
        if resembling is not None:
            for pair in resembling.pairs(row, cosines, same):
                if pair.wording.verdict == "duplicate":
                    decided[pair.key] = pair.decided("duplicate", pair.wording.reason)
                else:
                    doubtful[pair.key] = pair
    left = [pair for key, pair in doubtful.items() if key not in decided]
    return Proposal(list(decided.values()), left)


def _compared(fresh: Collection, everything: Collection) -> Iterator[tuple[int, Vectors]]:
    """Yield each new fact's row, with its cosines to everything."""
    first = len(everything.facts) - len(fresh.facts)
    for start in range(0, len(fresh.facts), _BLOCK):
        similarity = fresh.vectors[start : start + _BLOCK] @ everything.vectors.T
        for row, cosines in enumerate(similarity):
            yield first + start + row, cosines


def _merged(
    fact: FreeText,
    cosines: Vectors,
    everything: Collection,
    floors: Floors,
    decided: dict[PairKey, PairVerdict],
) -> Iterator[int]:
    """Add what the guards merge this fact with to `decided`; yields the rows that say the same."""
    near = np.flatnonzero(cosines >= floors.candidate)
    if len(near) > MOST_NEIGHBOURS:
        near = near[np.argpartition(-cosines[near], MOST_NEIGHBOURS)[:MOST_NEIGHBOURS]]
    for row in near:
        other, cosine = everything.facts[row], float(cosines[row])
        first, second = (fact, other) if fact.id < other.id else (other, fact)
        if (first.id, second.id) in decided:
            yield int(row)
        elif comparable(first, second) and guards.could_merge(first.content, second.content):
            judged = guards.judge(first.content, second.content, cosine, floors)
            if judged.verdict == "duplicate":
                verdict = PairVerdict(first.id, second.id, "duplicate", judged.reason, cosine)
                decided[first.id, second.id] = verdict
                yield int(row)


def comparable(a: FreeText, b: FreeText) -> bool:
    """Facts of two generations never meet, but those stated directly belong to every one."""
    same_run = a.generation == b.generation or 0 in (a.generation, b.generation)
    return a.id != b.id and a.subject == b.subject and same_run


class Resembling:
    """What of a user's facts a model should compare a fact with."""

    def __init__(self, everything: Collection, floors: Floors) -> None:
        self._facts = everything.facts
        self._floors = floors
        self._wordings = Wordings([fact.content for fact in everything.facts])
        codes: dict[str, int] = {}
        self._subjects = np.array(
            [codes.setdefault(fact.subject, len(codes)) for fact in everything.facts]
        )
        self._generations = np.array([fact.generation for fact in everything.facts])

    def pairs(self, row: int, cosines: Vectors, same: Sequence[int]) -> list[Pair]:
        """The likeliest pairs of the fact in this row, but for those already known to be `same`.

        Likeliest by min-max fusion of cosine and BM25, as recall ranks.
        """
        fact = self._facts[row]
        overlap = self._wordings.overlap(fact.content)
        eligible = (cosines >= self._floors.related) | (overlap >= _RELATED_OVERLAP)
        eligible &= self._subjects == self._subjects[row]
        if fact.generation:
            eligible &= (self._generations == fact.generation) | (self._generations == 0)
        eligible[[row, *same]] = False
        rows = np.flatnonzero(eligible)
        if len(rows) > MOST_CANDIDATES:
            likely = _spread(cosines[rows]) + _spread(self._wordings.bm25(fact.content)[rows])
            rows = rows[np.argsort(-likely, kind="stable")[:MOST_CANDIDATES]]
        return [
            pair_of(fact, self._facts[other], float(cosines[other]), self._floors) for other in rows
        ]


def _spread(scores: Scores) -> Scores:
    """Scores stretched to 0..1."""
    low, high = float(scores.min()), float(scores.max())
    return np.asarray((scores - low) / max(high - low, 1e-6), dtype=np.float32)


def pair_of(one: FreeText, other: FreeText, cosine: float, floors: Floors) -> Pair:
    """Put two facts in order, by which of them was said later, and let the guards look at them."""
    old, new = sorted((one, other), key=lambda fact: fact.rank)
    return Pair(new, old, cosine, guards.judge(new.content, old.content, cosine, floors))
