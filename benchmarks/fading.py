"""What fading costs and gains, beside no fading and beside recency alone: questions asked late.

Everything is worked out in memory with the product's own arithmetic (`weight`, `ranking`, the local
embedding model); only what surrounds a hit is left out. The data say neither slot nor category, so
each fact has the half-life of a biographical sentence; beliefs are not folded, so what another fact
replaced is still there, as where no model judges.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from benchmarks.evaluation.baselines import Shelf, Vectors
from benchmarks.evaluation.main import read_data
from benchmarks.evaluation.quizzes import Question, Quiz
from benchmarks.figures import show
from services.gateway import ranking
from services.gateway.fading import ANSWERS
from services.maintenance.fading.weight import FADED_BELOW, fades_at, half_lives

_CATEGORY, _CONFIDENCE = "biographical", 0.9
_BEST = 10
_USED = 5  # results that an application puts into its prompt
_ASKED_BEFORE = 1 / 3
_GAPS_DAYS = (0, 365, 730, 1_460)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact with when it was said; `outdated` when a later one replaced it."""

    content: str
    said: datetime
    outdated: bool


@dataclass(slots=True)
class Tally:
    """What was found of the evidence, and what else stood among the best."""

    found: list[float]
    outdated: list[float]
    faded: list[float]
    shown: float


class Memory:
    """One person's facts, searched as recall does."""

    def __init__(self, quiz: Quiz, vectors: Vectors) -> None:
        facts = list(quiz.person.facts())
        replaced = {old for _, fact in facts for old in fact.replaces}
        self.told = [Told(f.content, turn.at, f.content in replaced) for turn, f in facts]
        self.end = max(told.said for told in self.told)
        self._shelf = Shelf([told.content for told in self.told], vectors)

    def hits(self, question: str, now: datetime) -> list[tuple[int, float]]:
        """Places of facts with the score of each by itself, best first."""
        words, near = self._shelf.bm25(question), self._shelf.vectors(question)
        candidates = [
            ranking.Candidate(
                id=str(place),
                cosine=float(near[place]),
                bm25=float(words[place]) or None,
                matched_share=self._shelf.share(question, place),
                confidence=_CONFIDENCE,
                said_at=told.said,
                content=told.content,
            )
            for place, told in enumerate(self.told)
            if near[place] > 0 or words[place] > 0
        ]
        scores = {candidate.id: ranking.calibrated(candidate) for candidate in candidates}
        ranked = ranking.fuse(candidates, now=now, explain=False)
        return [(int(hit.id), scores[hit.id]) for hit in ranked]


Present = Callable[[Memory, Mapping[int, datetime], datetime], list[int]]
"""The places of the facts that are shown without being asked for; given when each was last used."""


def _everything(memory: Memory, _used: Mapping[int, datetime], _now: datetime) -> list[int]:
    return list(range(len(memory.told)))


def _not_faded(memory: Memory, used: Mapping[int, datetime], now: datetime) -> list[int]:
    life = half_lives().of(None, _CATEGORY)
    moments = (
        fades_at(_CONFIDENCE, max(told.said, used.get(place, told.said)), life, FADED_BELOW)
        for place, told in enumerate(memory.told)
    )
    return [place for place, moment in enumerate(moments) if moment is None or moment > now]


def _newest(memory: Memory, used: Mapping[int, datetime], now: datetime) -> list[int]:
    """As many as have not faded, but by when they were said alone."""
    many = len(_not_faded(memory, used, now))
    order = sorted(range(len(memory.told)), key=lambda at: memory.told[at].said, reverse=True)
    return sorted(order[:many])


_NEVER = 1.1  # no score is that high

POLICIES: Mapping[str, tuple[Present, float]] = {
    "no fading": (_everything, _NEVER),
    "recency only": (_newest, _NEVER),
    "fading, faded facts never found": (_not_faded, _NEVER),
    "fading, found from .6": (_not_faded, 0.6),
    f"fading as shipped, found from {ANSWERS}": (_not_faded, ANSWERS),
}
"""What is present, and from which score on what is not is found all the same."""


def fading() -> None:
    """What fading costs (evidence not found) and gains (facts and outdated ones not shown)."""
    data, notes = read_data(None)
    vectors = Vectors()
    quizzes = [quiz for quiz in data.quizzes if quiz.mode != "every message a fact"]
    if not quizzes:
        show("fading", {"no conversations": ", ".join(notes)})
    for quiz in quizzes:
        memory = Memory(quiz, vectors)
        days = (memory.end - memory.told[0].said).days
        asked = [question for question in quiz.questions if question.evidence]
        for gap in _GAPS_DAYS:
            title = f"{quiz.mode}: {len(memory.told)} facts of {days} days, asked {gap} days later"
            show(title, dict(_figures(memory, asked, memory.end + timedelta(days=gap))))


def _figures(memory: Memory, asked: Sequence[Question], now: datetime) -> Iterator[tuple[str, str]]:
    used = _used_before(memory, asked, now)
    for name, policy in POLICIES.items():
        tally = _tally(memory, asked, now, used, policy)
        columns = (
            f"recall@{_BEST} {np.mean(tally.found):.3f}",
            f"of these outdated {np.mean(tally.outdated):.3f}",
            f"hidden {np.mean(tally.faded):.3f}",
            f"in lists {tally.shown:.2f}",
        )
        yield name, "  ".join(columns)


def _tally(
    memory: Memory,
    asked: Sequence[Question],
    now: datetime,
    used: Mapping[int, datetime],
    policy: tuple[Present, float],
) -> Tally:
    present, answers = policy
    shown = set(present(memory, used, now))
    tally = Tally([], [], [], len(shown) / len(memory.told))
    for question in asked:
        hits = memory.hits(question.text, now)
        best = [place for place, score in hits if place in shown or score >= answers][:_BEST]
        contents = {memory.told[place].content for place in best}
        covered = [bool(each & contents) for each in question.evidence]
        tally.found.append(sum(covered) / len(covered))
        tally.outdated.append(sum(memory.told[at].outdated for at in best) / max(len(best), 1))
        tally.faded.append(len(set(best) - shown) / max(len(best), 1))
    return tally


def _used_before(
    memory: Memory, asked: Sequence[Question], now: datetime
) -> Mapping[int, datetime]:
    """When facts were last used, where a third of the questions were asked halfway before now."""
    halfway = memory.end + (now - memory.end) / 2
    before = random.Random(1).sample(list(asked), int(_ASKED_BEFORE * len(asked)))
    hits = (memory.hits(question.text, halfway)[:_USED] for question in before)
    return {place: halfway for found in hits for place, _ in found}
