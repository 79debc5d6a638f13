"""What counts as found, and how well a ranking and its scores do (pure).

One result counts once, whatever it says; a piece of evidence is found where any wording of a
result is one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.evaluation.quizzes import Answered


def found_share(answered: Answered, best: int) -> float:
    """The share of a question's evidence among the best results."""
    shown = frozenset().union(*answered.contents[:best])
    evidence = answered.question.evidence
    return sum(bool(each & shown) for each in evidence) / len(evidence)


def reciprocal_rank(answered: Answered) -> float:
    """One through the place of the first result that is evidence; 0 where none is."""
    wanted = frozenset().union(*answered.question.evidence)
    places = (place for place, each in enumerate(answered.contents, 1) if each & wanted)
    return 1 / next(places, math.inf)


def ndcg(answered: Answered, best: int) -> float:
    """Discounted gain of new evidence against the best order there is, 0..1."""
    missing = list(answered.question.evidence)
    gain = 0.0
    for place, shown in enumerate(answered.contents[:best], 1):
        found = [each for each in missing if each & shown]
        missing = [each for each in missing if not each & shown]
        gain += len(found) / math.log2(place + 1)
    ideal = sum(
        1 / math.log2(place + 1)
        for place in range(1, min(best, len(answered.question.evidence)) + 1)
    )
    return min(gain / ideal, 1.0)


def auc(answerable: Sequence[float], unanswerable: Sequence[float]) -> float | None:
    """How often an answerable question scores above an unanswerable one; ties count half."""
    if not answerable or not unanswerable:
        return None
    won = sum(
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in answerable
        for low in unanswerable
    )
    return won / (len(answerable) * len(unanswerable))


def mean(values: Iterable[float]) -> float | None:
    there = list(values)
    return sum(there) / len(there) if there else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
