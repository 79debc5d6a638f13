"""docs/erasure-and-export.md, literally: after an erasure a dump has no word of the user's left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
from redis.asyncio import Redis

from shared.embedded.binaries import postgres_binaries
from shared.topology import MESSAGES
from tests.databases import TestedDatabase
from tests.integration.test_gateway_app import Api, serve
from tests.pipeline.harness import Pipeline

WORD = "Quaggaville7719"
USER = "somebody-5531"


def dump(url: str, folder: Path, *options: str) -> str:
    """What `pg_dump` writes, in lower case."""
    program = postgres_binaries(folder, None).postgres.parent / "pg_dump"
    command = [str(program), *options, f"--dbname={url}"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().lower()


def analyze(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def hits(dumped: str, text: str) -> int:
    """As it is, and as bytes are written."""
    folded = text.lower()
    return sum(dumped.count(form) for form in (folded, text.encode().hex(), folded.encode().hex()))


async def say(pipeline: Pipeline, redis: Redis, user: str, word: str) -> None:
    """By both entrances, things of every kind; one of them is refused, and kept as a dead letter."""
    said = (
        f"I live in {word}", f"I love {word} and jazz", f"I moved to {word} in 2019",
        f"My sister {word} has a dog", "I live in Oslo", f"My password is {word}!x9",
    )  # fmt: skip
    for number, content in enumerate(said):
        fields = {"user_id": user, "role": "user", "content": content, "session_id": f"of-{user}"}
        await redis.xadd(MESSAGES, {**fields, "metadata": f'{{"place": "{word}"}}'})  # type: ignore[dict-item]
        await pipeline.say(content, user_id=user, message_id=f"{user}-{number}", speaker=word)
    await redis.xadd(MESSAGES, {"user_id": user, "role": "robot", "content": word})


async def act(api: Api, user: str, word: str) -> None:
    """What an operator and an application do about a user, with the word in each."""
    stated = {"content": f"Was born in {word}", "slot": "birth_city", "value": word}
    answer = await api.post(f"/v1/users/{user}/facts", stated, headers={"Idempotency-Key": word})
    assert answer.status_code == 202, answer.text
    facts = (await api.get(f"/v1/users/{user}/facts")).json()["facts"]
    [home] = [fact for fact in facts if fact["slot"] == "home_city"]
    correction = {"value": word, "reason": f"wrote to us about {word}"}
    answer = await api.client.patch(f"/v1/facts/{home['id']}", json=correction)
    assert answer.status_code in (200, 202), answer.text
    for query in (word, f"Does she love {word}?"):
        await api.post("/v1/recall", {"user_id": user, "query": query})
    await api.post(f"/v1/users/{user}/optimize")
    await api.post(f"/v1/users/{user}/consolidate")


async def test_a_dump_after_an_erasure_has_no_word_of_it(
    db: TestedDatabase, database_url: str, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    """Neither the words nor the user's id, while another user's are all there."""
    pipeline = Pipeline(db, redis, redis_url)
    async with pipeline.running(), serve(database_url, redis) as api:
        for user, word in ((USER, WORD), ("ben", "Benville")):
            await say(pipeline, redis, user, word)
            await pipeline.settled(120)
            await act(api, user, word)
            await pipeline.settled(120)
        analyze(database_url)
        before = dump(database_url, tmp_path)
        assert hits(before, WORD) > 20, "else this test shows nothing"
        answer = await api.client.delete(f"/v1/users/{USER}")
        assert answer.status_code == 200, answer.text
        await pipeline.settled(120)
        after = dump(database_url, tmp_path)
    assert (hits(after, WORD), hits(after, USER)) == (0, 0)
    assert hits(after, "Benville") == hits(before, "Benville")
    analyze(database_url)
    with_samples = dump(database_url, tmp_path, "--statistics")
    assert (hits(with_samples, WORD), hits(with_samples, USER)) == (0, 0), "planner's samples too"
