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
`claim` and `cardinality` say nothing about free text: its sentence says it all. What corrections
replace is decided in `rewordings`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.beliefs.entries import Entry, forgetting
from shared.beliefs.moments import (
    BEGINNING,
    FOREVER,
    Stretch,
    bounded_above,
    merged,
)
from shared.beliefs.observations import (
    Correction,
    Observation,
    OtherWords,
    Rank,
    Review,
    Tombstone,
    Undo,
    acts_by,
    deliveries,
    recorded_by,
)
from shared.beliefs.other_words import replacing
from shared.beliefs.quarantine import reviewed
from shared.beliefs.rewordings import Rewordings, Said, rewordings
from shared.beliefs.standing import Standing, Validity
from shared.beliefs.undoing import in_force, tombstones_in_force


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
    corrections: Iterable[Correction] = (),
    undos: Collection[Undo] = (),
    other_words: Iterable[OtherWords] = (),
    reviews: Iterable[Review] = (),
) -> Mapping[UUID, Standing]:
    """The standing of each free-text fact of one user that was recorded by `known_at`.

    `duplicates` and `supersedes` are unordered pairs of fact ids: verdicts, of which the caller
    passes those recorded by `known_at`. What a correction says is the observation whose fact id is
    the act's.
    """
    known = recorded_by(deliveries(observations), known_at)
    stones = forgetting(tombstones_in_force(tombstones, undos, known_at))
    made = acts_by((act for act in corrections if act.slot is None), known_at)
    acts = in_force(made, undos, known_at)
    words = replacing(other_words, undos, known_at)
    decided = reviewed(reviews, undos, known_at)
    left = [o for o in known if not stones.stops(o) and not decided.rejects(o)]
    kept = [o for o in left if not words.stops(o) and not decided.holds(o)]
    reworded = rewordings(kept, made, acts)
    undone = {act.id for act in made}.difference(act.id for act in acts)
    result = _without_belief(known, {o.fact_id for o in left} - undone) | decided.standings(left)
    clusters = _linked(reworded, _neighbours(duplicates))
    successors = _successors(clusters, supersedes, reworded)
    for one in clusters:
        result.update(_standings(one, successors.get(one.canonical_id, []), reworded))
    return words.pointed(result, left)


def _without_belief(known: Sequence[Observation], left: Collection[UUID]) -> dict[UUID, Standing]:
    """Each fact as it is unless a cluster holds it: replaced, or (not `left`) forgotten."""
    return {
        o.fact_id: Standing(kind="retired", canonical_id=o.fact_id)
        if o.fact_id in left
        else Standing(kind="forgotten", canonical_id=o.fact_id, evidence_count=0)
        for o in known
    }


def _neighbours(duplicates: Iterable[Collection[UUID]]) -> Mapping[UUID, set[UUID]]:
    neighbours: dict[UUID, set[UUID]] = {}
    for pair in duplicates:
        for fact in pair:
            neighbours.setdefault(fact, set()).update(pair)
    return neighbours


def _linked(reworded: Rewordings, neighbours: Mapping[UUID, set[UUID]]) -> list[_Cluster]:
    """Complete link, by rank: a fact joins the first cluster whose members it all duplicates.

    What a correction says never joins what it replaces, and others join that last of all.
    """
    clusters: list[_Cluster] = []
    index_of: dict[UUID, int] = {}
    gone: set[int] = set()
    for said in reworded.said:
        near = neighbours.get(said.entry.fact_id, set())
        own = {index_of[fact] for fact in said.replaces if fact in index_of}
        gone |= own
        candidates = sorted({index_of[fact] for fact in near if fact in index_of} - own)
        candidates.sort(key=gone.__contains__)
        home = next((i for i in candidates if _takes(clusters[i], said, near)), None)
        if home is None:
            home = len(clusters)
            clusters.append(_Cluster(said.subject, said.entry.state == "future", []))
        clusters[home].members.append(said.entry)
        index_of[said.entry.fact_id] = home
    return clusters


def _takes(one: _Cluster, said: Said, near: Collection[UUID]) -> bool:
    same_kind = one.is_plan == (said.entry.state == "future")
    same_subject = one.subject == said.subject
    return same_kind and same_subject and all(m.fact_id in near for m in one.members)


@dataclass(frozen=True, slots=True)
class _Successor:
    """What closes a cluster from `start` on, and the cluster it is in itself (None: forgotten)."""

    rank: Rank
    start: datetime
    canonical_id: UUID | None


def _successors(
    clusters: Iterable[_Cluster], supersedes: Iterable[Collection[UUID]], reworded: Rewordings
) -> Mapping[UUID, list[_Successor]]:
    """For each cluster (by canonical fact) what supersedes it, by rank; plans supersede nothing.

    A correction leaves nothing of what was said before it.
    """
    found = {m.fact_id: (m, one) for one in clusters for m in one.members}
    successors: dict[UUID, set[_Successor]] = {}
    for pair in {frozenset(pair) for pair in supersedes}:
        known = [found[fact] for fact in pair if fact in found]
        if len(known) < 2:
            continue
        (_, closed), (entry, own) = sorted(known, key=lambda member: member[0].rank)
        if own is not closed and not own.is_plan:
            by = _Successor(entry.rank, reworded.own[entry.fact_id][0], own.canonical_id)
            successors.setdefault(closed.canonical_id, set()).add(by)
    for act in reworded.acts:
        new = found.get(act.id)
        by = _Successor(act.rank, BEGINNING, new[1].canonical_id if new else None)
        for fact in act.replaces & found.keys():
            successors.setdefault(found[fact][1].canonical_id, set()).add(by)
    return {fact: sorted(by, key=lambda s: (s.rank, s.start)) for fact, by in successors.items()}


def _standings(
    one: _Cluster, successors: Sequence[_Successor], reworded: Rewordings
) -> Mapping[UUID, Standing]:
    canonical = one.canonical_id
    result = {m.fact_id: Standing(kind="merged", canonical_id=canonical) for m in one.members[1:]}
    result[canonical] = (
        _plan(one, successors) if one.is_plan else _belief(one, successors, reworded.own)
    )
    return result


def _plan(one: _Cluster, successors: Sequence[_Successor]) -> Standing:
    """It stands until something said after it supersedes it; its latest said day counts."""
    later = [s for s in successors if s.rank > one.members[-1].rank]
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


def _belief(
    one: _Cluster, successors: Sequence[_Successor], own: Mapping[UUID, Stretch]
) -> Standing:
    stretches = _stretches(one, successors, own)
    valid: Validity = tuple((start, bounded_above(end)) for start, end in stretches)
    begins = {successor.start: successor.canonical_id for successor in reversed(successors)}
    by = begins.get(stretches[-1][1]) if stretches else _taken_by(successors)
    return Standing(
        kind="belief" if stretches else "retired",
        canonical_id=one.canonical_id,
        valid=valid,
        superseded_by=by,
        evidence_count=len(one.members),
    )


def _taken_by(successors: Sequence[_Successor]) -> UUID | None:
    """What took the place of a cluster: the last correction, else the first that superseded it."""
    corrections = [s for s in reversed(successors) if s.start == BEGINNING]
    return next((s.canonical_id for s in (*corrections, *successors)), None)


def _stretches(
    one: _Cluster, successors: Sequence[_Successor], own: Mapping[UUID, Stretch]
) -> tuple[Stretch, ...]:
    """What its members cover together."""
    return merged([_closed(member, one.members, successors, own) for member in one.members])


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
    cuts += [successor.start for successor in successors if successor.rank > member.rank]
    return start, min([end, *cuts])
