"""Free text that replaces free text: retired and linked, the rest kept, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Aim, Case, Figure, at_least, at_most, share
from benchmarks.evaluation.people import Person
from benchmarks.evaluation.run import JUDGED, MODES, Mode, Run, Told
from benchmarks.evaluation.stored import Stored

NAME = "updates"
_LINKED, _CANDIDATES = at_least(0.90), at_most(30)
_SIBLINGS, _UNJUDGED = at_most(0.003), at_most(0.01)
_NOTHING_LOST = at_least(1.0)

Links = Mapping[str, set[str]]
Looked = Callable[["_Outcome"], Iterable[Case]]


def measure(run: Run) -> list[Figure]:
    figures: list[Figure] = []
    for group, people in run.data.groups().items():
        if any(person.by_slot() for person in people):
            continue  # slots compete by the law, which `slots` measures
        for mode in MODES:
            figures += _of_group(f"{mode}, {group}", mode, [run.tell(p, mode) for p in people])
    if not figures:
        run.note("updates: nothing to do, no data set of gold facts in free text (see --data)")
    return figures


class _Outcome:
    """One person's gold beside what is stored."""

    def __init__(self, told: Told, *, judged: bool) -> None:
        facts = [fact for _, fact in told.person.facts()]
        self.links: Links = metrics.replacements(facts)
        self.kept = metrics.kept(facts)
        self.expected = self.kept if judged else [*self.kept, *self.links]
        self.stored: Stored = told.memory.stored(told.user)


def _of_group(label: str, mode: Mode, people: Sequence[Told]) -> Iterator[Figure]:
    judged = mode in JUDGED
    outcomes = [_Outcome(told, judged=judged) for told in people]

    def figure(name: str, looked: Looked, aim: Aim | None = None) -> Figure:
        cases = [case for outcome in outcomes for case in looked(outcome)]
        return share(NAME, label, name, cases, aim)

    has_updates = any(outcome.links for outcome in outcomes)
    if judged and has_updates:
        yield figure(
            "old retired and linked", lambda o: metrics.superseded(o.links, o.stored), _LINKED
        )
    yield figure(
        "wrongly retired",
        lambda o: metrics.retired_wrongly(o.kept, o.stored),
        _SIBLINGS if judged else _UNJUDGED,
    )
    if has_updates:
        yield figure(
            "replaced still in the history",
            lambda o: metrics.history_kept(o.links, o.stored),
            _NOTHING_LOST,
        )
    yield figure("end state precision", lambda o: metrics.believed_are_right(o.expected, o.stored))
    yield figure("end state recall", lambda o: metrics.right_are_believed(o.expected, o.stored))
    if mode != "verbatim":
        yield from _cost(label, people, judged=judged)


def _cost(label: str, people: Sequence[Told], *, judged: bool) -> Iterator[Figure]:
    """What the model was asked; tokens are counted at four bytes each."""
    messages = sum(_messages(told.person) for told in people)
    if judged:
        asked = sum(len(told.asked.pairs) for told in people)
        facts = sum(1 for told in people for _ in told.person.facts())
        value = asked / facts if asked else None
        yield Figure(NAME, label, "pairs judged a fact", value, facts, _CANDIDATES, is_count=True)
    for task in ("extract", "judge") if judged else ("extract",):
        tokens = sum(told.asked.tokens(task) for told in people) / max(messages, 1)
        name = f"tokens a user message, {task}"
        yield Figure(NAME, label, name, tokens, messages, is_count=True)


def _messages(person: Person) -> int:
    return sum(turn.role == "user" for turn in person.turns)
