"""`memoire usage` through the gateway; `memoire budget` straight in PostgreSQL.

Budgets are the operator's: no key of a tenant may raise its own.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from services.console.client import connect
from services.console.dead import in_database
from services.console.environment import read_settings
from services.console.screen import screen, table
from shared.spending import store
from shared.spending.store import Limits


def usage(data_dir: Path | None, since: str | None, until: str | None) -> Any:
    given = {"from": since, "to": until}
    with connect(data_dir) as client:
        return client.get("/v1/usage", {name: day for name, day in given.items() if day})


def show_budget(data_dir: Path | None, tenant: str) -> dict[str, Any]:
    """A tenant's limits, with those of the settings of this shell where it has none of its own."""
    found = in_database(data_dir, lambda tx: store.budget_of(tx, tenant))
    settings = read_settings(data_dir=data_dir)
    default = Limits.of(settings.tenant_tokens_per_day, settings.tenant_money_per_day)
    limits = default.overridden(found["tokens_per_day"], found["money_per_day"])
    return {
        "tenant": tenant,
        "tokens_per_day": limits.tokens_per_day,
        "money_per_day": _number(limits.money_per_day),
        "tokens_today": int(found["tokens_today"]),
        "money_today": _number(found["money_today"]),
    }


def set_budget(data_dir: Path | None, tenant: str, tokens: int | None, money: float | None) -> None:
    limits = Limits(tokens, None if money is None else Decimal(str(money)))
    in_database(data_dir, lambda tx: store.set_budget(tx, tenant, limits))


def print_usage(found: Any) -> None:
    numbers = ("calls", "failed", "tokens in", "tokens out", "money")
    shown = table(None, "day", "purpose", "model", *numbers, right=numbers)
    for line in found["usage"]:
        counts = [
            f"{line[name]:,}" for name in ("calls", "failed", "input_tokens", "output_tokens")
        ]
        money = f"{line['money']:,.4f}"
        shown.add_row(line["day"], line["purpose"], line["model"], *counts, money)
    screen().print(shown if found["usage"] else "No model was called.")
    if found["budget"]:
        print_budget({"tenant": "today", **found["budget"]})


def print_budget(found: dict[str, Any]) -> None:
    shown = table(None, found["tenant"], "taken", "of", right=("taken", "of"))
    for name in ("tokens", "money"):
        most = found[f"{name}_per_day"]
        taken = f"{found[f'{name}_today']:,}"
        shown.add_row(name, taken, "no limit" if most is None else f"{most:,}")
    screen().print(shown)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
