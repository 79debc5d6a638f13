"""Which of the operators' acts count, once some of them have been taken back.

An undo is an input of its own: it names an act and has a time. Without a `known_at` an act that was
undone is as if it had never been made. With one, it counts for whoever asks what was believed
between the act and its undo: that is what was believed then. A tombstone that still stands counts
whatever the `known_at` (rule 13).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from shared.beliefs.observations import Act, Tombstone, Undo


def in_force(made: Iterable[Act], undos: Iterable[Undo], known_at: datetime | None) -> list[Act]:
    """Of corrections and what is part of them, those that had not been undone by `known_at`."""
    ended = _first_undone(undos)
    return [act for act in made if act.id not in ended or _before(known_at, ended[act.id])]


def tombstones_in_force(
    tombstones: Iterable[Tombstone], undos: Iterable[Undo], known_at: datetime | None
) -> list[Tombstone]:
    """Those that stand, and those that stood at `known_at`."""
    ended = _first_undone(undos)
    return [
        stone
        for stone in tombstones
        if stone.id not in ended
        or (known_at is not None and stone.at <= known_at < ended[stone.id])
    ]


def _first_undone(undos: Iterable[Undo]) -> Mapping[UUID, datetime]:
    """When each act was first taken back; once more changes nothing."""
    first: dict[UUID, datetime] = {}
    for undo in undos:
        first[undo.act_id] = min(undo.at, first.get(undo.act_id, undo.at))
    return first


def _before(known_at: datetime | None, ended: datetime) -> bool:
    return known_at is not None and known_at < ended
