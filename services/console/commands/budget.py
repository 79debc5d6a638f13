"""`memoire budget …`: the commands; the work is in `services.console.spending`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("budget", "See and set what a tenant's calls of models may cost a day.")

Tenant = Annotated[str, typer.Option(help="Whose.")]
Tokens = Annotated[
    int | None, typer.Option(min=0, help="Tokens a day; 0: no limit. Unset: the settings'.")
]
Money = Annotated[
    float | None, typer.Option(min=0, help="Money a day; 0: no limit. Unset: the settings'.")
]


@command(app, "memoire budget show", "memoire budget show --tenant acme --json")
def show(tenant: Tenant = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Show a tenant's limits, and what is taken of them today.

    Calls under way count at the most they may cost.
    """
    from services.console import screen, spending

    found = spending.show_budget(data, tenant)
    (screen.print_json if as_json else spending.print_budget)(found)


@command(app, "memoire budget set --tenant acme --tokens 2000000 --money 5", name="set")
def set_(
    tenant: Tenant = "default", tokens: Tokens = None, money: Money = None, data: Data = None
) -> None:
    """Give a tenant limits of its own; what is left out is again as in the settings.

    Counts within ten seconds. What waited for the old budget goes on within a minute.
    """
    from services.console import spending

    spending.set_budget(data, tenant, tokens, money)
    typer.echo("set")
