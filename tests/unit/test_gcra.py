"""How fast a caller may send: the law of the buckets, in Python."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.gcra import MINUTE_US, Count, Limit, headers, pour

LIMITS = st.builds(Limit, st.just("key"), st.integers(1, 100_000))
GAPS = st.lists(st.integers(0, MINUTE_US), max_size=60)
START_US = 1_700_000_000_000_000


@given(LIMITS, st.lists(st.integers(0, MINUTE_US // 10), min_size=1, max_size=200))
def test_no_stretch_of_time_lets_more_through_than_a_burst_and_its_intervals(
    limit: Limit, gaps: list[int]
) -> None:
    now, full_at, passed = START_US, 0, []
    for gap in gaps:
        now += gap
        good, [full_at], _ = pour([full_at], now, [limit])
        passed += [now] if good else []
    for first, began in enumerate(passed):
        for last in range(first, len(passed)):
            most = limit.per_minute + (passed[last] - began) // limit.interval_us
            assert last - first + 1 <= most


@given(LIMITS, GAPS)
def test_whoever_waits_as_told_passes_and_a_microsecond_sooner_does_not(
    limit: Limit, gaps: list[int]
) -> None:
    now, full_at = START_US, 0
    for gap in gaps:
        now += gap
        _, [full_at], [count] = pour([full_at], now, [limit])
        if count.wait_us:
            later, _, _ = pour([full_at], now + count.wait_us, [limit])
            sooner, _, _ = pour([full_at], now + count.wait_us - 1, [limit])
            assert (later, sooner) == (True, False)


@given(LIMITS, st.integers(1, 50))
def test_remaining_is_exactly_how_many_more_pass(limit: Limit, poured: int) -> None:
    full_at = 0
    for _ in range(poured):
        _, [full_at], [count] = pour([full_at], START_US, [limit])
    if count.remaining < 200:
        for left in range(count.remaining, 0, -1):
            good, [full_at], _ = pour([full_at], START_US, [limit])
            assert good, left
        assert not pour([full_at], START_US, [limit])[0]


@given(st.lists(LIMITS, min_size=1, max_size=3), GAPS)
def test_a_refused_request_counts_nowhere(limits: list[Limit], gaps: list[int]) -> None:
    now, buckets = START_US, [0] * len(limits)
    for gap in gaps:
        now += gap
        good, after, counts = pour(buckets, now, limits)
        assert good == all(count.held_us <= count.limit.tolerance_us for count in counts)
        assert good or after == buckets
        buckets = after


@given(LIMITS, st.integers(0, 10 * MINUTE_US))
def test_a_clock_that_was_set_back_never_shuts_anybody_out(limit: Limit, back: int) -> None:
    _, [full_at], _ = pour([0], START_US, [limit])
    _, _, [count] = pour([full_at], START_US - back, [limit])
    assert count.wait_us <= limit.interval_us


def test_headers_tell_of_the_limit_that_is_nearest() -> None:
    key, tenant = Limit("key", 60), Limit("tenant", 600)
    told = headers([Count(key, 2_500_000), Count(tenant, 59_900_000)])
    assert told == {
        "RateLimit-Limit": "600",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "60",
        "RateLimit-Policy": '"key";q=60;w=60, "tenant";q=600;w=60',
    }
    refused = headers([Count(key, 61_200_000)])
    assert (refused["RateLimit-Remaining"], refused["RateLimit-Reset"]) == ("0", "60")
    assert headers([]) == {}
