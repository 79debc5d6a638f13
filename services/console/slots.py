"""`memoire slots`: the catalogue through the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from services.console.client import connect
from services.console.screen import screen


def list_slots(data_dir: Path | None, source: str | None) -> list[Any]:
    with connect(data_dir) as client:
        found: list[Any] = client.get("/v1/slots")["slots"]
    return [slot for slot in found if source in {None, slot["source"]}]


def set_slot(data_dir: Path | None, name: str, wanted: dict[str, Any]) -> Any:
    with connect(data_dir) as client:
        return client.put(f"/v1/slots/{name}", wanted)


def remove_slot(data_dir: Path | None, name: str) -> None:
    with connect(data_dir) as client:
        client.delete(f"/v1/slots/{name}")


def print_slots(slots: list[Any]) -> None:
    table = Table("name", "from", "values", "category", "also called", box=None)
    for slot in slots:
        values = slot["cardinality"] + (" *" if slot["or_as_said"] else "")
        called = ", ".join(slot["synonyms"])
        table.add_row(slot["name"], slot["source"], values, slot["category"], called)
    screen().print(table)
    screen().print("* or as the statement says")
