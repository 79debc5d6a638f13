"""Orders what the two arms of recall found, and says how relevant each hit is on an absolute scale.

Pure. Two numbers per hit: `rank_score` orders hits of one query and means nothing beyond it;
`score` (0..1) is absolute, so that a caller can say "nothing relevant" by min_score.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.gateway.calibration import MINILM, Calibration
from services.gateway.surroundings import lent

_DAY = timedelta(days=1)
_COMPARED, _NEARLY = 50, 6 / 7
_SURELY_ASKED = 0.9  # the score of what is asked for by name, whatever its words are
_NO_HINTS: Mapping[str, float] = MappingProxyType({})
K1, B = 0.9, 0.4  # facts and messages are short: length says little, a repeated word not much

_Factors = NDArray[np.float64]


@dataclass(slots=True)  # a frozen one takes six times as long to make, and a query makes hundreds
class Candidate:
    """A fact that was found; None where an arm did not. Nobody changes it.

    `cosine` is -1..1; `bm25` ≥ 0; `matched_share` is 0..1, see there; `confidence` is 0..1.
    `trust` is 0..1: how far those are trusted whose words it has.
    `likeness`: the mean cosine with the best hits. `message_score` ≥ 0: how well the message it
    rests on matches, see `surroundings`. `before`, `after`: the ids of what was stated next to it.
    `reached`: whether the vector arm found it; what it left out has a cosine for its score only.
    `told_with`: facts of one session, or of one hour, share it. `who`: who says it or whom it is
    about, where that is somebody named.
    `hints` are factors of what the question asks for and this fact is, `prior` ≥ 0 how much it is
    asked for whatever its words are.
    """

    id: str
    cosine: float | None = None
    bm25: float | None = None
    matched_share: float = 0.0
    confidence: float = 1.0
    said_at: datetime | None = None
    essential: bool = False
    evidence_count: int = 1
    trust: float = 1.0
    content: str = ""
    reached: bool = True
    likeness: float = 0.0
    message_score: float = 0.0
    before: str | None = None
    after: str | None = None
    told_with: str | None = None
    who: str | None = None

    hints: Mapping[str, float] = field(default_factory=lambda: _NO_HINTS)
    prior: float = 0.0


@dataclass(frozen=True)
class Weights:
    """How much each part counts; chosen together, see docs/decisions/0021-ranking.md.

    `message`, `before`, `after` and `together` are shares of a score that what surrounds a hit
    lends it; the last ones are boosts, the largest of which is freshness: 1.5 between what was
    said just now and what was said long ago.
    """

    vector: float = 0.45
    lexical: float = 0.55
    likeness: float = 0.4
    message: float = 0.7
    before: float = 0.4
    after: float = 0.2
    together: float = 0.2
    confidence: float = 0.10
    freshness: float = 0.50
    essential: float = 0.05
    evidence: float = 0.05
    trust: float = 0.40
    person: float = 0.10
    half_life_days: float = 180.0


@dataclass(slots=True)
class Ranked:
    """One hit in its place: `rank_score` orders, `score` is calibrated, `explain` tells why."""

    id: str
    score: float
    rank_score: float
    explain: dict[str, Any]


DEFAULT_WEIGHTS = Weights()


@lru_cache(4_096)
def idf(documents: int, document_frequency: int) -> float:
    """Weight of a term, > 0: ln(1 + (N - df + 0.5) / (df + 0.5)), as in Lucene."""
    found = min(document_frequency, documents)
    return math.log1p((documents - found + 0.5) / (found + 0.5))


def bm25(
    term_frequencies: Mapping[str, int],
    document_frequencies: Mapping[str, int],
    documents: int,
    length: int,
    average_length: float,
    k1: float = K1,
    b: float = B,
) -> float:
    """Okapi BM25 of one document for one query (Robertson, Zaragoza 2009), ≥ 0.

    `term_frequencies`: how often each term of the query is in the document; lengths in terms.
    """
    norm = k1 * (1 - b + b * length / average_length) if average_length > 0 else k1
    return sum(
        idf(documents, document_frequencies.get(term, 0)) * count * (k1 + 1) / (count + norm)
        for term, count in term_frequencies.items()
        if count > 0
    )


def matched_share(
    term_frequencies: Mapping[str, int], document_frequencies: Mapping[str, int], documents: int
) -> float:
    """The share of the query's idf mass that the document contains, 0..1.

    `document_frequencies` has every term of the query, also those no document has.
    """
    mass = sum(idf(documents, found) for found in document_frequencies.values())
    matched = sum(
        idf(documents, found)
        for term, found in document_frequencies.items()
        if term_frequencies.get(term, 0) > 0
    )
    return matched / mass if mass > 0 else 0.0


def min_max(values: Sequence[float | None]) -> list[float]:
    """Values scaled to 0..1 over those that are there; 0 where missing, 1 where all are equal."""
    there = [value for value in values if value is not None]
    if not there:
        return [0.0] * len(values)
    low, high = min(there), max(there)
    if high == low:
        return [0.0 if value is None else 1.0 for value in values]
    return [0.0 if v is None else (v - low) / (high - low) for v in values]


def calibrated(
    candidate: Candidate,
    calibration: Calibration = MINILM,
    *,
    elsewhere: float = 0.0,
    other_person: bool = False,
) -> float:
    """How relevant a hit is whatever else was found, 0..1; a missing arm counts as 0.

    `elsewhere`: the largest matched share of hits that are about somebody the query does not name.
    """
    logit = calibration.logit(candidate.cosine, candidate.matched_share)
    logit -= calibration.elsewhere * max(elsewhere - candidate.matched_share, 0.0)
    logit -= calibration.other_person * other_person
    return 1 / (1 + math.exp(-logit))


def fuse(
    candidates: Sequence[Candidate],
    weights: Weights = DEFAULT_WEIGHTS,
    *,
    now: datetime | None = None,
    calibration: Calibration = MINILM,
    named: Collection[str] = (),
    explain: bool = True,
    most: int | None = None,
) -> list[Ranked]:
    """Rank candidates, best first: min-max fusion of the arms, what surrounds them, then boosts.

    Raising a candidate's raw score in an arm never lowers its rank among what does not surround
    it. Equal hits are ordered by calibrated score, then id, so that pages are stable. Without
    `now` nothing is fresher. `named`: whom the query names, of all candidates' `who`. `most`: so
    many of the best are enough.
    """
    own = fused(candidates, weights)
    around = lent(candidates, own, weights)
    boosts = _boosts(candidates, weights, now, named)
    hinted = [math.prod(hit.hints.values()) if hit.hints else 1.0 for hit in candidates]
    priors = [hit.prior for hit in candidates]
    places = (np.add(own, around) + priors) * math.prod(boosts.values()) * hinted
    scores = _scores(candidates, calibration, named)
    keys = list(zip((-places).tolist(), [-one for one in scores], candidates, strict=True))
    order = sorted(range(len(keys)), key=lambda at: (*keys[at][:2], keys[at][2].id))
    order = _apart(order, candidates, most)
    falling = _falling([scores[at] for at in order])
    told = _Told(candidates, own, around, boosts) if explain else None
    return [
        Ranked(candidates[at].id, score, float(places[at]), told.of(at) if told else {})
        for at, score in zip(order[:most], falling, strict=False)
    ]


def _scores(
    candidates: Sequence[Candidate], calibration: Calibration, named: Collection[str]
) -> list[float]:
    """How relevant each is by itself, and by what it is asked for whatever its words are."""
    others = [bool(named and hit.who and hit.who not in named) for hit in candidates]
    elsewhere = max(
        (hit.matched_share for hit, other in zip(candidates, others, strict=True) if other),
        default=0.0,
    )
    scores = []
    for hit, other in zip(candidates, others, strict=True):
        score = calibrated(hit, calibration, elsewhere=elsewhere, other_person=other)
        scores.append(score + (1 - score) * min(hit.prior, _SURELY_ASKED))
    return scores


def _falling(scores: Sequence[float]) -> list[float]:
    """Let no hit score less than one that is ranked below it, so that `min_score` cuts the end.

    What surrounds a hit can place it above hits that match better by themselves.
    """
    return list(accumulate(reversed(scores), max))[::-1]


def _apart(
    order: Sequence[int], candidates: Sequence[Candidate], most: int | None = None
) -> list[int]:
    """Let what nearly repeats a better hit make room: it goes behind what is half as far down.

    Nearly repeats: the same words but for one in seven. Nothing is dropped, and only the best
    fifty are compared; with `most` no more than it takes for so many places to be right.
    """
    first: list[int] = []
    again: list[tuple[int, int]] = []
    better: list[frozenset[str]] = []
    compared = 0
    for place, at in enumerate(order[:_COMPARED]):
        if len(first) == most:
            break
        compared += 1
        words = frozenset(candidates[at].content.casefold().split())
        if _nearly_repeats(words, better):
            again.append((2 * place + 1, at))
        else:
            first.append(at)
            better.append(words)
    for place, at in again:
        first.insert(min(place, len(first)), at)
    return [*first, *order[compared:]]


def _nearly_repeats(words: frozenset[str], others: Sequence[frozenset[str]]) -> bool:
    """Whether any of the others has the same words but for one in seven."""
    count = len(words)
    fewest, most = _NEARLY * count, count / _NEARLY
    for other in others:
        if fewest <= len(other) <= most:  # else it cannot, and most are told apart by that
            both = len(words & other)
            if count and both / (count + len(other) - both) >= _NEARLY:
                return True
    return False


def calibrated_message(matched_share: float) -> float:
    """How relevant a message is by its words alone, 0..1."""
    return 1 / (1 + math.exp(2.2 - 5.0 * matched_share))


def fused(candidates: Sequence[Candidate], weights: Weights = DEFAULT_WEIGHTS) -> list[float]:
    """Each candidate's share of the best in both arms, by itself: 0..1."""
    near = [
        hit.cosine + weights.likeness * hit.likeness
        if hit.reached and hit.cosine is not None
        else None
        for hit in candidates
    ]
    return fused_arms(near, [hit.bm25 for hit in candidates], weights)


