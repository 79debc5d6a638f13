"""`memoire export` and `memoire import`: a user as a file of lines, and back.

An import may be run again: what is there already stays as it is. The profile goes last, when all
facts have settled: it would be called stale by each that does.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from services.console.client import Client, connect
from services.console.errors import CommandError
from services.console.memory import opened
from services.console.screen import screen

_MOST_BYTES = 512 * 1024  # of lines in one request: half of what the gateway takes by default
_MOST_LINES = 200
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 120.0  # without anything settling


def export(data_dir: Path | None, user: str, file: str) -> None:
    """Write everything about a user to a file, or - for standard output.

    Raises CommandError when it breaks off; the file is then not there.
    """
    with connect(data_dir) as client, _written(file) as target:
        last = b"{}"
        for last in client.lines(f"/v1/users/{quote(user, safe='')}/export"):
            target.write(last + b"\n")
        if json.loads(last).get("type") != "end":
            raise CommandError("the export broke off; run it again")


@contextmanager
def _written(file: str) -> Iterator[IO[bytes]]:
    """The file, which appears under its name when it is whole."""
    if file == "-":
        yield sys.stdout.buffer
        return
    unfinished = Path(f"{file}.unfinished")
    try:
        with unfinished.open("wb") as target:
            yield target
        unfinished.replace(file)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def import_(data_dir: Path | None, file: str) -> dict[str, int]:
    """Send an export; how many lines of each kind were new.

    Raises CommandError when the file is none, or was cut off, before its profile is sent.
    """
    with connect(data_dir) as client, opened(file) as (source, _):
        sending = _Sending(client)
        whole = False
        for number, raw in enumerate(source, start=1):
            if raw.strip():
                whole = sending.take(number, raw)
        sending.flush()
        if not whole:
            raise CommandError("the file has no end: the export was cut off")
        sending.finish()
        return dict(sending.imported)


class _Sending:
    """Sends lines in requests of bounded size, the profile behind all."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._user: str | None = None
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self._profiles: list[dict[str, Any]] = []
        self.imported: Counter[str] = Counter()

    def take(self, number: int, raw: bytes) -> bool:
        """Take a line; whether it is the last of an export."""
        line = _read(number, raw)
        if line["type"] == "user":
            if self._user is not None:
                raise CommandError(f"line {number}: another user begins; a file holds one")
            self._user = str(line.get("user_id", ""))
        if self._user is None:
            raise CommandError("this is no export: its first line is not of the type user")
        if line["type"] == "profile":
            self._profiles.append(line)
        else:
            self._add(line, len(raw))
        return bool(line["type"] == "end")

    def _add(self, line: dict[str, Any], size: int) -> None:
        if self._bytes + size > _MOST_BYTES or len(self._waiting) == _MOST_LINES:
            self.flush()
        self._waiting.append(line)
        self._bytes += size

    def flush(self) -> None:
        if self._waiting:
            self._post(self._waiting)
        self._waiting, self._bytes = [], 0

    def finish(self) -> None:
        """Wait for the facts, then send the profile."""
        if not self._profiles:
            return
        self._settled()
        self._post(self._profiles)

    def _post(self, lines: Iterable[dict[str, Any]]) -> None:
        assert self._user is not None
        path = f"/v1/users/{quote(self._user, safe='')}/import"
        self.imported.update(self._client.post(path, {"lines": list(lines)})["imported"])

    def _settled(self) -> None:
        """Wait until nothing of the user is under way, or nothing has moved for long."""
        least, until = None, time.monotonic() + _PATIENCE_SECONDS
        asked = {"user_id": self._user, "query": "-", "limit": 1}
        while pending := self._client.post("/v1/recall", asked)["freshness"]["pending"]:
            if least is None or pending < least:
                least, until = pending, time.monotonic() + _PATIENCE_SECONDS
            if time.monotonic() > until:
                screen(stderr=True).print(f"{pending} still under way; the profile may be stale")
                return
            time.sleep(_LOOK_SECONDS)


def _read(number: int, raw: bytes) -> dict[str, Any]:
    try:
        line = json.loads(raw)
    except ValueError as error:
        raise CommandError(f"line {number}: not JSON") from error
    if not isinstance(line, dict) or "type" not in line:
        raise CommandError(f"line {number}: no line of an export")
    return line
