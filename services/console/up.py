"""`memoire up`: everything on one machine, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from services.console.environment import read_settings
from services.console.errors import MISCONFIGURED, CommandError
from services.console.instance import Instance, built_instance, key_path
from services.console.ready import wait_until_ready
from shared.topology import PROCESSES

READY_WITHIN_SECONDS = 60.0

console = Console(highlight=False, soft_wrap=True)


def up(
    data_dir: Path | None, port: int | None, copies: Mapping[str, int], *, verbose: bool
) -> None:
    """Start everything, say how to talk to it, and keep it running until told to stop."""
    with suppress(KeyboardInterrupt):
        _up(data_dir, port, copies, verbose=verbose)
    console.print("Stopped.")


def _up(
    data_dir: Path | None, port: int | None, copies: Mapping[str, int], *, verbose: bool
) -> None:
    notices = Notices(verbose=verbose)
    settings = read_settings(data_dir=data_dir, port=port)
    started_at = time.monotonic()
    console.print(f"Starting Mémoire in {settings.data_dir} …")
    with built_instance(settings, on_line=notices.on_line, copies=copies) as instance:
        stopping = threading.Event()
        greeter = threading.Thread(
            target=_greet, args=(instance, stopping, started_at), name="greeter", daemon=True
        )
        greeter.start()
        try:
            instance.supervisor.run()
        finally:
            stopping.set()


def read_copies(given: list[str]) -> dict[str, int]:
    """`extractor=2` as a number of copies by process; CommandError where it is not that."""
    copies: dict[str, int] = {}
    for each in given:
        name, _, number = each.partition("=")
        if name not in PROCESSES or not number.isdecimal() or int(number) < 1:
            raise CommandError(
                f"--copies {each}: write PROCESS=NUMBER, as in extractor=2, with one of "
                f"{', '.join(PROCESSES)}",
                MISCONFIGURED,
            )
        if name == "gateway" and int(number) > 1:
            raise CommandError("one gateway listens on one port: run more with `memoire run`")
        copies[name] = int(number)
    return copies


class Notices:
    """One line whenever a process dies and is started again; with `verbose`, every log line."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def on_line(self, label: str, line: str) -> None:
        if label == "supervisor":
            console.print(Text(f"{time.strftime('%H:%M:%S')}  {line}", "yellow"))
        elif self._verbose:
            console.print(Text(f"{label:<12}{line}", "dim"))
        elif line.startswith("memoire:"):  # its own words on why it gave up
            console.print(Text(f"{time.strftime('%H:%M:%S')}  {label}: {line}", "red"))


def _greet(instance: Instance, stopping: threading.Event, started_at: float) -> None:
    if wait_until_ready(instance.gateway_url, READY_WITHIN_SECONDS, stopping):
        print_address(instance, time.monotonic() - started_at)
    elif not stopping.is_set():
        logs = instance.data_dir / "logs"
        console.print(
            Text(f"The gateway does not answer yet: see {logs / 'gateway.log'}", "yellow")
        )


def print_address(instance: Instance, seconds: float) -> None:
    """Say where it is, with what key, and three lines to copy."""
    extractor = "a model" if instance.settings.uses_model else "rules (no model configured)"
    rows = {
        "address": f"{instance.gateway_url}   (docs: {instance.gateway_url}/docs)",
        "admin key": f"{instance.admin_key}   (kept in {key_path(instance.data_dir)})",
        "extractor": extractor,
        "logs": str(instance.data_dir / "logs"),
    }
    console.print(Text(f"\nMémoire is running ({seconds:.1f} s).", "bold green"))
    for name, value in rows.items():
        console.print(Text(f"  {name:<10} ", "bold").append(value, "not bold"))
    for title, command in _examples(instance).items():
        console.print(Text(f"\n{title}", "bold"))
        console.print(Text(f"  {command}"))
    console.print("\nCtrl-C stops everything.")


def _examples(instance: Instance) -> dict[str, str]:
    said = {"user_id": "ana", "role": "user", "content": "I moved to Lisbon in May"}
    asked = {"user_id": "ana", "query": "Where does she live?"}
    message = 'user_id ana role user content "I play the cello"'
    return {
        "Say something:": _curl(instance, "/v1/ingest", said),
        "Ask:": _curl(instance, "/v1/recall", asked),
        "Straight to Redis, from any language:": (
            f"redis-cli -u {shlex.quote(instance.redis_url)} XADD memoire:messages '*' {message}"
        ),
        "See what each stage is doing:": f"memoire status{_data_option(instance.data_dir)}",
    }


def _data_option(data_dir: Path) -> str:
    """What other commands need to find this instance: nothing, if they look here anyway."""
    found_anyway = read_settings().data_dir.expanduser().resolve() == data_dir
    return "" if found_anyway else f" --data {shlex.quote(str(data_dir))}"


def _curl(instance: Instance, path: str, body: Mapping[str, str]) -> str:
    return (
        f"curl -s {instance.gateway_url}{path} -H 'X-API-Key: {instance.admin_key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    )
