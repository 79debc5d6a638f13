"""Rule 12 for free text: which sentences a correction replaces, and from when on the new one holds.

A correction replaces the fact it names, whatever says the same (`old_value_key`), and what earlier
corrections put in their place, as far as it was said before. The new sentence holds from where the
oldest of them began. Deciding what else is in one cluster with them is not done here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from shared.beliefs.entries import Entry, entry_of
from shared.beliefs.moments import FOREVER, Stretch
from shared.beliefs.observations import Correction, Observation, Rank, act_rank


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence, and the facts that it replaces if it is an operator's."""

    entry: Entry
    subject: str
    replaces: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Reworded:
    """One correction: what it replaces, whether or not its own sentence is still there."""

    id: UUID
    rank: Rank
    replaces: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Rewordings:
    """Free text by rank, the corrections of it by rank, and each fact's own stretch of time."""

    said: tuple[Said, ...]
    acts: tuple[Reworded, ...]
    own: Mapping[UUID, Stretch]


def rewordings(
    observations: Sequence[Observation], made: Iterable[Correction], acts: Sequence[Correction]
) -> Rewordings:
    """Of all the corrections `made`, `acts` count, in the order they were made."""
    in_force = {act.id: act for act in acts}
    taken_back = {act.id for act in made} - in_force.keys()
    left = [o for o in observations if o.fact_id not in taken_back]
    entries = {o.fact_id: _entry(o, in_force.get(o.fact_id)) for o in left}
    own = {fact: _own(entry) for fact, entry in entries.items()}
    replaced: dict[UUID, frozenset[UUID]] = {}
    for act in acts:
        before = [o for o in left if entries[o.fact_id].rank < act_rank(act, 1)]
        replaced[act.id] = _replaced(act, before, [a for a in acts if a.id in replaced])
        if act.id in own:
            own[act.id] = _from_the_oldest(act, own, replaced[act.id])
    said = [Said(entries[o.fact_id], o.subject, replaced.get(o.fact_id, frozenset())) for o in left]
    return Rewordings(
        tuple(sorted(said, key=lambda one: one.entry.rank)),
        tuple(Reworded(act.id, act_rank(act, 1), replaced[act.id]) for act in acts),
        own,
    )


def _entry(observation: Observation, act: Correction | None) -> Entry:
    """An operator's sentence wins ties with what was said at the same instant."""
    entry = entry_of(observation)
    return entry if act is None else replace(entry, rank=act_rank(act, 1))


def _own(entry: Entry) -> Stretch:
    """From `occurred_at`, else when it was said, to `ended_at`, else open; a bygone stays true."""
    start = min(entry.start.at, entry.said) if entry.start else entry.said
    end = entry.end.at if entry.end else FOREVER
    return (min(start, end), FOREVER) if entry.state == "past" else (min(start, end), end)


def _replaced(
    act: Correction, before: Iterable[Observation], earlier: Iterable[Correction]
) -> frozenset[UUID]:
    """The fact, what says the same, and what took their place before; never the act itself."""
    said = list(before)
    key = (act.subject, act.old_value_key)
    same = {o.fact_id for o in said if act.old_value_key and (o.subject, o.value_key) == key}
    named = {act.fact_id, *same} - {act.id}
    for other in earlier:  # in the order they were made, so that chains are followed
        if other.fact_id in named:
            named.add(other.id)
    return frozenset(named & {o.fact_id for o in said}) - {act.id}


def _from_the_oldest(
    act: Correction, own: Mapping[UUID, Stretch], replaces: Iterable[UUID]
) -> Stretch:
    """Where the oldest of what it replaces began; else where the operator saw it begin."""
    start, end = own[act.id]
    seen = [own[fact][0] for fact in replaces]
    if not seen and act.valid_from is not None:
        seen = [_in_utc(act.valid_from)]
    return min([start, *seen]), end


def _in_utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
