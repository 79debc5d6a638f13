"""The rules extractor on chat: what it finds, what it makes up, what it stores for no reason."""

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
    return [
        figure
        for group, people in run.data.groups().items()
        for figure in _of_group(group, [_read(run, person) for person in people])
    ]


class _Reading:
    """A chat that the rules have read; `logs` are its turns' ids, in order."""

    def __init__(self, person: Person, logs: list[str], stored: Stored) -> None:
        self.person = person
        self.logs = logs
        self.stored = stored
        self.scope = _Scope(person, logs)


def _read(run: Run, person: Person) -> _Reading:
    run.report(f"reading {person.name} by rules")
    person = without_distortions(person)
    user = f"{person.name}-rules"
    logs = [answer["chat_log_id"] for answer in run.plain.say(conversation(user, person))]
    run.plain.settle()
    return _Reading(person, logs, run.plain.stored(user))


def _of_group(group: str, read: list[_Reading]) -> Iterator[Figure]:
    by_slot = any(each.person.by_slot() for each in read)
    label = f"chat, {group}, by {'slot' if by_slot else 'words'}"
    yield share(NAME, label, "precision", (case for each in read for case in _precision(each)))
    yield share(NAME, label, "recall", (case for each in read for case in _recall(each)))
    if all(each.person.exact for each in read):
        cases = (case for each in read for case in _stored_for_nothing(each))
        yield share(NAME, label, "messages without a fact that stored one", cases)


class _Scope:
    """Which gold and stored facts are compared: those of one turn, else of one session."""

    def __init__(self, person: Person, logs: list[str]) -> None:
        by_turn = person.by_slot()
        places = [
            f"turn {index}" if by_turn else turn.session for index, turn in enumerate(person.turns)
        ]
        self._of_log = dict(zip(logs, places, strict=True))
        self.gold: dict[str, list[GoldFact]] = defaultdict(list)
        for place, turn in zip(places, person.turns, strict=True):
            self.gold[place] += turn.facts

    def of(self, fact: StoredFact) -> str:
        return self._of_log[fact.source_message_ids[0]]


def _precision(read: _Reading) -> Iterator[Case]:
    for fact in read.stored.facts:
        right = any(agree(fact, gold) for gold in read.scope.gold[read.scope.of(fact)])
        yield Case(right, f"no gold fact agrees: {fact.content} ({fact.slot}: {fact.value})")


def _recall(read: _Reading) -> Iterator[Case]:
    found: dict[str, list[StoredFact]] = defaultdict(list)
    for fact in read.stored.facts:
        found[read.scope.of(fact)].append(fact)
    for place, golds in read.scope.gold.items():
        for gold in golds:
            right = any(agree(fact, gold) for fact in found[place])
            yield Case(right, f"not found: {gold.content}")


def _stored_for_nothing(read: _Reading) -> Iterator[Case]:
    """Each user message without a gold fact (a case that counts is a fault, if gold is whole)."""
    sources = {source for fact in read.stored.facts for source in fact.source_message_ids}
    for turn, log in zip(read.person.turns, read.logs, strict=True):
        if turn.role == "user" and not turn.facts:
            yield Case(log in sources, turn.content)
