"""`memoire limits …`: the commands; the work is in `services.console.limits`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("limits", "See and set how much a tenant may send and store.")

_UNSET = "0: no limit. Unset: the settings'."
Tenant = Annotated[str, typer.Option(help="Whose.")]
Requests = Annotated[
    int | None, typer.Option(min=0, help=f"Requests a minute, all keys together; {_UNSET}")
]
PerKey = Annotated[int | None, typer.Option(min=0, help=f"Requests a minute of one key; {_UNSET}")]
Messages = Annotated[int | None, typer.Option(min=0, help=f"New messages a day; {_UNSET}")]
Facts = Annotated[int | None, typer.Option(min=0, help=f"Facts stated directly a day; {_UNSET}")]


@command(app, "memoire limits show", "memoire limits show --tenant acme --json")
def show(tenant: Tenant = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Show a tenant's limits, and what it used of them today (UTC)."""
    from services.console import limits, screen

    found = limits.show_limits(data, tenant)
    (screen.print_json if as_json else limits.print_limits)(found)


@command(
    app, "memoire limits set --tenant acme --messages-per-day 50000 --requests 6000", name="set"
)
def set_(
    tenant: Tenant = "default",
    requests: Requests = None,
    requests_per_key: PerKey = None,
    messages_per_day: Messages = None,
    facts_per_day: Facts = None,
    data: Data = None,
) -> None:
    """Give a tenant limits of its own; what is left out is again as in the settings.

    Counts within ten seconds, everywhere.
    """
    from services.console import limits

    asked = {
        "requests_per_minute": requests,
        "key_requests_per_minute": requests_per_key,
        "messages_per_day": messages_per_day,
        "facts_per_day": facts_per_day,
    }
    limits.set_limits(data, tenant, asked)
    typer.echo("set")
