"""Dated attribute changes of made-up people: what holds now, what held when, what must stay."""

from __future__ import annotations

from benchmarks.evaluation import metrics
from benchmarks.evaluation.figures import Case, Figure, at_least, at_most, share
from benchmarks.evaluation.run import Order, Run

NAME = "slots"
_RIGHT, _RETIRED = at_least(0.98), at_most(0.003)


def measure(run: Run) -> list[Figure]:
    return [*_told(run, "in order"), *_told(run, "shuffled")]


def _told(run: Run, order: Order) -> list[Figure]:
    current: list[Case] = []
    timelines: list[Case] = []
    siblings: list[Case] = []
    ended: list[Case] = []
    for story, user in run.stories(order):
        stored, slots = run.unjudged.stored(user), run.unjudged.timeline(user)
        for chain in story.chains:
            current.append(_of(user, metrics.current_value(chain, stored)))
            timelines.append(_of(user, metrics.timeline(chain, slots)))
        siblings += [_of(user, c) for c in metrics.retired_wrongly(story.siblings, stored)]
        ended += [_of(user, c) for c in metrics.retired_wrongly(story.ended, stored)]
    mode = f"gold, {order}"
    return [
        share(NAME, mode, "current value right", current, _RIGHT),
        share(NAME, mode, "timeline right", timelines, _RIGHT),
        share(NAME, mode, "siblings wrongly retired", siblings, _RETIRED),
        share(NAME, mode, "ended value of many retired", ended, _RIGHT),
    ]


def _of(user: str, case: Case) -> Case:
    return Case(case.counts, f"{user}: {case.about}")
