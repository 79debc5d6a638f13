"""`memoire retention …`: the commands; the work is in `services.console.retaining`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("retention", "See and set how long a tenant's messages and superseded facts are kept.")

Tenant = Annotated[str, typer.Option(help="Whose.")]
Messages = Annotated[
    int | None,
    typer.Option(
        "--messages", min=0, metavar="DAYS", help="Messages. 0: for ever. Unset: the settings'."
    ),
]
Superseded = Annotated[
    int | None,
    typer.Option(
        "--superseded", min=0, metavar="DAYS", help="Facts that were superseded, likewise."
    ),
]


@command(app, "memoire retention show", "memoire retention show --tenant acme --json")
def show(tenant: Tenant = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Show a tenant's windows in days, and how many messages were removed so far."""
    from services.console import retaining, screen

    found = retaining.show_windows(data, tenant)
    (screen.print_json if as_json else retaining.print_windows)(found)


@command(app, "memoire retention set --tenant acme --messages 365 --superseded 730", name="set")
def set_(
    tenant: Tenant = "default",
    messages: Messages = None,
    superseded: Superseded = None,
    data: Data = None,
) -> None:
    """Give a tenant windows of its own; what is left out is again as in the settings.

    Counts within a minute. What was removed by then does not come back.
    """
    from services.console import retaining

    retaining.set_windows(data, tenant, messages, superseded)
    typer.echo("set")