def fused_arms(
    near: Sequence[float | None],
    words: Sequence[float | None],
    weights: Weights = DEFAULT_WEIGHTS,
) -> list[float]:
    """The same of bare scores, one of each arm for every hit; None where the arm has none."""
    return [
        weights.vector * vector + weights.lexical * lexical
        for vector, lexical in zip(min_max(near), min_max(words), strict=True)
    ]


def _boosts(
    candidates: Sequence[Candidate],
    weights: Weights,
    now: datetime | None,
    named: Collection[str],
) -> dict[str, _Factors]:
    """Factors around 1, one of each for every candidate.

    Doubt makes smaller, freshness, weight and repetition make larger.
    """
    sure = np.clip([hit.confidence for hit in candidates], 0.0, 1.0)
    fresh = np.exp2(np.array(_ages(candidates, now)) / -weights.half_life_days)
    repeated = 1 - 1 / np.maximum([hit.evidence_count for hit in candidates], 1)
    trust = np.array([hit.trust for hit in candidates])
    return {
        "confidence": 1 - weights.confidence * (1 - sure),
        "freshness": 1 + weights.freshness * fresh,
        "essential": 1 + weights.essential * np.array([float(hit.essential) for hit in candidates]),
        "evidence": 1 + weights.evidence * repeated,
        "trust": 1 - weights.trust * (1 - trust),
        "person": 1 + weights.person * np.array([float(hit.who in named) for hit in candidates]),
    }


