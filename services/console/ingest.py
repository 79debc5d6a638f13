"""`memoire ingest`: a file of messages, sent so that a second run adds nothing.

A line without a `message_id` gets one made of its number and its content. A bad line is reported
and the rest goes on: a batch is accepted whole or not at all, so the bad are taken out of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from services.console.client import Client, RefusedError
from services.console.errors import CommandError

BATCH = 100
WAIT_SECONDS = 30
BUSY_SECONDS = 1.0
# What another batch would not change: not the messages are wrong but the caller.
_NOT_ABOUT_LINES = (401, 403, 404)


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    body: dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """What became of a file; `bad` are (line number, reason)."""

    accepted: int = 0
    duplicates: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    dead: int = 0

    def note(self, answers: Sequence[dict[str, Any]]) -> None:
        self.duplicates += sum(answer["status"] == "duplicate" for answer in answers)
        self.accepted += sum(answer["status"] == "accepted" for answer in answers)
        self.traces += [answer["trace_id"] for answer in answers]


class Ingest:
    """Sends lines; `advance(bytes)` hears how far it got, `complain(number, reason)` of the bad."""

    def __init__(
        self,
        client: Client,
        defaults: dict[str, str],
        *,
        advance: Callable[[int], None],
        complain: Callable[[int, str], None],
    ) -> None:
        self._client = client
        self._defaults = defaults
        self._advance = advance
        self._complain = complain
        self.outcome = Outcome()

    def send(self, raw_lines: Iterable[bytes]) -> Outcome:
        """Send everything; CommandError when the server goes away or refuses the caller."""
        numbered = enumerate(raw_lines, start=1)
        while chunk := list(islice(numbered, BATCH)):
            self._send_batch(list(self._read(chunk)))
            self._advance(sum(len(raw) for _, raw in chunk))
        return self.outcome

    def _read(self, chunk: Sequence[tuple[int, bytes]]) -> Iterator[Line]:
        for number, raw in chunk:
            if not raw.strip():
                continue
            try:
                yield Line(number, read_line(number, raw, self._defaults))
            except ValueError as error:
                self._refuse(number, str(error))

    def _send_batch(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        try:
            answer = self._post([line.body for line in lines])
        except RefusedError as error:
            self._send_without_bad(lines, error)
        else:
            self.outcome.note(answer["messages"])

    def _send_without_bad(self, lines: Sequence[Line], error: RefusedError) -> None:
        """Take out the lines the server named; where it named none, halve the batch."""
        if error.status in _NOT_ABOUT_LINES or error.status >= 500:
            raise error
        named = _named(error.details, len(lines))
        if named:
            for index, reason in sorted(named.items()):
                self._refuse(lines[index].number, reason)
            self._send_batch([line for i, line in enumerate(lines) if i not in named])
        elif len(lines) == 1:
            self._refuse(lines[0].number, str(error))
        else:
            middle = len(lines) // 2
            self._send_batch(lines[:middle])
            self._send_batch(lines[middle:])

    def _post(self, messages: Sequence[dict[str, Any]]) -> Any:
        """Post a batch, waiting while the server asks us to slow down."""
        while True:
            try:
                return self._client.post("/v1/ingest/batch", {"messages": messages})
            except RefusedError as error:
                if error.code != "rate_limited":
                    raise
                time.sleep(error.retry_after_seconds or BUSY_SECONDS)

    def _refuse(self, number: int, reason: str) -> None:
        self.outcome.bad.append((number, reason))
        self._complain(number, reason)


def read_line(number: int, raw: bytes, defaults: dict[str, str]) -> dict[str, Any]:
    """One line as the body of a message; ValueError says what is wrong with it."""
    try:
        body = json.loads(raw)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  one kind of error for one bad line
    body = defaults | body
    if body.get("message_id") is None:
        body["message_id"] = derived_message_id(number, body)
    return body


def derived_message_id(number: int, body: dict[str, Any]) -> str:
    """The same for the same line of the same content, whatever the file is called."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f"line-{number}-{digest[:24]}"


def _named(details: Any, count: int) -> dict[int, str]:
    """The items of a batch that an answer names, each with its reasons."""
    named: dict[int, str] = {}
    for item in details if isinstance(details, list) else []:
        index = item.get("index") if isinstance(item, dict) else None
        if isinstance(index, int) and 0 <= index < count:
            reason = f"{item.get('field')}: {item.get('reason')}"
            named[index] = f"{named[index]}; {reason}" if index in named else reason
    return named


def wait_until_settled(
    client: Client, traces: Sequence[str], advance: Callable[[int], None]
) -> int:
    """Wait for every message to run through all stages; how many are dead instead."""
    dead = 0
    for trace in traces:
        while (answer := _trace(client, trace))["status"] == "open":
            pass
        dead += answer["status"] == "dead"
        advance(1)
    return dead


def _trace(client: Client, trace: str) -> Any:
    answer = client.get(
        f"/v1/traces/{trace}",
        {"wait": "settled", "timeout": WAIT_SECONDS},
        patience=WAIT_SECONDS + 10,
    )
    if not isinstance(answer, dict):
        raise CommandError(f"{client.url} does not answer as Mémoire does")
    return answer
