"""The law of slots: what is believed is a pure function of the set of inputs.

`fold_slot` decides everything about one (subject, slot): which inputs count (rules 1 and 13), what
operators changed (12), which values compete (10), and what each fact comes to. It never asks what
time it is, and neither the order nor the number of deliveries changes its answer.

Where BELIEFS.md leaves a choice, this package chooses:

- `occurred_at` and `ended_at` are the beginning of their unit; "a few years" are three.
- A start that yields (rule 7) moves to the UTC midnight after the statement it yields to, an end
  likewise, but not past its unit nor past its own time of saying. An end whose unit holds the
  claim's own start, or the time at which it was said to hold still, is the end of that unit.
- What was denied for the moment of its saying is no statement: nothing yields to it, and it neither
  confirms nor fells a plan.
- A stated end closes an equal claim only if that began before it. The end that a past claim has
  only from its unit ("in 2015") closes open claims alone, none if the value was stated after it,
  and none at all if the unit is a day ("on the day of the storm I was at Google").
- A denial without a value but with an end removes that stretch of every value.
- "Not X but Y": Y begins where the unbroken run of X began; with several X, the earliest.
- `recurring` has, in a slot of one, intervals of its own beside the others; in a slot of many it
  is as `current`. An open claim of a slot that `lasts` holds that long after it was said.
- A plan ends where its confirmation begins, else when it was cancelled, replaced or fell. A belief
  is no longer due to end when the value is stated after the announced day's unit, or when a
  `future` denial of it says so.
- A correction asks for the whole stretch that the operator saw; where that had ended, it ends.
  Where the corrected fact is gone (forgotten, or of another generation) the act's own record of
  that stretch counts; without one the new value holds from the act on.
- A tombstone stops the statement it names, from whatever message; one that names no statement
  stops what rests on its messages alone, and several such together stop what rests on all of
  theirs. A fact that was stated directly is its own message.
- What a correction replaced without another value taking its place (its words or labels changed)
  is superseded by the correction. A second correction of one fact in a slot of many also denies
  what the first one said.
- A correction that says the same value as what it corrects changes words or labels, never what is
  believed: it stands where the corrected fact stood. Without that fact, it says what its record
  says, and nothing if that was believed nowhere.
- An act that was undone leaves its own fact forgotten, and nothing else.
- What is held for review takes no part: it is no evidence, closes nothing, and says nothing about
  whether the slot has one value or many. Approved, it counts as of the time it was said.
- A sweeping tombstone stops what rests on words of a source, or was recorded since a moment; what
  an operator asserted is taken back by an undo alone.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from shared.beliefs.competition import Interval, Outcome, compete
from shared.beliefs.corrections import is_retraction, with_corrections
from shared.beliefs.due_ends import due_ends
from shared.beliefs.entries import Entry, entry_of, forgetting
from shared.beliefs.moments import BEGINNING
from shared.beliefs.observations import (
    Correction,
    Observation,
    OtherWords,
    Review,
    Tombstone,
    Undo,
    acts_by,
    deliveries,
    recorded_by,
)
from shared.beliefs.other_words import replacing
from shared.beliefs.quarantine import reviewed
from shared.beliefs.standings import replaced, standings
from shared.beliefs.timeline import SlotTimeline
from shared.beliefs.undoing import in_force, tombstones_in_force


def fold_slot(
    observations: Iterable[Observation],
    corrections: Iterable[Correction] = (),
    tombstones: Iterable[Tombstone] = (),
    known_at: datetime | None = None,
    lasts: timedelta | None = None,
    undos: Collection[Undo] = (),
    other_words: Iterable[OtherWords] = (),
    reviews: Iterable[Review] = (),
) -> SlotTimeline:
    """Folds the inputs of ONE (subject, slot) into its timeline.

    `known_at` folds only what was recorded by then, except that tombstones always count (rule 13).
    `lasts` is the catalogue's time for open claims (rule 11). `undos` take acts back. Tombstones
    and corrections of other slots change nothing. `other_words` say what corrections replaced.
    What was held when it was written counts once `reviews` approve it.
    """
    delivered = deliveries(observations)
    known = recorded_by(delivered, known_at)
    stones = forgetting(tombstones_in_force(tombstones, undos, known_at))
    made = _acts_on(delivered, acts_by(corrections, known_at))
    acts = in_force(made, undos, known_at)
    decided = reviewed(reviews, undos, known_at)
    left = [o for o in known if not stones.stops(o) and not decided.rejects(o)]
    words = replacing(other_words, undos, known_at)
    kept = [o for o in left if not words.stops(o) and not decided.holds(o)]
    many = "many" in {o.cardinality for o in kept} | {act.cardinality for act in acts}
    corrected = with_corrections([entry_of(o) for o in kept], acts, many=many, lasts=lasts)
    stopped = {act.id for act in made if stones.stops_act(act)}
    entries = [entry for entry in corrected if not _is_lost(entry, stopped)]
    outcome = compete(entries, many=many, lasts=lasts)
    ends = due_ends(entries, outcome)
    facts = [observation.fact_id for observation in known] + [act.id for act in made]
    forgotten = {o.fact_id for o in known}.difference(o.fact_id for o in left)
    forgotten |= stopped | {act.id for act in made}.difference(act.id for act in acts)
    found = standings(facts, forgotten, outcome, ends) | decided.standings(left)
    return SlotTimeline(
        cardinality="many" if many else "one",
        intervals=_intervals(outcome, beside=False),
        recurring=_intervals(outcome, beside=True),
        plans=tuple(p for p in (*outcome.plans, *ends) if p.until is None or p.since < p.until),
        standings=words.pointed(replaced(found, acts), left),
    )


def _acts_on(observations: Sequence[Observation], acts: Sequence[Correction]) -> list[Correction]:
    """The acts on this slot, which its observations name; all of them where there are none."""
    slots = {(observation.subject, observation.slot) for observation in observations}
    return [act for act in acts if not slots or (act.subject, act.slot) in slots]


def _is_lost(entry: Entry, stopped: Collection[UUID]) -> bool:
    """What an operator asserted and a tombstone stopped; what was denied with it stays denied."""
    return entry.fact_id in stopped and not is_retraction(entry)


def _intervals(outcome: Outcome, *, beside: bool) -> tuple[Interval, ...]:
    lanes = (lane.intervals for lane in outcome.lanes if lane.beside == beside)
    return tuple(sorted((i for intervals in lanes for i in intervals), key=_in_order))


def _in_order(interval: Interval) -> tuple[datetime, str]:
    return interval.valid_from or BEGINNING, interval.value_key