def _ages(candidates: Sequence[Candidate], now: datetime | None) -> list[float]:
    """Days since each was said, ≥ 0; for ever where that, or now, is not known."""
    if now is None:
        return [math.inf] * len(candidates)
    return [
        math.inf if hit.said_at is None else max((now - hit.said_at) / _DAY, 0.0)
        for hit in candidates
    ]


class _Told:
    """Why each candidate stands where it does."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        own: Sequence[float],
        around: Sequence[float],
        boosts: Mapping[str, _Factors],
    ) -> None:
        self._candidates = candidates
        self._own, self._around, self._boosts = own, around, boosts
        near = [hit.cosine if hit.reached else None for hit in candidates]
        self._arms = [
            (values, _places(values), min_max(values))
            for values in (near, [hit.bm25 for hit in candidates])
        ]

    def of(self, at: int) -> dict[str, Any]:
        """Its raw score in each arm, scaled as in `fused`, its place there, and what was added."""
        hit = self._candidates[at]
        near, words = (_arm(places[at], raw[at], scaled[at]) for raw, places, scaled in self._arms)
        return {
            "vector": near | {"likeness": hit.likeness},
            "lexical": words | {"matched_share": hit.matched_share},
            "message": hit.message_score,
            "fused": self._own[at],
            "around": self._around[at],
            "boosts": {name: float(factors[at]) for name, factors in self._boosts.items()}
            | dict(hit.hints),
        }


def _places(values: Sequence[float | None]) -> list[int | None]:
    """Each value's place in its arm, 1 for the best; equal values share a place."""
    there = sorted((value for value in values if value is not None), reverse=True)
    place: dict[float, int] = {}
    for at, value in enumerate(there, 1):
        place.setdefault(value, at)
    return [None if value is None else place[value] for value in values]


def _arm(place: int | None, raw: float | None, normalized: float) -> dict[str, Any]:
    return {"rank": place, "raw": raw, "normalized": normalized}
