"""What is believed of one attribute under a catalogue (pure): rows named, keyed and folded.

A row keeps the slot, key and cardinality it was stored with; which attribute that is, when two of
its values are equal, whether it has one or many and how long a claim lasts is read from the
catalogue at the fold. So a tenant's slot counts for what was stored before it as for what follows.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TypeVar, cast

from shared import value_keys
from shared.beliefs import (
    Correction,
    Observation,
    OtherWords,
    Review,
    SlotTimeline,
    Tombstone,
    Undo,
    effective_said_at,
    fold_slot,
    rank_key,
)
from shared.beliefs.observations import Cardinality
from shared.slots import Catalogue, SlotSpec
from shared.value_dates import birth_stretch

Days = tuple[date, date]


def fold_under(
    catalogue: Catalogue,
    slot: str,
    observations: Iterable[Observation],
    corrections: Iterable[Correction] = (),
    tombstones: Iterable[Tombstone] = (),
    known_at: datetime | None = None,
    undos: Collection[Undo] = (),
    other_words: Iterable[OtherWords] = (),
    reviews: Iterable[Review] = (),
) -> SlotTimeline:
    """Fold the observations of ONE (subject, slot), under whatever names they are stored.

    Corrections and tombstones of other slots change nothing.
    """
    spec = catalogue.resolve(slot)
    stored = list(observations)
    read = [_read(each, slot, spec) for each in stored]
    if spec is not None and spec.kind == "year":
        read = one_birth(read)
    keys = {
        (before.slot, before.value_key): after.value_key
        for before, after in zip(stored, read, strict=True)
    }
    return fold_slot(
        read,
        [_correction(each, catalogue, keys) for each in corrections],
        [carried for each in tombstones for carried in _carried(each, stored, read)],
        known_at,
        spec.lasts if spec else None,
        undos,
        [carried for each in other_words for carried in _carried(each, stored, read)],
        reviews,
    )


def _read(stored: Observation, slot: str, spec: SlotSpec | None) -> Observation:
    kind, said = spec.kind if spec else "text", stored.cardinality
    key = value_keys.key(kind, stored.value) if stored.value is not None else stored.value_key
    cardinality = spec.cardinality_of(said) if spec else said
    return replace(stored, slot=slot, value_key=key, cardinality=cast("Cardinality", cardinality))


def _correction(
    act: Correction, catalogue: Catalogue, keys: dict[tuple[str | None, str | None], str | None]
) -> Correction:
    if act.slot is None:
        return act  # about free text
    name = catalogue.name_of(act.slot)
    spec, said = catalogue.resolve(name), act.cardinality
    return replace(
        act,
        slot=name,
        value_key=act.value_key if act.value is None else catalogue.value_key(name, act.value),
        cardinality=cast("Cardinality", spec.cardinality_of(said) if spec else said),
        old_value_key=keys.get((act.slot, act.old_value_key), act.old_value_key),
    )


_Stop = TypeVar("_Stop", Tombstone, OtherWords)


def _carried(
    stone: _Stop, stored: Sequence[Observation], read: Sequence[Observation]
) -> list[_Stop]:
    """The tombstone as given, and as its statement is named and keyed today: none comes back."""
    if stone.value_key is None:
        return [stone]
    today = {
        (after.slot, after.value_key)
        for before, after in zip(stored, read, strict=True)
        if (before.slot, before.value_key) == (stone.slot, stone.value_key)
    }
    named = sorted(today | {(stone.slot, stone.value_key)}, key=repr)
    return [replace(stone, slot=slot, value_key=key) for slot, key in named]


def one_birth(observations: Sequence[Observation]) -> list[Observation]:
    """Birth years that may be one are keyed as one: 1991, "1991 or 1992", "34", said in May 2026.

    In order of rank each joins the first group whose common days it leaves room for. Depends on the
    set alone, not on its order.
    """
    groups: list[Days] = []
    member: dict[object, int] = {}
    for each in sorted(observations, key=rank_key):
        days = birth_stretch(each.value, effective_said_at(each)) if each.value else None
        if days is not None:
            member[each.fact_id] = _join(groups, days)
    return [
        replace(each, value_key=_years(groups[member[each.fact_id]]))
        if each.fact_id in member
        else each
        for each in observations
    ]


def _join(groups: list[Days], days: Days) -> int:
    for index, known in enumerate(groups):
        common = max(known[0], days[0]), min(known[1], days[1])
        if common[0] <= common[1]:
            groups[index] = common
            return index
    groups.append(days)
    return len(groups) - 1


def _years(days: Days) -> str:
    first, last = days[0].year, days[1].year
    return str(first) if first == last else f"{first}/{last}"
