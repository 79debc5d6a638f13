"""Recall: how much of what answers a question is found, and whether the score knows what is not.

The product answers over HTTP from a real instance; simple methods search the same facts beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.evaluation.baselines import METHODS, Method, Shelf, Vectors
from benchmarks.evaluation.figures import Aim, Figure, at_least
from benchmarks.evaluation.people import Person
from benchmarks.evaluation.quizzes import Answered, Question, Quiz
from benchmarks.evaluation.readers.questions import OBSERVED, POINTS, VERBATIM
from benchmarks.evaluation.retrieval import (
    auc,
    found_share,
    mean,
    ndcg,
    percentile,
    reciprocal_rank,
)
from benchmarks.evaluation.run import Run, Told
from benchmarks.evaluation.stored import Stored

NAME = "recall"
_BEST = (1, 5, 10, 20)
_MOST = max(_BEST)
_AIMS: dict[str, dict[int, Aim]] = {
    VERBATIM: {5: at_least(0.62), 10: at_least(0.72)},
    OBSERVED: {5: at_least(0.68), 10: at_least(0.77)},
    POINTS: {5: at_least(0.78), 10: at_least(0.88)},
}
_SEPARATED = at_least(0.80)
_FOREIGN = 60


def measure(run: Run) -> list[Figure]:
    quizzes = run.data.quizzes
    if not quizzes:
        run.note("recall: no questions, see --data")
    vectors = Vectors(run.embed_model)
    figures: list[Figure] = []
    for mode in dict.fromkeys(quiz.mode for quiz in quizzes):
        figures += _of_mode(run, mode, [quiz for quiz in quizzes if quiz.mode == mode], vectors)
    return figures


def _of_mode(run: Run, mode: str, quizzes: Sequence[Quiz], vectors: Vectors) -> Iterator[Figure]:
    mine: list[Answered] = []
    foreign: list[Answered] = []
    simple: dict[str, list[Answered]] = {name: [] for name in METHODS}
    for quiz in quizzes:
        told = run.tell(quiz.person, "gold, no judge" if quiz.by_messages else "verbatim")
        run.report(f"asking {told.user} {len(quiz.questions)} questions")
        stored = told.memory.stored(told.user)
        mine += [_asked(told, stored, question) for question in quiz.questions]
        foreign += [_asked(told, stored, each) for each in _foreign(run, quiz)]
        for name, method in METHODS.items():
            simple[name] += _found_simply(quiz, method, vectors)
    yield from _found(mode, "Mémoire", mine, _AIMS.get(mode, {}))
    for name, answered in simple.items():
        yield from _found(mode, name, answered, {})
    yield from _by_kind(mode, mine)
    yield from _separation(mode, mine, foreign)
    yield from _latency(mode, mine)


def _asked(told: Told, stored: Stored, question: Question) -> Answered:
    """Ask over HTTP; every result stands for all the wordings that were merged into it."""
    asked = {} if question.at is None else {"as_of": question.at.isoformat()}
    begun = time.perf_counter()
    facts = told.memory.recall(told.user, question.text, limit=_MOST, **asked)["relevant_facts"]
    took = (time.perf_counter() - begun) * 1000
    contents = tuple(stored.wordings(fact["id"], fact["content"]) for fact in facts)
    return Answered(question, contents, max((f["score"] for f in facts), default=0.0), took)


def _foreign(run: Run, quiz: Quiz) -> list[Question]:
    """Questions about people that this memory has never heard of."""
    others = [other for other in run.data.quizzes if other.person.turns[0] != quiz.person.turns[0]]
    here = {question.text for question in quiz.questions}
    asked = [q for other in others for q in other.questions if q.text not in here]
    last = quiz.person.turns[-1].at
    at = last if any(question.at for question in quiz.questions) else None
    step = max(len(asked) // _FOREIGN, 1)
    return [
        Question(each.text, "foreign", (), at, answerable=False)
        for each in asked[::step][:_FOREIGN]
    ]


def _found_simply(quiz: Quiz, method: Method, vectors: Vectors) -> Iterator[Answered]:
    shelf: Shelf | None = None
    for question in sorted(_answered_by_evidence(quiz.questions), key=lambda q: str(q.at)):
        there = _told_by(quiz.person, question)
        if shelf is None or len(shelf.documents) != len(there):
            shelf = Shelf(there, vectors)
        found = shelf.best(method, question.text, _MOST)
        yield Answered(question, tuple(frozenset({content}) for content in found))


def _told_by(person: Person, question: Question) -> list[str]:
    facts = (
        fact.content
        for turn, fact in person.facts()
        if question.at is None or turn.at <= question.at
    )
    return list(dict.fromkeys(facts))


def _answered_by_evidence(questions: Iterable[Question]) -> list[Question]:
    return [question for question in questions if question.evidence]


def _found(
    mode: str, method: str, answered: Sequence[Answered], aims: dict[int, Aim]
) -> Iterator[Figure]:
    cases = [each for each in answered if each.question.evidence]
    for best in _BEST:
        value = mean(found_share(each, best) for each in cases)
        missed = [e.question.text for e in cases if found_share(e, best) == 0]
        yield Figure(
            NAME,
            mode,
            f"{method}: recall@{best}",
            value,
            len(cases),
            aims.get(best),
            tuple(missed[:5]),
        )
    yield Figure(NAME, mode, f"{method}: MRR", mean(map(reciprocal_rank, cases)), len(cases))
    gains = mean(ndcg(each, 10) for each in cases)
    yield Figure(NAME, mode, f"{method}: nDCG@10", gains, len(cases))


def _by_kind(mode: str, answered: Sequence[Answered]) -> Iterator[Figure]:
    for kind in sorted({each.question.kind for each in answered if each.question.evidence}):
        cases = [each for each in answered if each.question.kind == kind and each.question.evidence]
        recalled = mean(found_share(each, 10) for each in cases)
        yield Figure(NAME, mode, f"recall@10, {kind}", recalled, len(cases))
        yield Figure(NAME, mode, f"nDCG@10, {kind}", mean(ndcg(e, 10) for e in cases), len(cases))


def _separation(
    mode: str, mine: Sequence[Answered], foreign: Sequence[Answered]
) -> Iterator[Figure]:
    """Whether the best score tells questions that have an answer from those that have none."""
    answerable = [each.best_score for each in mine if each.question.answerable]
    own = [each.best_score for each in mine if not each.question.answerable]
    others = [each.best_score for each in foreign]
    for name, unanswerable, aim in (
        ("AUC of the best score, unanswerable", own, None),
        ("AUC of the best score, about others", others, None),
        ("AUC of the best score, both", own + others, _SEPARATED),
    ):
        cases = len(answerable) + len(unanswerable)
        yield Figure(NAME, mode, name, auc(answerable, unanswerable), cases, aim)


def _latency(mode: str, answered: Sequence[Answered]) -> Iterator[Figure]:
    took = [each.milliseconds for each in answered]
    for name, at in (("p50", 0.5), ("p95", 0.95)):
        value = percentile(took, at)
        yield Figure(NAME, mode, f"answered in, ms, {name}", value, len(took), is_count=True)
