"""Rules 3 and 4: claims that compete in a slot of one, and who wins when.

Decides nothing about dates: the stretches come from `cover`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import heappop, heappush
from itertools import pairwise

from shared.beliefs.cover import Claim
from shared.beliefs.moments import FOREVER, until


@dataclass(frozen=True, slots=True)
class Won:
    """A maximal stretch won by one value. `begins`: the winner's own cover starts with it."""

    value_key: str
    start: datetime
    end: datetime
    begins: bool


def succeeded(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Rule 4: an open claim ends for good where a later-said open one of another value begins."""
    result: list[Claim] = []
    first = second = (FOREVER, "")  # the earliest later-said start, and that of any other value
    for claim in reversed(claims):
        if claim.entry.is_open:
            key = claim.value_key
            end = second[0] if first[1] == key else first[0]
            result.append(replace(claim, stretches=until(claim.stretches, end)))
            if claim.stretches:
                first, second = _earliest((claim.stretches[0][0], key), first, second)
        else:
            result.append(claim)
    return tuple(reversed(result))


_Start = tuple[datetime, str]


def _earliest(new: _Start, first: _Start, second: _Start) -> tuple[_Start, _Start]:
    """The two earliest starts of different values after a new one."""
    if new[1] == first[1]:
        return min(new, first), second
    if new[0] < first[0]:
        return new, first
    return first, min(new, second)


def winners(claims: Sequence[Claim]) -> tuple[Won, ...]:
    """Rule 3: at every moment the highest-ranked claim that covers it; equal neighbours merge."""
    result: list[Won] = []
    for start, end, claim in _segments(claims):
        key = claim.value_key
        if result and result[-1].end == start and result[-1].value_key == key:
            result[-1] = replace(result[-1], end=end)
        else:
            begins = any(own == start for own, _ in claim.stretches)
            result.append(Won(key, start, end, begins))
    return tuple(result)


def _segments(claims: Sequence[Claim]) -> Iterator[tuple[datetime, datetime, Claim]]:
    """Ordered pieces of time, each with its highest-ranked claim; claims come by rank."""
    stretches = sorted(
        (start, end, index) for index, claim in enumerate(claims) for start, end in claim.stretches
    )
    bounds = sorted({bound for start, end, _ in stretches for bound in (start, end)})
    covering: list[tuple[int, datetime]] = []
    opened = 0
    for start, end in pairwise(bounds):
        while opened < len(stretches) and stretches[opened][0] == start:
            heappush(covering, (-stretches[opened][2], stretches[opened][1]))
            opened += 1
        while covering and covering[0][1] <= start:
            heappop(covering)
        if covering:
            yield start, end, claims[-covering[0][0]]


def lying_in(claims: Iterable[Claim], won: Sequence[Won]) -> list[list[Claim]]:
    """Rule 9: for each stretch won (ordered) the claims of its value that lie in it, by rank."""
    by_value: dict[str, list[int]] = {}
    for index, stretch in enumerate(won):
        by_value.setdefault(stretch.value_key, []).append(index)
    lying: list[list[Claim]] = [[] for _ in won]
    for claim in claims:
        for index in _overlapped(claim, won, by_value.get(claim.value_key, [])):
            lying[index].append(claim)
    return lying


def _overlapped(claim: Claim, won: Sequence[Won], indexes: Sequence[int]) -> list[int]:
    found: set[int] = set()
    for start, end in claim.stretches:
        at = bisect_right(indexes, start, key=lambda index: won[index].end)
        while at < len(indexes) and won[indexes[at]].start < end:
            found.add(indexes[at])
            at += 1
    return sorted(found)
