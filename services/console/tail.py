"""`memoire tail`: follows the events of a gateway, and goes on where it was after an outage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.text import Text

from services.console.client import Client, InterruptedStreamError, connect
from services.console.screen import print_event, print_json_line, screen

_RECONNECT_SECONDS = 1.0


def tail(
    data_dir: Path | None, *, user: str | None, after: str | None, follow: bool, as_json: bool
) -> None:
    """Print events until Ctrl-C, or up to the present."""
    show = print_json_line if as_json else print_event
    with suppress(KeyboardInterrupt), connect(data_dir) as client:
        if follow:
            screen(stderr=True).print(Text("what happens, as it happens; Ctrl-C ends", "dim"))
        for event in events(client, user=user, after=after, follow=follow):
            show(event)


def events(
    client: Client, *, user: str | None, after: str | None, follow: bool
) -> Iterator[dict[str, Any]]:
    """Each event once, with its `id`; a connection that breaks is made again behind the last one.

    Raises CommandError when the server refuses, or was never there.
    """
    asked = {"user_id": user, "after": after, "follow": follow}
    began = False
    while True:
        params = {name: value for name, value in asked.items() if value is not None}
        try:
            for event in client.events("/v1/events", params):
                began, asked["after"] = True, event["id"]
                if "event" in event:  # else it only says where we are
                    yield event
        except InterruptedStreamError:
            if not (began and follow):
                raise
        if not follow:
            return
        time.sleep(_RECONNECT_SECONDS)
