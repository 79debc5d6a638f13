"""How a day's quota is shared among the rows in which it is counted (pure).

Each row has a fixed share, and the shares add up to the quota: however many count at once, in
whichever rows, their sum stays within it. A row whose share is used up is helped out by the others.
"""

from __future__ import annotations

from collections.abc import Mapping

_SHARDS = 16
_WORTH_SHARING = 1_000  # a small quota has little traffic, and one row is exact to look at


def shards_of(limit: int) -> int:
    return _SHARDS if limit >= _WORTH_SHARING else 1


def share_of(limit: int, shard: int) -> int:
    """How much may be counted in one row; none in rows of a larger quota of before."""
    shards = shards_of(limit)
    return limit // shards + (shard < limit % shards) if shard < shards else 0


def spread(number: int, limit: int, used: Mapping[int, int], first: int = 0) -> dict[int, int]:
    """Take up to `number` wherever there is room, `first` first; what each row gives.

    Never more in all than the limit leaves: not even after it was lowered, when some rows hold more
    than their share.
    """
    left = min(number, max(0, limit - sum(used.values())))
    taken: dict[int, int] = {}
    for shard in sorted(used, key=lambda each: (each != first, each)):
        room = max(0, share_of(limit, shard) - used[shard])
        if given := min(left, room):
            taken[shard] = given
            left -= given
    return taken
