"""The law of free text: which facts say the same, and for how long each cluster holds.

Decides clusters by complete link over stored verdicts, never through a bridge, and closes what
stored verdicts supersede. It never judges whether two sentences are duplicates.

Choices: a plan and a fact are never one, nor are facts about two subjects. A member said later
with an end closes the earlier ones that began before its end. A sentence in the past tense ("Went
to Paris in 2015") is knowledge that never stops being true: it holds from its beginning on. A
superseding fact closes what was said before it, so that saying the old thing again brings it back.
Who supersedes whom follows from rank, never from who was asked first: of a pair judged "supersedes"
the fact said later counts. "refines" changes no belief: the general and the detailed sentence are
both true, and closing the older would lose what only it says (docs/decisions/0013-judge.md).
`claim` and `cardinality` say nothing about free text: its sentence says it all.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.beliefs.entries import Entry, entry_of, forgetting
from shared.beliefs.moments import (
    FOREVER,
    Stretch,
    bounded_above,
    merged,
)
from shared.beliefs.observations import Observation, Tombstone, deliveries, recorded_by
from shared.beliefs.standing import Standing, Validity


@dataclass(slots=True)
class _Cluster:
    """Facts that say the same, by rank; the first is canonical."""

    subject: str
    is_plan: bool
    members: list[Entry]

    @property
    def canonical_id(self) -> UUID:
        return self.members[0].fact_id


def cluster(
    observations: Iterable[Observation],
    duplicates: Iterable[Collection[UUID]],
    tombstones: Iterable[Tombstone] = (),
    known_at: datetime | None = None,
    supersedes: Iterable[Collection[UUID]] = (),
) -> Mapping[UUID, Standing]:
    """The standing of each free-text fact of one user that was recorded by `known_at`.

    `duplicates` and `supersedes` are unordered pairs of fact ids: verdicts, of which the caller
    passes those recorded by `known_at`.
    """
    known, stones = recorded_by(deliveries(observations), known_at), forgetting(tombstones)
    kept = [observation for observation in known if not stones.stops(observation)]
    clusters = _linked(kept, _neighbours(duplicates))
    result = {
        observation.fact_id: Standing(
            kind="forgotten", canonical_id=observation.fact_id, evidence_count=0
        )
        for observation in known
    }
    successors = _successors(clusters, supersedes)
    for one in clusters:
        result.update(_standings(one, successors.get(one.canonical_id, [])))
    return result


def _neighbours(duplicates: Iterable[Collection[UUID]]) -> Mapping[UUID, set[UUID]]:
    neighbours: dict[UUID, set[UUID]] = {}
    for pair in duplicates:
        for fact in pair:
            neighbours.setdefault(fact, set()).update(pair)
    return neighbours


def _linked(
    observations: Sequence[Observation], neighbours: Mapping[UUID, set[UUID]]
) -> list[_Cluster]:
    """Complete link, by rank: a fact joins the first cluster whose members it all duplicates."""
    clusters: list[_Cluster] = []
    index_of: dict[UUID, int] = {}
    for observation in observations:
        near = neighbours.get(observation.fact_id, set())
        candidates = sorted({index_of[fact] for fact in near if fact in index_of})
        home = next((i for i in candidates if _takes(clusters[i], observation, near)), None)
        if home is None:
            home = len(clusters)
            is_plan = observation.temporal_state == "future"
            clusters.append(_Cluster(observation.subject, is_plan, []))
        clusters[home].members.append(entry_of(observation))
        index_of[observation.fact_id] = home
    return clusters


def _takes(one: _Cluster, observation: Observation, near: Collection[UUID]) -> bool:
    same_kind = one.is_plan == (observation.temporal_state == "future")
    same_subject = one.subject == observation.subject
    return same_kind and same_subject and all(m.fact_id in near for m in one.members)


@dataclass(frozen=True, slots=True)
class _Successor:
    """A fact that supersedes a cluster, with the cluster it is in itself."""

    entry: Entry
    canonical_id: UUID


def _successors(
    clusters: Iterable[_Cluster], supersedes: Iterable[Collection[UUID]]
) -> Mapping[UUID, list[_Successor]]:
    """For each cluster (by canonical fact) what supersedes it, by rank; plans supersede nothing."""
    found = {m.fact_id: (m, one) for one in clusters for m in one.members}
    successors: dict[UUID, list[_Successor]] = {}
    for pair in {frozenset(pair) for pair in supersedes}:
        known = [found[fact] for fact in pair if fact in found]
        if len(known) < 2:
            continue
        (_, closed), (entry, own) = sorted(known, key=lambda member: member[0].rank)
        if own is not closed and not own.is_plan:
            by = _Successor(entry, own.canonical_id)
            successors.setdefault(closed.canonical_id, []).append(by)
    for of_cluster in successors.values():
        of_cluster.sort(key=lambda successor: successor.entry.rank)
    return successors


def _standings(one: _Cluster, successors: Sequence[_Successor]) -> Mapping[UUID, Standing]:
    canonical = one.canonical_id
    result = {m.fact_id: Standing(kind="merged", canonical_id=canonical) for m in one.members[1:]}
    result[canonical] = _plan(one, successors) if one.is_plan else _belief(one, successors)
    return result


def _plan(one: _Cluster, successors: Sequence[_Successor]) -> Standing:
    """It stands until something said after it supersedes it; its latest said day counts."""
    later = [s for s in successors if s.entry.rank > one.members[-1].rank]
    if later:
        by = later[0].canonical_id
        return Standing(kind="retired", canonical_id=one.canonical_id, superseded_by=by)
    days = [member.start.at for member in one.members if member.start]
    return Standing(
        kind="plan",
        canonical_id=one.canonical_id,
        planned_for=days[-1] if days else None,
        planned_since=one.members[0].said,
        evidence_count=len(one.members),
    )


def _belief(one: _Cluster, successors: Sequence[_Successor]) -> Standing:
    stretches = _stretches(one, successors)
    valid: Validity = tuple((start, bounded_above(end)) for start, end in stretches)
    begins = {
        _own(successor.entry)[0]: successor.canonical_id for successor in reversed(successors)
    }
    end = stretches[-1][1] if stretches else _own(one.members[-1])[0]
    by = begins.get(end) if stretches else next((s.canonical_id for s in successors), None)
    return Standing(
        kind="belief" if stretches else "retired",
        canonical_id=one.canonical_id,
        valid=valid,
        superseded_by=by,
        evidence_count=len(one.members),
    )


def _stretches(one: _Cluster, successors: Sequence[_Successor]) -> tuple[Stretch, ...]:
    """What its members cover together."""
    own = {member.fact_id: _own(member) for member in one.members}
    return merged([_closed(member, one.members, successors, own) for member in one.members])


def _own(entry: Entry) -> Stretch:
    """From `occurred_at`, else when it was said, to `ended_at`, else open; a bygone stays true."""
    start = min(entry.start.at, entry.said) if entry.start else entry.said
    end = entry.end.at if entry.end else FOREVER
    return (min(start, end), FOREVER) if entry.state == "past" else (min(start, end), end)


def _closed(
    member: Entry,
    members: Sequence[Entry],
    successors: Sequence[_Successor],
    own: Mapping[UUID, Stretch],
) -> Stretch:
    """The member's own stretch, cut by what was said after it."""
    start, end = own[member.fact_id]
    later = [own[m.fact_id][1] for m in members if m.rank > member.rank]
    cuts = [cut for cut in later if start < cut < FOREVER]
    cuts += [_own(s.entry)[0] for s in successors if s.entry.rank > member.rank]
    return start, min([end, *cuts])
