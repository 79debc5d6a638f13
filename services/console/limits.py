"""`memoire limits`: straight in PostgreSQL, as they are the operator's; no key raises its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.console.dead import in_database
from services.console.environment import read_settings
from services.console.screen import screen, table
from shared.quotas import store
from shared.quotas.store import TenantLimits

_SETTINGS = {
    "requests_per_minute": "tenant_rate_limit_per_minute",
    "key_requests_per_minute": "rate_limit_per_minute",
    "messages_per_day": "tenant_messages_per_day",
    "facts_per_day": "tenant_facts_per_day",
}


def show_limits(data_dir: Path | None, tenant: str) -> dict[str, Any]:
    """A tenant's limits, with those of the settings of this shell where it has none of its own."""
    found = in_database(data_dir, lambda tx: store.limits_of(tx, tenant))
    settings = read_settings(data_dir=data_dir)
    default = {name: getattr(settings, setting) for name, setting in _SETTINGS.items()}
    own = {name: found[name] for name in _SETTINGS if found[name] is not None}
    today = {name: found[name] for name in ("messages_today", "facts_today")}
    return {"tenant": tenant, **default, **own, **today}


def set_limits(data_dir: Path | None, tenant: str, limits: dict[str, int | None]) -> None:
    in_database(data_dir, lambda tx: store.set_limits(tx, tenant, TenantLimits(**limits)))


def print_limits(found: dict[str, Any]) -> None:
    shown = table(None, found["tenant"], "today", "of", right=("today", "of"))
    for name in _SETTINGS:
        today = found.get(name.replace("_per_day", "_today"))
        used = f"{today:,}" if name.endswith("_per_day") else ""
        shown.add_row(
            name.replace("_", " "), used, f"{found[name]:,}" if found[name] else "no limit"
        )
    screen().print(shown)
