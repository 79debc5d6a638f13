"""deploy/redis/users.acl: what Mémoire may do is enough, and others may do nothing more."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shared.broker import connect_redis
from shared.topology import COMPARED, EMBEDDED, EXTRACTED, JOBS, MESSAGES, SETTLED
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline

FILE = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
SCRIPT = Path(__file__).parents[2] / "services" / "gateway" / "gcra.lua"
USERS = [line.split()[1:] for line in FILE.read_text("utf-8").splitlines() if line[:5] == "user "]
NAMES = [words[0] for words in USERS if words[0] != "default"]


@pytest.fixture
async def as_user(redis: Redis, redis_url: str) -> AsyncIterator[dict[str, str]]:
    """The URL of each user of the file, with the passwords that it has in its place."""
    urls = {}
    for name, *rules in USERS:
        if name == "default":
            continue
        await redis.execute_command("ACL", "SETUSER", name, "reset", *rules)
        password = next(rule[1:] for rule in rules if rule[0] == ">")
        urls[name] = re.sub("//[^@]*@", f"//{name}:{password}@", redis_url)
    yield urls
    await redis.execute_command("ACL", "DELUSER", *NAMES)


async def test_the_whole_pipeline_works_with_its_rights(
    db: TestedDatabase, redis: Redis, as_user: dict[str, str]
):
    """Every command of every stage and of the sweeper is allowed, and none was refused."""
    mine = connect_redis(as_user["memoire"])
    pipeline = Pipeline(db, mine, as_user["memoire"])
    await redis.execute_command("ACL", "LOG", "RESET")
    async with pipeline.running():
        await pipeline.say("I live in San Francisco")
        await pipeline.settled()
        await pipeline.sweeper().keep_house()
    assert await pipeline.current(slot="home_city") == ["San Francisco"]
    await mine.info()
    assert await mine.register_script(SCRIPT.read_text("utf-8"))(
        keys=["memoire:limit:{t}:tenant"], args=[1_000_000, 60_000_000]
    )
    await mine.aclose()
    assert await redis.execute_command("ACL", "LOG") == []


async def test_a_publisher_can_add_messages_and_nothing_else(
    db: TestedDatabase, redis: Redis, as_user: dict[str, str]
):
    """Nobody who publishes reads what others say, or takes an entry away."""
    publisher = connect_redis(as_user["publisher"])
    entry = {"user_id": "ana", "role": "user", "content": "I moved to Lisbon"}
    await publisher.xadd(MESSAGES, entry)
    for refused in (
        publisher.xrange(MESSAGES),
        publisher.xtrim(MESSAGES, maxlen=0),
        publisher.delete(MESSAGES),
        publisher.xadd(EXTRACTED, entry),
        publisher.flushall(),
    ):
        with pytest.raises(NoPermissionError):
            await refused
    await publisher.aclose()
    pipeline = Pipeline(db, redis, as_user["memoire"])
    async with pipeline.running():
        while not await pipeline.current(slot="home_city"):
            await pipeline.settled()


async def test_a_reader_follows_what_is_believed_and_sees_no_message(
    redis: Redis, as_user: dict[str, str]
):
    """With a consumer group of its own, on the public stream alone."""
    reader = connect_redis(as_user["reader"])
    await redis.xadd(SETTLED, {"v": "1"})
    await reader.xgroup_create(SETTLED, "billing", id="0")
    read = await reader.xreadgroup("billing", "one", {SETTLED: ">"}, count=10)
    assert len(read) == 1
    with pytest.raises(NoPermissionError):
        await reader.xread({MESSAGES: "0"})
    with pytest.raises(NoPermissionError):
        await reader.xadd(SETTLED, {"v": "1"})
    await reader.aclose()


async def test_the_scaler_counts_and_reads_nothing(as_user: dict[str, str]):
    scaler = connect_redis(as_user["scaler"])
    for stream in (MESSAGES, EXTRACTED, EMBEDDED, COMPARED, *JOBS.values()):
        assert await scaler.xlen(stream) == 0
    with pytest.raises(NoPermissionError):
        await scaler.xrange(MESSAGES)
    await scaler.aclose()


async def test_nobody_without_a_name_does_anything_but_ping():
    """The default user's line, since a server under test cannot live by it."""
    (default,) = [words for words in USERS if words[0] == "default"]
    assert default[1:] == ["on", "nopass", "resetkeys", "resetchannels", "-@all", "+ping"]
