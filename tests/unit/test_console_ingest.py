"""`memoire ingest`: what becomes of good lines, bad lines and a second run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.console.client import RefusedError
from services.console.ingest import Ingest, Outcome, derived_message_id, read_line

DEFAULTS = {"user_id": "ana", "role": "user"}


class Gateway:
    """Refuses whole batches that hold something bad, as the real one does."""

    def __init__(self, *, names_the_bad: bool = True) -> None:
        self.stored: dict[str, Any] = {}
        self.requests = 0
        self._names_the_bad = names_the_bad

    def post(self, path: str, body: Any) -> Any:
        assert path == "/v1/ingest/batch"
        self.requests += 1
        bad = [i for i, each in enumerate(body["messages"]) if each["content"] == "bad"]
        if bad:
            details = [{"index": i, "field": "content", "reason": "is bad"} for i in bad]
            named = details if self._names_the_bad else []
            raise RefusedError(422, "invalid_request", "The request is not valid.", named)
        return {"messages": [self._store(message) for message in body["messages"]]}

    def _store(self, message: Any) -> Any:
        known = message["message_id"] in self.stored
        self.stored[message["message_id"]] = message
        return {"status": "duplicate" if known else "accepted", "trace_id": "t"}


def ingest(gateway: Any, *lines: bytes) -> Outcome:
    sending = Ingest(gateway, DEFAULTS, advance=lambda _: None, complain=lambda *_: None)
    return sending.send(lines)


def said(*contents: str) -> list[bytes]:
    return [json.dumps({"content": content}).encode() + b"\n" for content in contents]


def test_a_second_run_adds_nothing():
    gateway = Gateway()
    lines = said("I live in Lisbon", "I live in Lisbon", "I play the cello")
    assert ingest(gateway, *lines).accepted == 3
    again = ingest(gateway, *lines)
    assert (again.accepted, again.duplicates, len(gateway.stored)) == (0, 3, 3)


@pytest.mark.parametrize("names_the_bad", [True, False])
def test_bad_lines_are_named_by_their_number_and_the_rest_goes_on(names_the_bad: bool):
    gateway = Gateway(names_the_bad=names_the_bad)
    lines = [*said("one", "bad", "two"), b"{not json\n", b"\n", b"[1]\n", b"\xff\n", *said("bad")]
    outcome = ingest(gateway, *lines)
    assert outcome.accepted == 2
    assert sorted(number for number, _ in outcome.bad) == [2, 4, 6, 7, 8]


def test_lines_are_sent_a_hundred_at_a_time():
    gateway = Gateway()
    assert ingest(gateway, *said(*map(str, range(250)))).accepted == 250
    assert gateway.requests == 3


def test_a_wrong_key_is_not_the_lines_fault():
    class Closed(Gateway):
        def post(self, path: str, body: Any) -> Any:
            raise RefusedError(401, "unauthorized", "No such key.", [])

    with pytest.raises(RefusedError):
        ingest(Closed(), *said("one", "two"))


def test_a_line_keeps_its_own_id_and_fields():
    raw = b'{"user_id": "bob", "content": "hi", "message_id": "m1"}'
    assert read_line(3, raw, DEFAULTS) == {
        "user_id": "bob",
        "role": "user",
        "content": "hi",
        "message_id": "m1",
    }


def test_a_derived_id_depends_on_line_and_content_alone():
    body = {"user_id": "ana", "content": "hi"}
    assert derived_message_id(1, body) == derived_message_id(1, dict(reversed(body.items())))
    assert derived_message_id(1, body) != derived_message_id(2, body)
    assert derived_message_id(1, body) != derived_message_id(1, body | {"content": "ho"})
