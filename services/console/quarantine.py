"""`memoire quarantine`: what is held for review, through the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from services.console.client import connect
from services.console.screen import screen

_PAGE = 100


def held(data_dir: Path | None, user: str | None, reason: str | None, limit: int) -> list[Any]:
    """What waits, the longest waiting first."""
    found: list[Any] = []
    asked: dict[str, Any] = {"user_id": user, "reason": reason}
    asked = {name: value for name, value in asked.items() if value is not None}
    with connect(data_dir) as client:
        while len(found) < limit:
            page = client.get("/v1/quarantine", {**asked, "limit": min(_PAGE, limit - len(found))})
            found += page["facts"]
            if page["next_cursor"] is None:
                break
            asked["cursor"] = page["next_cursor"]
    return found


def reviewed(data_dir: Path | None, fact: str, decision: str, reason: str | None) -> Any:
    """Approve or reject one; the fact as it is afterwards."""
    with connect(data_dir) as client:
        return client.post(f"/v1/facts/{fact}/{decision}", {"reason": reason})


def print_held(facts: list[Any]) -> None:
    """Show each with why it is held and what it says; markup in it is only text."""
    if not facts:
        screen().print("nothing is held for review")
        return
    table = Table("id", "user", "source", "held for", "says", box=None)
    for fact in facts:
        why = ", ".join(fact["quarantine"])
        says = ascii(fact["content"]) if not fact["content"].isprintable() else fact["content"]
        table.add_row(fact["id"], _plain(fact["user_id"]), fact["source"], why, _plain(says))
    screen().print(table)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
