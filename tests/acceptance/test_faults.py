"""Real processes, really killed: nothing acknowledged is lost, nothing takes effect twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.topology import PROCESSES
from tests.acceptance.instance import Instance, running, wait_for

pytestmark = [pytest.mark.timeout(400), pytest.mark.alone, pytest.mark.long]

OPEN = """SELECT (SELECT count(*) FROM chat_logs WHERE state <> 'extracted')
               + (SELECT count(*) FROM memory_facts WHERE state <> 'settled')"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("faults") / "data") as instance:
        yield instance


def settled(instance: Instance) -> None:
    wait_for(lambda: instance.rows(OPEN)[0][0] == 0, 60, "everything to settle")


def assert_each_settled_once(instance: Instance, prefix: str, messages: int) -> None:
    """Every message has one fact, one settled event, and one vector."""
    [(facts, events, vectors)] = instance.rows(
        f"""SELECT count(DISTINCT f.id), count(e.seq), count(DISTINCT v.fact_id)
              FROM memory_facts f
              LEFT JOIN events e ON e.fact_id = f.id AND e.event = 'fact.settled'
              LEFT JOIN fact_vectors v ON v.fact_id = f.id
             WHERE f.user_id LIKE '{prefix}%'"""
    )
    assert (facts, events, vectors) == (messages, messages, messages)


def test_every_process_is_killed_in_the_middle_of_200_messages(instance: Instance) -> None:
    """kill -9 of each process while messages flow: each message settles exactly once."""
    victims = list(PROCESSES)
    for number in range(200):
        wait_for(lambda n=number: _accepted(instance, n), 90, "the gateway to accept")
        if number % 25 == 12 and victims:
            instance.kill(victims.pop())
    assert victims == []
    settled(instance)
    assert_each_settled_once(instance, "killed-", 200)


def _accepted(instance: Instance, number: int) -> bool:
    """Send with a key, as clients that retry do; the gateway may be dead just now."""
    body = {
        "user_id": f"killed-{number % 20}",
        "role": "user",
        "content": f"I live in Lisbon{number}ville",
        "message_id": f"m{number}",
    }
    try:
        return instance.client.post("/v1/ingest", json=body).status_code == 202
    except OSError:
        return False
    except Exception as error:  # noqa: BLE001  whatever a dying server does to a client
        return "httpx" not in type(error).__module__ and False


@pytest.mark.parametrize("server", ["valkey", "postgres"])
def test_a_server_killed_comes_back_with_everything(instance: Instance, server: str) -> None:
    """kill -9 of PostgreSQL or Valkey between messages costs a moment."""
    for number in range(10):
        wait_for(lambda n=number: _accepted(instance, 1000 + n), 90, "the gateway to accept")
    instance.kill(server)
    for number in range(10, 20):
        wait_for(lambda n=number: _accepted(instance, 1000 + n), 90, "the gateway to accept")
    settled(instance)
    [(messages,)] = instance.rows("SELECT count(*) FROM chat_logs WHERE message_key LIKE 'm:m10__'")
    assert messages == 20


def test_redis_killed_and_paused_never_shows_to_a_client(instance: Instance) -> None:
    """Killed three times, then stopped for 10 s: no ingest waits for Redis, and each is 202.

    A busy machine holds up one request in hundreds, whatever Redis does; waiting for Redis would
    hold up all of those seconds' requests, and for longer than the client's timeout of 5 s.
    """
    seconds: list[float] = []
    stop = threading.Event()

    def ingest() -> None:
        while not stop.is_set():
            begun = time.monotonic()
            number = len(seconds)
            instance.ingest(f"I live in Oslo{number}ville", user=f"redis-{number % 10}")
            seconds.append(time.monotonic() - begun)
            time.sleep(0.02)

    client = threading.Thread(target=ingest)
    instance.ingest("I live in Rome", user="warm")
    client.start()
    for _ in range(3):
        killed = instance.kill("valkey")
        wait_for(lambda k=killed: instance.pids().get("valkey", [k]) != [k], 90, "a new valkey")
        time.sleep(0.5)
    paused = instance.pids()["valkey"][0]
    os.kill(paused, signal.SIGSTOP)
    assert instance.recall("where?", user="redis-1") is not None
    time.sleep(10)
    os.kill(paused, signal.SIGCONT)
    stop.set()
    client.join()
    late = [f"{1000 * one:.0f} ms" for one in seconds if one > 1.0]
    assert len(late) <= len(seconds) / 100, f"of {len(seconds)} ingests these took: {late}"
    assert max(seconds) < 4.5, f"an ingest took {max(seconds):.1f} s"
    settled(instance)
    assert_each_settled_once(instance, "redis-", len(seconds))


def test_everything_survives_a_restart_after_kill_9_of_all(tmp_path: Path) -> None:
    """The supervisor itself is killed: nothing is left behind, and the next start has it all."""
    data = tmp_path / "data"
    with running(data) as first:
        first.say("I live in Lisbon")
        pids = [pid for copies in first.pids().values() for pid in copies]
        first.process.kill()
        first.process.wait()
        wait_for(lambda: not any(_alive(pid) for pid in pids), 90, "every process to end")
    with running(data) as second:
        assert second.values("home_city") == ["Lisbon"]
        second.say("I moved to Oslo")
        assert second.values("home_city") == ["Oslo"]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
