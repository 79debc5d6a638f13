"""What was true before: old facts found `as_of` a time before they changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Case, Figure, at_least, share
from benchmarks.evaluation.run import Run, Told

NAME = "history"
_ALWAYS = at_least(1.0)


def measure(run: Run) -> list[Figure]:
    figures = list(_slots(run))
    for group, people in run.data.groups().items():
        if any(person.updates() for person in people):
            told = [run.tell(person, "gold, oracle judge") for person in people]
            figures.append(_free_text(group, told))
    if len(figures) == 1:
        run.note("history: free text is left out, no data set has update links (see --data)")
    if not run.unjudged.knows_as_of:
        run.note("history: this version has no as_of; stretches of belief were compared instead")
    return figures


def _slots(run: Run) -> Iterator[Figure]:
    listed: list[Case] = []
    recalled: list[Case] = []
    for story, user in run.stories("in order"):
        for chain in story.chains:
            for old, new in chain.changes():
                moment, spellings = metrics.day_before(new), old.value.spellings
                facts = run.unjudged.held_at(user, moment)
                listed.append(metrics.held(chain.slot, spellings, moment, facts))
                if run.unjudged.knows_as_of:
                    query = chain.slot.replace("_", " ")
                    facts = run.unjudged.recalled_at(user, query, moment)
                    recalled.append(metrics.held(chain.slot, spellings, moment, facts))
    mode = "gold, in order"
    yield share(NAME, mode, "old value listed as_of before the change", listed, _ALWAYS)
    if recalled:
        yield share(NAME, mode, "old value recalled as_of before the change", recalled, _ALWAYS)


def _free_text(group: str, people: list[Told]) -> Figure:
    cases = [case for told in people for case in _before_updates(told)]
    mode = f"gold, oracle judge, {group}"
    return share(NAME, mode, "old fact listed as_of before the change", cases, _ALWAYS)


def _before_updates(told: Told) -> Iterator[Case]:
    """Ask a second before the first update of each fact that was retired.

    One that was not retired has no before; `updates` counts it.
    """
    stored = told.memory.stored(told.user)
    first: dict[str, datetime] = {}
    for turn, fact in told.person.facts():
        for old in fact.replaces:
            first.setdefault(old, turn.at)
    for old in metrics.replacements(fact for _, fact in told.person.facts()):
        if stored.lives(old):
            continue
        moment = first[old] - timedelta(seconds=1)
        held = told.memory.held_at(told.user, moment)
        found = {member.content for fact in held for member in stored.members(fact)}
        yield Case(old in found, f"at {moment:%Y-%m-%d}: {old}")
