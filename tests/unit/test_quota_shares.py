"""How a quota is shared among the rows that count it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.quotas.shares import shards_of, share_of, spread

LIMITS = st.integers(1, 10_000)


@given(LIMITS)
def test_the_shares_add_up_to_the_quota(limit: int) -> None:
    assert sum(share_of(limit, shard) for shard in range(shards_of(limit))) == limit
    assert share_of(limit, shards_of(limit)) == 0


@given(LIMITS, st.data())
def test_what_is_taken_fits_and_is_all_that_fits(limit: int, data: st.DataObject) -> None:
    shards = shards_of(limit)
    used = {shard: data.draw(st.integers(0, share_of(limit, shard))) for shard in range(shards)}
    number = data.draw(st.integers(0, 2 * limit))
    taken = spread(number, limit, used, data.draw(st.integers(0, shards - 1)))
    assert sum(taken.values()) == min(number, limit - sum(used.values()))
    assert all(used[shard] + given <= share_of(limit, shard) for shard, given in taken.items())


@given(LIMITS, LIMITS, st.integers(0, 10_000))
def test_a_lowered_quota_that_is_overdrawn_gives_nothing(old: int, new: int, number: int) -> None:
    used = {shard: share_of(old, shard) for shard in range(shards_of(old))}
    assert sum(spread(number, new, used).values()) <= max(0, new - old)
