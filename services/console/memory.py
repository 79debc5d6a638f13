"""`memoire ingest`, `recall` and `keys`: what goes through the gateway."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from services.console.client import connect
from services.console.errors import CommandError
from services.console.ingest import Ingest, Outcome, wait_until_settled
from services.console.screen import screen
from shared.facts.dates import parse_date


def ingest(data_dir: Path | None, file: str, defaults: dict[str, str], *, wait: bool) -> Outcome:
    """Send a file's messages; bad lines are told on standard error as they come."""
    console = screen(stderr=True)

    def complain(number: int, reason: str) -> None:
        console.print(Text(f"line {number}: {reason}", "red"))

    with connect(data_dir) as client, _opened(file) as (source, size):
        with Progress(
            TextColumn("sending"), BarColumn(), DownloadColumn(), console=console, transient=True
        ) as bar:
            task = bar.add_task("sending", total=size)
            sending = Ingest(
                client, defaults, advance=lambda n: bar.advance(task, n), complain=complain
            )
            outcome = _sent(sending, source)
        if wait:
            with Progress(
                TextColumn("settling"),
                BarColumn(),
                MofNCompleteColumn(),
                console=console,
                transient=True,
            ) as bar:
                task = bar.add_task("settling", total=len(outcome.traces))
                outcome.dead = wait_until_settled(
                    client, outcome.traces, lambda n: bar.advance(task, n)
                )
    return outcome


def _sent(sending: Ingest, source: IO[bytes]) -> Outcome:
    try:
        return sending.send(source)
    except CommandError as error:
        done = sending.outcome.accepted + sending.outcome.duplicates
        raise CommandError(
            f"{error}. {done} messages are in; run the same again, none is added twice",
            error.exit_code,
        ) from error


@contextmanager
def _opened(file: str) -> Iterator[tuple[IO[bytes], int | None]]:
    """The file and its size in bytes; `-` is standard input, whose size nobody knows."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    try:
        with Path(file).open("rb") as source:
            yield source, Path(file).stat().st_size
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error


def print_outcome(outcome: Outcome, *, waited: bool) -> None:
    parts = [f"{outcome.accepted} accepted", f"{outcome.duplicates} already there"]
    if outcome.bad:
        parts.append(f"{len(outcome.bad)} bad lines")
    if waited:
        parts.append(f"{outcome.dead} dead" if outcome.dead else "all settled")
    screen().print(", ".join(parts))


def recall(
    data_dir: Path | None,
    user: str,
    query: str,
    *,
    limit: int,
    explain: bool,
    hints: bool = True,
    times: Mapping[str, str | None],
) -> Any:
    """Ask the gateway; `times` are moments as they were typed, by the field they belong to."""
    body: dict[str, Any] = {"user_id": user, "query": query, "limit": limit, "explain": explain}
    body |= {} if hints else {"hints": False}
    body |= {field: _moment(field, text) for field, text in times.items() if text is not None}
    with connect(data_dir) as client:
        return client.post("/v1/recall", body)


def _moment(field: str, text: str) -> str:
    """Read a date or time as it was typed; a unit is its beginning."""
    try:
        moment, _ = parse_date(text)
    except ValueError as error:
        option = "--" + field.replace("_", "-")
        raise CommandError(f"{option}: {text!r} is no time, as in 2024-05-01") from error
    return moment.isoformat()


def create_key(
    data_dir: Path | None, name: str, scope: str, user: str | None, expires: str | None
) -> Any:
    body = {"name": name, "scope": scope}
    body |= {} if user is None else {"user_id": user}
    body |= {} if expires is None else {"expires_at": _moment("expires", expires)}
    with connect(data_dir) as client:
        return client.post("/v1/keys", body)


def list_keys(data_dir: Path | None) -> list[Any]:
    """Every key, page after page; never a secret."""
    keys: list[Any] = []
    cursor: str | None = None
    with connect(data_dir) as client:
        while True:
            page = client.get("/v1/keys", {"cursor": cursor} if cursor else None)
            keys += page["keys"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return keys


def rotate_key(data_dir: Path | None, key: str, overlap_seconds: int) -> Any:
    with connect(data_dir) as client:
        return client.post(f"/v1/keys/{key}/rotate?overlap_seconds={overlap_seconds}")


def revoke_key(data_dir: Path | None, key: str) -> None:
    with connect(data_dir) as client:
        client.delete(f"/v1/keys/{key}")
