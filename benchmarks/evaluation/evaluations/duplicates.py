"""The same and nearly the same: what merges, what must not, and a second ingest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Case, Figure, at_least, at_most, share
from benchmarks.evaluation.gold import Script
from benchmarks.evaluation.memory import GoldMemory, Memory, conversation
from benchmarks.evaluation.people import Pair, Person
from benchmarks.evaluation.run import Mode, Run, Told

NAME = "duplicates"
_NEAR_MISSES, _PARAPHRASES, _TRIVIAL = at_most(0.01), at_least(0.30), at_least(0.99)
_KINDS = (("near-misses merged", False, _NEAR_MISSES), ("paraphrases merged", True, _PARAPHRASES))
_NOTHING = at_most(0)
_MOST_TRIVIAL = 240
_SESSIONS = 4

TRIVIAL: dict[str, Callable[[str], str]] = {
    "the same words": lambda text: text,
    "a full stop": lambda text: text.rstrip(".") if text.endswith(".") else f"{text}.",
    "margins": lambda text: f"  {text} ",
    "spaces": lambda text: text.replace(" ", "  "),
    "lower case": str.lower,
    "an exclamation": lambda text: f"{text.rstrip('.')}!",
}


def measure(run: Run) -> list[Figure]:
    figures: list[Figure] = []
    for judged in (False, True):
        figures += _pairs(run, judged=judged)
    if not run.data.pairs:
        run.note("duplicates: no pairs of sentences, see --data")
    figures += _distortions(run)
    figures += _trivial(run)
    return [*figures, *_again(run)]


def _pairs(run: Run, *, judged: bool) -> Iterator[Figure]:
    for file, pairs in run.data.pairs.items():
        mode = f"{'verbatim, oracle judge' if judged else 'verbatim'}, {Path(file).stem}"
        for name, same, aim in _KINDS:
            if of_kind := [pair for pair in pairs if pair.same == same]:
                cases = _merged(run, Path(file).name, of_kind, judged=judged)
                yield share(NAME, mode, name, cases, aim)


def _merged(run: Run, about: str, pairs: Sequence[Pair], *, judged: bool = False) -> list[Case]:
    held = run.tell_pairs(about, pairs, judged=judged)
    return [
        Case(metrics.one_belief(stored), f"{pair.a} / {pair.b}")
        for pair, stored in zip(pairs, held, strict=True)
    ]


def _distortions(run: Run) -> Iterator[Figure]:
    """Distorted facts of a data set, beside the true ones."""
    modes: tuple[Mode, ...] = ("verbatim", "gold, noise")
    for group, people in run.data.groups().items():
        if not any(fact.distorts for person in people for _, fact in person.facts()):
            continue
        for mode in modes:
            told = [run.tell(person, mode) for person in people]
            cases = [case for each in told for case in _merged_with_true(each)]
            label = f"{mode}, {group}"
            yield share(NAME, label, "distorted merged with true", cases, _NEAR_MISSES)


def _merged_with_true(told: Told) -> Iterator[Case]:
    stored = told.memory.stored(told.user)
    yield from metrics.distortions_merged((fact for _, fact in told.person.facts()), stored)


def _trivial(run: Run) -> Iterator[Figure]:
    sentences = list(dict.fromkeys(_sentences(run)))[:_MOST_TRIVIAL]
    changes = list(TRIVIAL.items())
    pairs = [
        Pair(text, changes[index % len(changes)][1](text), same=True)
        for index, text in enumerate(sentences)
    ]
    cases = _merged(run, "trivial changes", pairs)
    yield share(NAME, "verbatim", "exact and trivial duplicates merged", cases, _TRIVIAL)


def _sentences(run: Run) -> Iterator[str]:
    for pairs in run.data.pairs.values():
        for pair in pairs:
            yield pair.a
    for person in run.data.people:
        for _, fact in person.facts():
            if not fact.fields:
                yield fact.content


def _again(run: Run) -> Iterator[Figure]:
    """Tell a person's first and last sessions a second time, with message ids and then without."""
    for mode, tellings in _told_once(run).items():
        ids, none, messages = [0, 0], [0, 0], 0
        for memory, user, person in tellings:
            memory.play(Script.of([person]))
            sent = _some_sessions(conversation(user, person))
            messages += len(sent)
            _add(ids, _added_by(memory, user, sent))
            _add(none, _added_by(memory, user, _without_ids(sent)))
        for name, count in (
            ("rows added by a second ingest", ids[0]),
            ("beliefs added by a second ingest", ids[1]),
            ("beliefs added by one without message ids", none[1]),
        ):
            yield Figure(NAME, mode, name, float(count), messages, _NOTHING, is_count=True)


def _told_once(run: Run) -> dict[str, list[tuple[GoldMemory, str, Person]]]:
    """Who was told what to which instance, by mode."""
    found: dict[str, list[tuple[GoldMemory, str, Person]]] = {}
    for person in run.data.people:
        told = run.tell(person, "gold, oracle judge")
        mode = f"gold, oracle judge, {person.group}"
        found.setdefault(mode, []).append((run.judged, told.user, told.person))
    if not found:
        story, user = run.stories("in order")[0]
        found["gold, in order"] = [(run.unjudged, user, story.person)]
    return found


def _some_sessions(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    sessions = list(dict.fromkeys(each["session_id"] for each in messages))
    chosen = {*sessions[:_SESSIONS], *sessions[-_SESSIONS:]}
    return [each for each in messages if each["session_id"] in chosen]


def _added_by(memory: Memory, user: str, messages: list[dict[str, str]]) -> tuple[int, int]:
    """How many rows and beliefs more there are after these messages."""
    before = memory.stored(user)
    memory.say(messages)
    memory.settle()
    after = memory.stored(user)
    return len(after.facts) - len(before.facts), len(after.living()) - len(before.living())


def _add(totals: list[int], counts: Iterable[int]) -> None:
    for place, count in enumerate(counts):
        totals[place] += count


def _without_ids(messages: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return [{k: v for k, v in each.items() if k != "message_id"} for each in messages]
