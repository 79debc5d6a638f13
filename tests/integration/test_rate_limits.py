"""Limits on a real Redis: the same as the model, across processes, and not gone with Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import redis as redis_sync
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from services.gateway.gcra import MINUTE_US, Limit, pour
from services.gateway.rates import _SCRIPT, RateLimiter, Rates
from tests.integration.test_gateway_app import code, serve, short_redis

PATIENT = 30.0
START_US = 1_700_000_000_000_000
STEPS = st.lists(st.integers(-MINUTE_US, 2 * MINUTE_US), min_size=1, max_size=40)

# time comes with the call, and buckets outlive it: the example's clock is not the server's
TIMED = _SCRIPT.replace("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
TIMED = TIMED.replace(", 'PX', math.ceil(held / 1000)", "")


def test_the_script_is_what_the_model_says(redis_url: str) -> None:
    """Any requests at any times, clocks set back among them: both let through the same."""
    assert "'TIME'" not in TIMED
    assert "'PX'" not in TIMED
    with redis_sync.Redis.from_url(redis_url) as client:
        script = client.register_script(TIMED)

        @settings(max_examples=150, deadline=None)
        @given(st.lists(st.integers(1, 50_000), min_size=1, max_size=2), STEPS)
        def same(per_minute: list[int], steps: list[int]) -> None:
            client.flushall()
            limits = [Limit(f"{n}", most) for n, most in enumerate(per_minute)]
            names = [limit.name for limit in limits]
            numbers = [n for limit in limits for n in (limit.interval_us, limit.tolerance_us)]
            now, buckets = START_US, [0] * len(limits)
            for step in steps:
                now += step if abs(step) > 1_000 else 0
                clock = [now // 1_000_000, now % 1_000_000]
                answer: Any = script(keys=names, args=[*numbers, *clock])
                passed, buckets, counts = pour(buckets, now, limits)
                assert answer == [int(passed), *(count.held_us for count in counts)]

        same()


async def test_processes_count_together_and_buckets_go_away(redis: Redis) -> None:
    rates = Rates(per_key=7, per_tenant=10)
    limiters = [RateLimiter(redis, count_seconds=PATIENT) for _ in range(4)]
    for _ in range(3):  # a bucket that leaks meanwhile lets one more through
        await redis.flushall()
        answers = await asyncio.gather(
            *(limiters[n % 4].count("acme", "k1", rates) for n in range(40))
        )
        if sum(passed for passed, _ in answers) == 7:
            break
    assert sum(passed for passed, _ in answers) == 7
    left = [await limiters[0].count("acme", "k2", rates) for _ in range(5)]
    assert sum(passed for passed, _ in left) in {3, 4}  # what the tenant has left
    assert (await limiters[1].count("other", "k1", rates))[0]
    for name in await redis.keys("memoire:limit:*"):
        assert 0 < await redis.pttl(name) <= 60_000


async def test_without_redis_a_process_counts_for_itself() -> None:
    now = 0
    limiter = RateLimiter(None, lambda: now)
    rates = Rates(per_key=3)

    async def passed(key: str = "k") -> bool:
        return (await limiter.count("acme", key, rates))[0]

    assert [await passed() for _ in range(5)] == [True] * 3 + [False] * 2
    assert await passed("another")
    now = MINUTE_US // 3
    assert [await passed() for _ in range(2)] == [True, False]


async def test_headers_tell_what_is_left(database_url: str, redis_url: str) -> None:
    """On answers of every kind, and none where there is no limit."""
    async with (
        short_redis(redis_url) as redis,
        serve(database_url, redis, rate_limit_per_minute=4) as api,
    ):
        api.gateway.limiter._count_seconds = PATIENT
        answers = [await api.get("/v1/users"), await api.get("/v1/facts/nonsense")]
        answers.append(await api.get("/v1/users/ana/conscious"))
        assert [answer.status_code for answer in answers] == [200, 404, 200]
        left = [int(answer.headers["ratelimit-remaining"]) for answer in answers]
        assert left == sorted(left, reverse=True)
        assert answers[0].headers["ratelimit-limit"] == "4"
        assert answers[0].headers["ratelimit-policy"] == '"key";q=4;w=60'
        refused = [await api.get("/v1/users") for _ in range(8)][-1]
        assert (refused.status_code, code(refused)) == (429, "rate_limited")
        assert refused.headers["ratelimit-remaining"] == "0"
        [wait] = refused.headers.get_list("retry-after")
        assert 0 < int(wait) <= 15
    async with serve(database_url, None) as api:
        assert "ratelimit-limit" not in (await api.get("/v1/users")).headers


async def test_a_tenants_own_limits_take_the_place_of_the_settings(database_url: str) -> None:
    async with serve(database_url, None, tenant_rate_limit_per_minute=2) as api:
        await api.sql(
            "INSERT INTO tenant_limits (tenant_id, requests_per_minute, key_requests_per_minute)"
            " VALUES ('free', 0, 3)"
        )
        free, plain = await api.key("read", tenant="free"), await api.key("read", tenant="plain")

        async def statuses(key: str) -> list[int]:
            headers = {"X-API-Key": key}
            return [
                (await api.client.get("/v1/users", headers=headers)).status_code for _ in range(4)
            ]

        assert await statuses(free) == [200, 200, 200, 429]
        assert await statuses(plain) == [200, 200, 429, 429]
