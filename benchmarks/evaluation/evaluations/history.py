"""What was true before: old facts found `as_of` a time before they changed."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Case, Figure, at_least, share
from benchmarks.evaluation.run import Run, Told

NAME = "history"
_ALWAYS = at_least(1.0)


def measure(run: Run) -> list[Figure]:
    figures = [_slots(run)]
    updated = [person for person in run.data.people if person.updates()]
    if not updated:
        run.note("history: free text is left out, no data set has update links")
    for person in updated:
        figures.append(_free_text(run.tell(person, "gold, oracle judge")))
    if not run.modelled.knows_as_of:
        run.note("history: this version has no as_of; the facts' own stretches were compared")
    return figures


def _slots(run: Run) -> Figure:
    cases: list[Case] = []
    for story, user in run.stories("in order"):
        for chain in story.chains:
            for old, new in chain.changes():
                moment = metrics.day_before(new)
                facts = run.modelled.held_at(user, moment)
                cases.append(metrics.held(chain.slot, old.value.spellings, moment, facts))
    return share(NAME, "gold, in order", "old value found as_of before the change", cases, _ALWAYS)


def _free_text(told: Told) -> Figure:
    """Ask a second before the first update of each fact that was retired."""
    stored = told.memory.stored(told.user)
    facts = [fact for _, fact in told.person.facts()]
    first = {}
    for turn, fact in told.person.facts():
        for old in fact.replaces:
            first.setdefault(old, turn.at)
    cases = []
    for old in metrics.replacements(facts):
        if stored.lives(old):
            continue  # not retired: `updates` counts it, and it has no before
        moment = first[old] - timedelta(seconds=1)
        held = told.memory.held_at(told.user, moment)
        found = {member.content for fact in held for member in stored.members(fact)}
        cases.append(Case(old in found, f"at {moment:%Y-%m-%d}: {old}"))
    mode = f"gold, oracle judge, {told.person.name}"
    return share(NAME, mode, "old fact found as_of before the change", cases, _ALWAYS)
