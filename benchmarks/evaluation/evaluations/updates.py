"""Free text that replaces free text: retired and linked, the rest kept, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Figure, at_least, at_most, share
from benchmarks.evaluation.people import Person
from benchmarks.evaluation.run import MODES, Mode, Run, Told

NAME = "updates"
_LINKED, _CANDIDATES = at_least(0.90), at_most(30)
_SIBLINGS, _UNJUDGED = at_most(0.003), at_most(0.01)
_NOTHING_LOST = at_least(1.0)


def measure(run: Run) -> list[Figure]:
    people = [person for person in run.data.people if any(True for _ in person.facts())]
    if not people:
        run.note("updates: nothing to do, no data set with gold facts (see --data)")
    return [
        figure
        for person in people
        for mode in MODES
        for figure in _of(run.tell(person, mode), mode)
    ]


def _of(told: Told, mode: Mode) -> Iterable[Figure]:
    label = f"{mode}, {told.person.name}"
    facts = [fact for _, fact in told.person.facts()]
    links, kept = metrics.replacements(facts), metrics.kept(facts)
    stored = told.memory.stored(told.user)
    judged = mode in {"gold, oracle judge", "gold, noise"}
    if judged and links:
        yield share(
            NAME, label, "old retired and linked", metrics.superseded(links, stored), _LINKED
        )
    gone = list(metrics.retired_wrongly(kept, stored))
    yield share(NAME, label, "wrongly retired", gone, _SIBLINGS if judged else _UNJUDGED)
    if links:
        yield share(
            NAME, label, "replaced still in the history",
            metrics.history_kept(links, stored), _NOTHING_LOST,
        )  # fmt: skip
    expected = kept if judged else [*kept, *links]
    yield share(NAME, label, "end state precision", metrics.believed_are_right(expected, stored))
    yield share(NAME, label, "end state recall", metrics.right_are_believed(expected, stored))
    yield from _cost(told, label, judged=judged)


def _cost(told: Told, label: str, *, judged: bool) -> Iterable[Figure]:
    asked, messages = told.asked, _messages(told.person)
    if not asked.calls:
        return
    if judged:
        most = float(asked.most_candidates())
        facts = len(asked.candidates)
        yield Figure(
            NAME, label, "most candidates of one fact", most, facts, _CANDIDATES, is_count=True
        )
    for task in ("extract", "judge"):
        cost = asked.tokens(task) / messages
        yield Figure(NAME, label, f"tokens a message, {task}", cost, messages, is_count=True)


def _messages(person: Person) -> int:
    return sum(turn.role == "user" for turn in person.turns)
