"""`memoire dead …`: the commands; the work is in `services.console.dead`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, Stage, command, group

app = group("dead", "See what was given up on, try it again, or drop it.")

Ids = Annotated[list[str] | None, typer.Option("--id", help="This one; may be repeated.")]
Everything = Annotated[bool, typer.Option("--all", help="All of the tenant's.")]
Tenant = Annotated[str, typer.Option(help="Whose.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@command(app, "memoire dead list", "memoire dead list --stage embedder --json", name="list")
def list_(
    stage: Stage = None,
    tenant: Tenant = "default",
    limit: Limit = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first. Needs PostgreSQL only."""
    from services.console import dead, screen

    found = dead.listed(data, tenant, stage, limit)
    if as_json:
        screen.print_json({"dead_letters": found})
    else:
        screen.print_dead(found)


@command(app, "memoire dead redrive --stage embedder", "memoire dead redrive --all")
def redrive(
    stage: Stage = None,
    ids: Ids = None,
    everything: Everything = False,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters another set of attempts."""
    from services.console import dead

    chosen = dead.Chosen(tenant, stage, ids, everything=everything)
    typer.echo(f"{dead.redriven(data, chosen)} redriven")


@command(app, "memoire dead drop --stage extractor")
def drop(
    stage: Stage = None,
    ids: Ids = None,
    everything: Everything = False,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters up for good. There is no way back."""
    from services.console import dead

    chosen = dead.Chosen(tenant, stage, ids, everything=everything)
    typer.echo(f"{dead.dropped(data, chosen)} dropped")
