"""`memoire replay` as a user types it, against real processes and a scripted model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.instance import Instance, environment, running
from tests.fakes.chat_server import ChatServer, chat_server, one_fact_each

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]

MEMOIRE = [sys.executable, "-P", "-m", "services.cli"]


@contextmanager
def model_server() -> Iterator[ChatServer]:
    """A scripted model in a thread of its own: commands are waited for meanwhile."""
    started = threading.Event()
    found: list[ChatServer] = []
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with chat_server(one_fact_each) as server:
            found.append(server)
            started.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)


@pytest.fixture(scope="module")
def model() -> Iterator[ChatServer]:
    with model_server() as server:
        yield server


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance that extracts by rules."""
    with running(tmp_path_factory.mktemp("replay") / "data", MEMOIRE_EXTRACTOR="rules") as up:
        yield up


def replay(
    instance: Instance, *words: str, code: int = 0, stdin: str | None = None, **settings: str
) -> str:
    done = subprocess.run(
        [*MEMOIRE, "replay", "--data", str(instance.data), *words],
        capture_output=True,
        text=True,
        input=stdin,
        env=environment(**settings),
        timeout=180,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def as_json(instance: Instance, *words: str, **settings: str) -> Any:
    return json.loads(replay(instance, *words, "--json", **settings))


def test_a_user_is_replayed_by_a_model_and_back(instance: Instance, model: ChatServer) -> None:
    """From rules to a model and back, with what it costs said first."""
    instance.say("I live in Lisbon", "I have a dog called Rex", user="ana")
    model_settings = {"MEMOIRE_LLM_BASE_URL": model.url, "MEMOIRE_LLM_API_KEY": "k"}
    by_model = ("--user", "ana", "--extractor", "llm", "--model", "fake", "--prompt", "v1")

    dry = as_json(instance, *by_model, "--dry-run", **model_settings)
    assert (dry["state"], dry["calls"], dry["messages"]) == ("dry_run", 1, 2)
    assert "Nothing was written" in replay(instance, *by_model, "--dry-run", **model_settings)
    refused = replay(instance, *by_model, "--promote", code=2, **model_settings)
    assert "say --yes" in refused
    assert model.documents == []

    kept = replay(instance, *by_model, "--yes", **model_settings)
    assert "--promote-generation 2" in kept
    assert instance.values("home_city") == ["Lisbon"]
    promoted = as_json(instance, *by_model, "--yes", "--promote", **model_settings)
    assert (promoted["state"], promoted["calls"], promoted["generation"]) == ("promoted", 0, 2)
    assert len(model.documents) == 1
    assert {fact["content"] for fact in instance.facts()} == {
        "I live in Lisbon",
        "I have a dog called Rex",
    }

    listed = replay(instance, "--user", "ana", "--generations")
    assert "in use" in listed
    assert "fake" in listed
    assert "promoted" in replay(instance, "--user", "ana", "--promote-generation", "1")
    assert instance.values("home_city") == ["Lisbon"]
    assert instance.values("pet") == ["Rex"]


def test_all_users_by_rules(instance: Instance) -> None:
    instance.say("I live in Rome", user="bea")
    instance.say("I live in Oslo", user="cem")
    report = as_json(instance, "--all-users", "--extractor", "rules", "--drop")
    assert {each["user_id"] for each in report["replays"]} >= {"bea", "cem"}
    assert {each["state"] for each in report["replays"]} == {"dropped"}
    assert instance.values("home_city", "bea") == ["Rome"]


def test_a_replay_that_was_killed_goes_on(instance: Instance) -> None:
    instance.say("I live in Bern", user="dan")
    command = ("--user", "dan", "--extractor", "rules", "--promote")
    replay(instance, *command, code=137, MEMOIRE_CRASH_AT="replay:commit")
    replay(instance, *command, code=137, MEMOIRE_CRASH_AT="replay:promote")
    report = as_json(instance, *command)
    assert (report["state"], report["resumed"], report["generation"]) == ("promoted", True, 2)
    assert instance.values("home_city", "dan") == ["Bern"]


def test_what_cannot_be_done_is_one_line(instance: Instance) -> None:
    assert "say whose" in replay(instance, code=2)
    assert "nobody is called zoe" in replay(instance, "--user", "zoe", "--dry-run", code=1)
    assert "there is v1" in replay(
        instance, "--user", "ana", "--extractor", "llm", "--prompt", "v99", code=2
    )
    assert "none is configured" in replay(instance, "--user", "ana", "--model", "gpt", code=2)
    assert "--since yesterday" in replay(instance, "--user", "ana", "--since", "yesterday", code=2)
    assert "only one" in replay(instance, "--user", "ana", "--promote", "--drop", code=2)
    nothing = Path("/nowhere/at/all")
    done = subprocess.run(
        [*MEMOIRE, "replay", "--user", "ana", "--data", str(nothing)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 3
