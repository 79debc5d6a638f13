"""`memoire retention`: straight in PostgreSQL, so the gateway may be down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.console.dead import in_database
from services.console.environment import read_settings
from services.console.screen import screen, table
from shared.retention import store
from shared.retention.store import Windows


def show_windows(data_dir: Path | None, tenant: str) -> dict[str, Any]:
    """A tenant's windows, with those of the settings of this shell where it has none of its own."""
    own = in_database(data_dir, lambda tx: store.windows_of(tx, tenant))
    removed = in_database(data_dir, lambda tx: store.count_removed(tx, tenant))
    kept = own.beside(Windows.of(read_settings(data_dir=data_dir)))
    return {
        "tenant": tenant,
        "message_days": kept.message_days,
        "superseded_days": kept.superseded_days,
        "own": {"message_days": own.message_days, "superseded_days": own.superseded_days},
        "removed_messages": removed,
    }


def set_windows(
    data_dir: Path | None, tenant: str, message_days: int | None, superseded_days: int | None
) -> None:
    own = Windows(message_days, superseded_days)
    in_database(data_dir, lambda tx: store.set_windows(tx, tenant, own))


def print_windows(found: dict[str, Any]) -> None:
    shown = table(None, "tenant", "what", "kept", "")
    for name, kind in (("message_days", "messages"), ("superseded_days", "superseded facts")):
        kept = f"{found[name]:,} days" if found[name] else "for ever"
        own = "its own" if found["own"][name] is not None else "settings"
        shown.add_row(found["tenant"], kind, kept, own)
    screen().print(shown)
    screen().print(f"{found['removed_messages']:,} messages removed so far")
