"""The same and nearly the same: what merges, what must not, and a second ingest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Case, Figure, at_least, at_most, share
from benchmarks.evaluation.gold import Judge, Script
from benchmarks.evaluation.memory import conversation
from benchmarks.evaluation.people import Pair, Person
from benchmarks.evaluation.run import Mode, Run, Told

NAME = "duplicates"
_NEAR_MISSES, _PARAPHRASES, _TRIVIAL = at_most(0.01), at_least(0.30), at_least(0.99)
_KINDS = (("near-misses merged", False, _NEAR_MISSES), ("paraphrases merged", True, _PARAPHRASES))
_NOTHING = at_most(0)
_MOST_TRIVIAL = 240

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
    for judge in (None, "oracle"):
        figures += _pairs(run, judge)
    if not run.data.pairs:
        run.note("duplicates: no pairs of sentences, see --data")
    figures += _distortions(run)
    figures += _trivial(run)
    return [*figures, *_again(run)]


def _pairs(run: Run, judge: Judge | None) -> Iterator[Figure]:
    for file, pairs in run.data.pairs.items():
        mode = f"{'verbatim' if judge is None else 'verbatim, oracle judge'}, {Path(file).stem}"
        for name, same, aim in _KINDS:
            if of_kind := [pair for pair in pairs if pair.same == same]:
                yield share(
                    NAME, mode, name, _merged(run, f"{name} of {file}", of_kind, judge), aim
                )


def _merged(run: Run, about: str, pairs: Sequence[Pair], judge: Judge | None) -> list[Case]:
    held = run.tell_pairs(about, pairs, judge)
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
    cases = _merged(run, "trivial", pairs, None)
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
    """Tell whole conversations a second time, with message ids and then without."""
    for label, tellings in _told_once(run).items():
        added = {"with": [0, 0], "without": [0, 0]}
        messages = 0
        for user, person, script in tellings:
            run.play(script)
            sent = conversation(user, person)
            messages += len(sent)
            for kind, again in (("with", sent), ("without", _without_ids(sent))):
                before = _counted(run, user)
                run.modelled.say(again)
                run.modelled.settle()
                for place, count in enumerate(_counted(run, user)):
                    added[kind][place] += count - before[place]
        for name, count in (
            ("rows added by a second ingest", added["with"][0]),
            ("beliefs added by a second ingest", added["with"][1]),
            ("beliefs added by one without message ids", added["without"][1]),
        ):
            yield Figure(NAME, label, name, float(count), messages, _NOTHING, is_count=True)


def _told_once(run: Run) -> dict[str, list[tuple[str, Person, Script]]]:
    """What was told to the modelled instance: (user, person, script), by mode."""
    found: dict[str, list[tuple[str, Person, Script]]] = {}
    for person in run.data.people:
        told = run.tell(person, "gold, oracle judge")
        script = Script.of([told.person], "oracle")
        label = f"gold, oracle judge, {person.group}"
        found.setdefault(label, []).append((told.user, told.person, script))
    if not found:
        story, user = run.stories("in order")[0]
        script = Script.of([story.person], "declines")
        found["gold, in order"] = [(user, story.person, script)]
    return found


def _counted(run: Run, user: str) -> tuple[int, int]:
    stored = run.modelled.stored(user)
    return len(stored.facts), len(stored.living())


def _without_ids(messages: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return [{k: v for k, v in each.items() if k != "message_id"} for each in messages]
