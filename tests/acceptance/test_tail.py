"""`memoire tail` over a gateway that dies: each event once, none missed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.instance import environment, running, wait_for

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


def test_a_tail_outlives_the_gateway_and_misses_nothing(tmp_path: Path) -> None:
    """Killed between messages, the gateway comes back and the tail goes on where it was."""
    seen: list[dict[str, Any]] = []
    with running(tmp_path / "data") as instance:
        env = environment(MEMOIRE_URL=instance.url, MEMOIRE_API_KEY=instance.key)
        command = [sys.executable, "-m", "services.cli", "tail", "--after", "0", "--json"]
        tail = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True)

        def read() -> None:
            assert tail.stdout is not None
            seen.extend(json.loads(line) for line in tail.stdout)

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(6):
            instance.say(f"I live in Lisbon{number}ville", user=f"u{number}")
            if number % 2:
                wait_for(lambda n=number: len(seen) >= n, 90, "the tail to keep up")
                instance.kill("gateway")
                wait_for(instance.ready, 90, "the gateway to come back")
        [(events,)] = instance.rows("SELECT count(*) FROM events")
        wait_for(lambda: len(seen) >= events, 90, "the tail to have seen everything")
        tail.terminate()
        reader.join()
    ids = [event["id"] for event in seen]
    assert len(ids) == len(set(ids)) == events
    assert {event["fact"]["content"] for event in seen} >= {"Lives in Lisbon3ville"}
