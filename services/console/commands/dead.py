"""`memoire dead …`: the commands; the work is in `services.console.dead`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, Stage, command, group

app = group("dead", "See what was given up on, mend it, try it again, or drop it.")

_SOME_ID = "0197b3c2-7d4e-7000-8000-000000000000"
Ids = Annotated[list[str] | None, typer.Option("--id", help="This one; may be repeated.")]
ErrorClass = Annotated[
    str | None,
    typer.Option("--class", help="Of this class only: poison, retry, crash_loop, …"),
]
OlderThan = Annotated[str | None, typer.Option(help="Dead for longer than 90s, 10m, 6h or 2d.")]
Everything = Annotated[bool, typer.Option("--all", help="All of the tenant's.")]
Tenant = Annotated[str, typer.Option(help="Whose.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
LetterId = Annotated[str, typer.Argument(help="Its id, as `memoire dead list` shows it.")]
Fields = Annotated[
    list[str], typer.Argument(metavar="FIELD=VALUE", help="Fields to set; FIELD= removes one.")
]
Reason = Annotated[str | None, typer.Option(help="Why, for those who ask later.")]


@command(
    app,
    "memoire dead list",
    "memoire dead list --stage embedder --class poison --older-than 2d --json",
    name="list",
)
def list_(
    stage: Stage = None,
    error_class: ErrorClass = None,
    older_than: OlderThan = None,
    tenant: Tenant = "default",
    limit: Limit = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first. Needs PostgreSQL only."""
    from services.console import dead, screen

    selection = dead.selected(tenant, stage=stage, error_class=error_class, older_than=older_than)
    found = dead.listed(data, selection, limit)
    if as_json:
        screen.print_json({"dead_letters": found})
    else:
        screen.print_dead(found)


@command(app, "memoire dead summary", "memoire dead summary --json")
def summary(tenant: Tenant = "default", data: Data = None, as_json: AsJson = False) -> None:
    """Count dead letters by stage and class, and those of the last hour."""
    from services.console import dead, screen

    groups = dead.summarized(data, tenant)
    if as_json:
        screen.print_json({"groups": groups})
    else:
        screen.print_dead_groups(groups)


@command(app, f'memoire dead edit {_SOME_ID} role=user content="I moved to Lisbon"')
def edit(letter: LetterId, fields: Fields, tenant: Tenant = "default", data: Data = None) -> None:
    """Mend an entry that never became a message; redrive it afterwards."""
    from services.console import dead, screen

    screen.print_json(dead.mended(data, tenant, letter, fields)["payload"])


@command(app, "memoire dead redrive --stage embedder --class retry", "memoire dead redrive --all")
def redrive(
    stage: Stage = None,
    error_class: ErrorClass = None,
    older_than: OlderThan = None,
    ids: Ids = None,
    everything: Everything = False,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters another set of attempts."""
    from services.console import dead

    selection = dead.selected(
        tenant, ids=ids, stage=stage, error_class=error_class, older_than=older_than
    )
    typer.echo(f"{dead.redriven(data, dead.some(selection, everything=everything))} redriven")


@command(app, 'memoire dead drop --stage extractor --reason "test traffic"')
def drop(
    stage: Stage = None,
    error_class: ErrorClass = None,
    older_than: OlderThan = None,
    ids: Ids = None,
    everything: Everything = False,
    reason: Reason = None,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters up for good. Who and why is kept; the payload is not."""
    from services.console import dead

    selection = dead.selected(
        tenant, ids=ids, stage=stage, error_class=error_class, older_than=older_than
    )
    count = dead.dropped(data, dead.some(selection, everything=everything), reason)
    typer.echo(f"{count} dropped")
