"""One instance of Mémoire as its callers see it: tell it things, wait, read back what it holds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

import httpx

from benchmarks.evaluation.gold import Asked, Script
from benchmarks.evaluation.gold_server import GoldServer, serving
from benchmarks.evaluation.people import Person, Turn
from benchmarks.evaluation.poisoned import Gullible
from benchmarks.evaluation.stored import Stored, StoredFact
from benchmarks.instance import Instance, running

_BATCH = 250
_POLL_SECONDS = 0.1
_STANDSTILL_SECONDS = 180.0
# A message weighs more than the facts it may become: the sum falls as long as anything moves.
_OPEN = """
    SELECT (SELECT count(*) FROM chat_logs WHERE state <> 'extracted') * 100
         + (SELECT count(*) FROM memory_facts WHERE state <> 'settled')
         + (SELECT count(*) FROM memory_facts WHERE state IN ('extracted', 'embedded')),
           (SELECT count(*) FROM failures WHERE dead_at IS NOT NULL)"""


class EvaluationError(Exception):
    """The instance did not do what every figure takes for granted."""


class Memory:
    """A running instance. Every user name is the evaluation's own: none meets another."""

    def __init__(self, instance: Instance, client: httpx.Client) -> None:
        self._instance = instance
        self._client = client

    # ---- telling

    def say(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Ingest messages in order; the answers, in order."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(messages), _BATCH):
            batch = [dict(message) for message in messages[start : start + _BATCH]]
            answers += self._post("/v1/ingest/batch", {"messages": batch})["messages"]
        return answers

    def hand_in(self, user: str, fact: Mapping[str, Any]) -> None:
        """State a fact directly, without a message or a model."""
        self._post(f"/v1/users/{user}/facts", dict(fact))

    def settle(self) -> None:
        """Wait until nothing is open; raises EvaluationError when it stands still or gives up.

        A busy machine may take its time, so only a standstill is a fault.
        """
        least, since = float("inf"), time.monotonic()
        while (waiting := self._open_rows()) > 0:
            if waiting < least:
                least, since = waiting, time.monotonic()
            elif time.monotonic() - since > _STANDSTILL_SECONDS:
                raise EvaluationError(f"{waiting} items wait and nothing moves")
            time.sleep(_POLL_SECONDS)

    def _open_rows(self) -> int:
        (waiting, dead) = self._instance.rows(_OPEN)[0]
        if dead:
            raise EvaluationError(f"{dead} items were given up: see `memoire dead list`")
        return int(waiting)

    # ---- asking

    def stored(self, user: str, **query: Any) -> Stored:
        """Every fact of a user that the query asks for, of any status unless it says otherwise."""
        return Stored(StoredFact.of(fact) for fact in self._pages(user, query))

    def held_at(self, user: str, moment: datetime) -> list[StoredFact]:
        """What was true at a moment, by `as_of`."""
        asked = {"view": "current", "as_of": moment.isoformat()}
        if self.knows_as_of:
            return [StoredFact.of(fact) for fact in self._pages(user, asked)]
        covering = {each["fact_id"] for each in self._intervals(user) if _covers(each, moment)}
        facts = self.stored(user).facts
        return [fact for fact in facts if fact.id in covering or fact.held_at(moment)]

    def recalled_at(self, user: str, query: str, moment: datetime) -> list[StoredFact]:
        """What a question finds of what was true at a moment."""
        asked = {"user_id": user, "query": query, "as_of": moment.isoformat(), "limit": 20}
        return [StoredFact.of(fact) for fact in self._post("/v1/recall", asked)["relevant_facts"]]

    def recall(self, user: str, query: str, **asked: Any) -> dict[str, Any]:
        """What a question finds, as it is answered."""
        return self._post("/v1/recall", {"user_id": user, "query": query, **asked})

    def context(self, user: str, query: str) -> str:
        """The block for a prompt."""
        return str(self._post("/v1/context", {"user_id": user, "query": query})["context"])

    def held(self) -> dict[str, list[str]]:
        """What waits for review, by user."""
        found: dict[str, list[str]] = {}
        asked: dict[str, Any] = {"limit": 100}
        while True:
            page = self._get("/v1/quarantine", asked)
            for fact in page["facts"]:
                found.setdefault(fact["user_id"], []).append(fact["content"])
            if page["next_cursor"] is None:
                return found
            asked["cursor"] = page["next_cursor"]

    def timeline(self, user: str) -> list[dict[str, Any]]:
        return list(self._get(f"/v1/users/{user}/timeline", {})["slots"])

    @cached_property
    def knows_as_of(self) -> bool:
        """Whether this version answers `as_of` a time; else stretches of belief are compared."""
        listing = self._get("/openapi.json", {})["paths"]["/v1/users/{user_id}/facts"]["get"]
        return "as_of" in {str(parameter["name"]) for parameter in listing["parameters"]}

    def _intervals(self, user: str) -> list[dict[str, Any]]:
        return [interval for slot in self.timeline(user) for interval in slot["intervals"]]

    def _pages(self, user: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        asked = {"view": "all", "limit": 100, **query}
        while True:
            page = self._get(f"/v1/users/{user}/facts", asked)
            yield from page["facts"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        return _answer(self._client.post(path, json=body))

    def _get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return _answer(self._client.get(path, params=dict(query)))


def _covers(interval: Mapping[str, Any], moment: datetime) -> bool:
    start, end = interval["valid_from"], interval["valid_to"]
    begun = start is None or datetime.fromisoformat(start) <= moment
    return begun and (end is None or moment < datetime.fromisoformat(end))


class GoldMemory(Memory):
    """An instance with a model that answers from a script."""

    def __init__(self, instance: Instance, client: httpx.Client, gold: GoldServer) -> None:
        super().__init__(instance, client)
        self._gold = gold

    def play(self, script: Script) -> Asked:
        """Answer from this script from now on; what will be asked is counted anew."""
        return self._gold.play(script)


def message(user: str, turn: Turn, message_id: str) -> dict[str, Any]:
    """A turn as `POST /v1/ingest` wants it."""
    said = {
        "user_id": user,
        "session_id": turn.session,
        "role": turn.role,
        "content": turn.content,
        "timestamp": turn.at.isoformat(),
        "message_id": message_id,
    }
    return said if turn.speaker is None else {**said, "speaker": turn.speaker}


def conversation(user: str, person: Person) -> list[dict[str, Any]]:
    """All a person's turns, with ids that a second telling repeats."""
    return [message(user, turn, f"t{index:05}") for index, turn in enumerate(person.turns)]


def _answer(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise EvaluationError(f"{answer.request.url.path} answered {answer.text:.300}")
    return dict(answer.json())


@contextmanager
def with_gold_model(embed_model: str, *, judge: bool) -> Iterator[GoldMemory]:
    """An instance whose chat model answers with gold facts; local embeddings by this model."""
    with (
        serving() as gold,
        _running(
            embed_model=embed_model,
            llm_base_url=gold.url,
            llm_api_key="gold",
            extract_linger_ms="100",
            judge="auto" if judge else "off",
        ) as instance,
        instance.client() as client,
    ):
        yield GoldMemory(instance, client, gold)


@contextmanager
def with_gullible_model(gullible: Gullible, embed_model: str, *, guards: str) -> Iterator[Memory]:
    """An instance whose chat model believes everything."""
    with (
        serving() as server,
        _running(
            llm_base_url=server.url,
            llm_api_key="gullible",
            extract_linger_ms="100",
            judge="off",
            embed_model=embed_model,
            guards=guards,
        ) as instance,
        instance.client() as client,
    ):
        server.script = gullible
        yield Memory(instance, client)


@contextmanager
def without_model(embed_model: str, **settings: str) -> Iterator[Memory]:
    """An instance as it comes: rules, local embeddings, nothing to judge."""
    with _running(embed_model=embed_model, **settings) as instance, instance.client() as client:
        yield Memory(instance, client)


def _running(**settings: Any) -> AbstractContextManager[Instance]:
    return running(fakes=False, embeddings="local", **settings)
