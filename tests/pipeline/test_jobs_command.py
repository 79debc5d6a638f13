"""`memoire jobs`: what the clock does, and a job done now, from the command line."""

from __future__ import annotations

import asyncio
import json

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from services.cli import app
from services.console.errors import CommandError
from tests.databases import TestedDatabase
from tests.pipeline.harness import Pipeline


@pytest.fixture
def pipeline(
    db: TestedDatabase,
    redis: Redis,
    redis_url: str,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Pipeline:
    monkeypatch.setenv("MEMOIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("MEMOIRE_REDIS_URL", redis_url)
    monkeypatch.setenv("COLUMNS", "200")
    return Pipeline(db, redis, redis_url)


def memoire(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, CommandError):
        raise result.exception
    return result.exit_code, result.stdout


async def test_a_job_is_run_and_shows_what_it_did(pipeline: Pipeline) -> None:
    """It waits for the end, and is counted afterwards."""
    async with pipeline.running():
        await pipeline.say("I live in Lisbon")
        await pipeline.settled(60)
        code, shown = await asyncio.to_thread(
            memoire, "jobs", "run", "consolidate", "--user", "ana"
        )
        assert code == 0, shown
        done = json.loads(shown)
        assert (done["state"], done["error"]) == ("done", None)
        assert done["result"] == {"merged": 0, "changed": 0, "profile": "written"}
        code, shown = await asyncio.to_thread(memoire, "jobs", "show", "--json")
    [kind] = [job for job in json.loads(shown)["jobs"] if job["kind"] == "consolidate"]
    assert kind["cron"] == "0 4 * * 0"
    assert kind["next"].endswith("T04:00:00+00:00")
    counts = {name: kind[name] for name in ("requested", "running", "done", "failed")}
    assert counts == {"requested": 0, "running": 0, "done": 1, "failed": 0}
    assert kind["oldest_seconds"] is None
    code, shown = await asyncio.to_thread(memoire, "jobs")
    assert code == 0
    assert "consolidate" in shown


async def test_a_job_that_nobody_does_is_not_done(pipeline: Pipeline) -> None:
    """Without maintenance the answer comes after the patience, and the job goes on waiting."""
    await pipeline.store(pipeline.message("I live in Lisbon"))
    words = ("jobs", "run", "consolidate", "--user", "ana", "--patience", "0.2")
    code, shown = await asyncio.to_thread(memoire, *words)
    assert code == 1
    assert json.loads(shown)["state"] == "requested"
    _, shown = await asyncio.to_thread(memoire, "jobs", "show", "--json")
    [kind] = [job for job in json.loads(shown)["jobs"] if job["kind"] == "consolidate"]
    assert kind["requested"] == 1
    assert kind["oldest_seconds"] >= 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("jobs", "run", "tidy", "--user", "ana"), "no job; there are .*consolidate"),
        (("jobs", "run", "consolidate", "--user", "nobody"), "no such user"),
    ],
)
async def test_what_cannot_be_run_is_said(
    pipeline: Pipeline, words: tuple[str, ...], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        await asyncio.to_thread(memoire, *words)
    assert await pipeline.rows("SELECT 1 FROM jobs") == []
