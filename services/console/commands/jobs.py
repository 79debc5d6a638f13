"""`memoire jobs …`: the commands; the work is in `services.console.jobs`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group
from services.maintenance.jobs import known_kinds

app = group(
    "jobs",
    "See what maintenance does by the clock, and have it done now. Without a command: `show`.",
)
app.info.no_args_is_help = False

_KINDS = ", ".join(known_kinds())
Kind = Annotated[str, typer.Argument(metavar="KIND", help=f"One of {_KINDS}.")]
User = Annotated[str, typer.Option(help="Your own id of the user.")]
Tenant = Annotated[str, typer.Option(help="Whose.")]
Patience = Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")]


@app.callback(invoke_without_command=True)
def jobs(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


@command(app, "memoire jobs show", "memoire jobs show --json")
def show(data: Data = None, as_json: AsJson = False) -> None:
    """Show, by kind, when it is due and how many jobs wait, are begun, done or failed.

    `done` are those of the last MEMOIRE_JOB_KEEP_DAYS. Schedules are those of this shell's
    settings. Needs PostgreSQL only.
    """
    from services.console import jobs as console_jobs
    from services.console import screen

    found = console_jobs.read_jobs(data)
    if as_json:
        screen.print_json({"jobs": found})
    else:
        console_jobs.print_jobs(found)


@command(app, "memoire jobs run consolidate --user ana")
def run(
    kind: Kind,
    user: User,
    tenant: Tenant = "default",
    patience: Patience = 60.0,
    data: Data = None,
) -> None:
    """Have a job about a user done now, wait for it, and show what it did.

    Needs PostgreSQL and a running `maintenance`. Exit code 1: it failed, or is not done yet.
    """
    from services.console import jobs as console_jobs
    from services.console import screen

    found = console_jobs.run_job(data, kind, tenant, user, patience)
    screen.print_json(found)
    raise typer.Exit(0 if found["state"] == "done" else 1)
