"""The rules extractor on chat: what it finds, what it makes up, and what it stores for no reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from benchmarks.evaluation.figures import Case, Figure, share
from benchmarks.evaluation.memory import conversation
from benchmarks.evaluation.noise import without_distortions
from benchmarks.evaluation.people import GoldFact, Person
from benchmarks.evaluation.run import Run
from benchmarks.evaluation.stored import Stored, StoredFact
from benchmarks.evaluation.wording import agree

NAME = "rules"


def measure(run: Run) -> list[Figure]:
    if not run.data.people:
        run.note("rules: no chat to read, see --data")
    return [figure for person in run.data.people for figure in _person(run, person)]


def _person(run: Run, person: Person) -> Iterator[Figure]:
    person = without_distortions(person)
    run.report(f"reading {person.name} by rules")
    user = f"{person.name}-rules"
    logs = [answer["chat_log_id"] for answer in run.plain.say(conversation(user, person))]
    run.plain.settle()
    stored = run.plain.stored(user)
    by_slot = any(fact.fields.get("slot") for _, fact in person.facts())
    scope = _Scope(person, logs, by_turn=by_slot)
    label = f"chat, {person.name}, by {'slot' if by_slot else 'words'}"
    yield share(NAME, label, "precision", _precision(stored, scope))
    yield share(NAME, label, "recall", _recall(stored, scope))
    if person.exact:
        name = "messages without a fact that stored one"
        yield share(NAME, label, name, _stored_for_nothing(stored, person, logs))


class _Scope:
    """Which gold and stored facts are compared: those of one turn, else of one session."""

    def __init__(self, person: Person, logs: list[str], *, by_turn: bool) -> None:
        places = [
            f"turn {index}" if by_turn else turn.session for index, turn in enumerate(person.turns)
        ]
        self._of_log = dict(zip(logs, places, strict=True))
        self.gold: dict[str, list[GoldFact]] = defaultdict(list)
        for place, turn in zip(places, person.turns, strict=True):
            self.gold[place] += turn.facts

    def of(self, fact: StoredFact) -> str:
        return self._of_log[fact.source_message_ids[0]]


def _precision(stored: Stored, scope: _Scope) -> Iterator[Case]:
    for fact in stored.facts:
        right = any(agree(fact, gold) for gold in scope.gold[scope.of(fact)])
        yield Case(right, f"no gold fact agrees: {fact.content} ({fact.slot}: {fact.value})")


def _recall(stored: Stored, scope: _Scope) -> Iterator[Case]:
    found: dict[str, list[StoredFact]] = defaultdict(list)
    for fact in stored.facts:
        found[scope.of(fact)].append(fact)
    for place, golds in scope.gold.items():
        for gold in golds:
            right = any(agree(fact, gold) for fact in found[place])
            yield Case(right, f"not found: {gold.content}")


def _stored_for_nothing(stored: Stored, person: Person, logs: list[str]) -> Iterator[Case]:
    """Each user message that has no gold fact (a case that counts is a fault, if gold is whole)."""
    sources = {source for fact in stored.facts for source in fact.source_message_ids}
    for turn, log in zip(person.turns, logs, strict=True):
        if turn.role == "user" and not turn.facts:
            yield Case(log in sources, turn.content)
