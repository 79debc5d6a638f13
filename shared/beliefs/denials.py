"""Rule 6: which stretches of a claim a later-said denial removes.

Decides nothing about plans: a denial marked `future` touches only them (rule 8).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias
from uuid import UUID

from shared.beliefs.entries import Entry
from shared.beliefs.moments import BEGINNING, FOREVER, Stretch, merged

Denied: TypeAlias = Mapping[UUID, tuple[Stretch, ...]]


def denied_stretches(entries: Sequence[Entry]) -> Denied:
    """For each claim (by fact id) the stretches denied by who spoke later; entries by rank."""
    denied: dict[UUID, tuple[Stretch, ...]] = {}
    of_value: dict[str, tuple[Stretch, ...]] = {}
    of_any: tuple[Stretch, ...] = ()
    for message in messages_backwards(entries):
        for entry in reversed(message):
            key = entry.value_key
            if entry.is_claim and key is not None:
                denied[entry.fact_id] = merged((*of_value.get(key, ()), *of_any))
            elif is_denial(entry) and key is not None:
                of_value[key] = merged((*of_value.get(key, ()), _stretch(entry)))
        nameless = [_stretch(e) for e in message if is_denial(e) and e.value_key is None]
        of_any = merged((*of_any, *nameless))
    return denied


def messages_backwards(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries of one message at a time, the latest message first; entries by rank."""
    for _, message in groupby(reversed(entries), key=lambda entry: (entry.said, entry.rank[1:3])):
        yield list(message)[::-1]


def is_denial(entry: Entry) -> bool:
    """A denial that removes a stretch. Without a value and without an end it acts as `ends`."""
    if entry.claim != "denies" or entry.state == "future":
        return False
    return entry.value_key is not None or entry.end is not None


def _stretch(entry: Entry) -> Stretch:
    start = entry.start.at if entry.start else BEGINNING
    end = entry.end.at if entry.end else FOREVER
    return start, end
