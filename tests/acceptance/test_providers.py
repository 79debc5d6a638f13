"""A provider that fails and costs money, in front of real processes: what an operator sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.instance import Instance, environment, running, wait_for
from tests.acceptance.test_replay import model_server
from tests.fakes.chat_server import ChatServer, Reply, one_fact_each

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


@pytest.fixture(scope="module")
def model() -> Iterator[ChatServer]:
    with model_server() as server:
        yield server


@pytest.fixture(scope="module")
def instance(model: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(
        tmp_path_factory.mktemp("providers") / "data",
        MEMOIRE_LLM_BASE_URL=model.url,
        MEMOIRE_LLM_PRICE_INPUT="1000",
        MEMOIRE_LLM_PRICE_OUTPUT="2000",
        MEMOIRE_JUDGE="off",
        MEMOIRE_EXTRACT_LINGER_MS="50",
        MEMOIRE_CONFIGURATION_PAUSE_SECONDS="1",
    ) as up:
        yield up


def memoire(instance: Instance, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.cli", *words, "--data", str(instance.data)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=180,
        check=False,
    )
    return done.stdout + done.stderr


def usage(instance: Instance) -> dict[str, Any]:
    answer = instance.client.get("/v1/usage").json()
    return {line["purpose"]: line for line in answer["usage"]}


def test_what_was_asked_is_counted_with_its_price(instance: Instance):
    """Ten tokens in and five out, for 1,000 and 2,000 a million."""
    instance.say("I live in Lisbon")
    line = wait_for(lambda: usage(instance).get("extraction"), 90, "the call to be counted")
    assert (line["calls"], line["input_tokens"], line["output_tokens"]) == (1, 10, 5)
    assert line["money"] == pytest.approx(0.02)
    shown = json.loads(memoire(instance, "usage", "--json"))
    assert shown["usage"][0]["calls"] == 1
    assert "extraction" in memoire(instance, "usage")


def test_a_wrong_key_is_said_everywhere_and_ends_by_itself(instance: Instance, model: ChatServer):
    """Health, status and the log name it; when the key is right again the message settles."""
    model.script = lambda _: Reply(status=401)
    trace = instance.ingest("I moved to Oslo", session_id="s2")["trace_id"]

    def paused() -> Any:
        return instance.client.get("/v1/health").json()["paused"]

    [seen] = wait_for(paused, 90, "health to say so")
    assert (seen["purpose"], seen["kind"]) == ("extraction", "configuration")
    assert any("answered 401" in problem for problem in instance.status()["problems"])
    model.script = one_fact_each
    assert instance.settled(trace)["status"] == "settled"
    wait_for(lambda: not paused(), 90, "health to be well again")
    assert instance.rows("SELECT 1 FROM failures") == []
    log = (instance.data / "logs" / "extractor.log").read_text()
    assert "an operator must act" in log


def test_a_budget_is_set_by_the_operator_and_kept(instance: Instance, model: ChatServer):
    """Nothing is asked beyond it; raised, what waited goes on within a minute or so."""
    memoire(instance, "budget", "set", "--tokens", "100")
    shown = json.loads(memoire(instance, "budget", "show", "--json"))
    assert shown["tokens_per_day"] == 100
    instance.say("How can I help?", role="assistant", session_id="s3")  # costs no call
    asked = len(model.documents)
    wait_for(lambda: _noticed(instance, model), 90, "the budget to count")
    before = len(model.documents)
    instance.ingest("I have a cat", session_id="s5")
    wait_for(
        lambda: instance.client.get("/v1/health").json()["over_budget"], 20, "health to count it"
    )
    assert len(model.documents) == before >= asked
    assert any("budget of tenant default" in each for each in instance.status()["problems"])
    memoire(instance, "budget", "set", "--tokens", "10000000")
    wait_for(lambda: len(model.documents) > before, 90, "the message to be asked about")


def _noticed(instance: Instance, model: ChatServer) -> bool:
    """Say something; whether it was refused rather than asked about."""
    asked = len(model.documents)
    trace = instance.ingest("I like tea", session_id="s4")["trace_id"]
    status = instance.settled(trace, timeout=3)["status"]
    return status != "settled" and len(model.documents) == asked
