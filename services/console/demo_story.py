"""What the demonstration says and asks, and what it reads back, all through the public HTTP API."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from statistics import median
from typing import Any

from services.console.client import Client, RefusedError
from services.console.demo_screen import DemoScreen
from services.console.errors import CommandError

USER = "maya"
SETTLED_WITHIN_SECONDS = 30.0
POLL_SECONDS = 0.02
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"query": "Where does she live?"},
    {"query": "Which company does she work at?"},
    {"query": "Who are her friends and family?"},
    {"query": "Any allergies, is she vegetarian or vegan?"},
    {"query": "What does she do before work in the morning?"},
    {"query": "Does she have a dog?"},
)


@dataclass(slots=True)
class Figures:
    """What the last line sums up; times in seconds."""

    messages: int = 0
    facts: int = 0
    settled_after: list[float] = field(default_factory=list)
    recalled_after: list[float] = field(default_factory=list)

    @property
    def settled(self) -> float:
        return median(self.settled_after)

    @property
    def recalled(self) -> float:
        return median(self.recalled_after)


class Story:
    """One user, several sessions over a year; then questions; then what changed when."""

    def __init__(self, client: Client, screen: DemoScreen) -> None:
        self._client = client
        self._screen = screen
        self._figures = Figures()

    def tell(self) -> None:
        """Raises CommandError when a message does not settle or a request fails."""
        self._begin_afresh()
        self._screen.conversation(USER)
        for message in conversation():
            self._say(message)
        self._screen.questions()
        for question in QUESTIONS:
            self._ask(question)
        timeline = self._client.get(f"/v1/users/{USER}/timeline")
        self._screen.timeline(timeline["slots"])
        self._screen.figures(self._figures)

    def _begin_afresh(self) -> None:
        """In a folder that was kept, Maya is already known."""
        try:
            self._client.delete(f"/v1/users/{USER}")
        except RefusedError as error:
            if error.code != "not_found":
                raise

    def _say(self, message: dict[str, Any]) -> None:
        sent_at = time.time()
        accepted = self._client.post("/v1/ingest", {"user_id": USER, **message})
        with self._screen.message(message) as line:
            while True:
                trace = self._client.get(f"/v1/traces/{accepted['trace_id']}")
                line.show(trace, sent_at)
                if trace["status"] != "open":
                    break
                if time.time() - sent_at > SETTLED_WITHIN_SECONDS:
                    raise CommandError(f"{message['content']!r} does not settle: {trace['stages']}")
                time.sleep(POLL_SECONDS)
        if trace["status"] == "dead":
            raise CommandError(f"{message['content']!r} is dead: {trace['failures']}")
        self._count(trace, sent_at)

    def _count(self, trace: dict[str, Any], sent_at: float) -> None:
        self._figures.messages += 1
        self._figures.facts += len(trace["facts"])
        self._figures.settled_after.append(last_change(trace, sent_at))

    def _ask(self, question: dict[str, Any]) -> None:
        body = {"user_id": USER, "limit": 3, "min_score": 0.25, "explain": True, **question}
        started_at = time.perf_counter()
        answer = self._client.post("/v1/recall", body)
        seconds = time.perf_counter() - started_at
        self._figures.recalled_after.append(seconds)
        self._screen.answer(question, answer["relevant_facts"], seconds)


def conversation() -> list[dict[str, Any]]:
    """The messages of the demonstration, in order."""
    file = resources.files("services.console").joinpath("demo_conversation.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def last_change(trace: dict[str, Any], sent_at: float) -> float:
    """Seconds from sending a message to the last stage that did something with it."""
    moments = [datetime.fromisoformat(s["at"]).timestamp() for s in trace["stages"] if s["at"]]
    return max([*moments, sent_at]) - sent_at
