"""`memoire embeddings …`: the commands; the work is in `services.console.embeddings`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group(
    "embeddings",
    "See whose vectors recall reads, and change the model. Without a command: `show`.",
)
app.info.no_args_is_help = False

To = Annotated[str, typer.Option("--to", metavar="MODEL", help="The model to change to.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Its server, up to /v1; default: MEMOIRE_EMBED_BASE_URL."),
]
Dimensions = Annotated[
    int | None, typer.Option(min=1, help="Ask it for so many dimensions; default: its own.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost; write nothing.")]
Switch = Annotated[bool, typer.Option(help="Let recall read the new vectors once all are there.")]
LeaveRefused = Annotated[
    bool,
    typer.Option("--leave-refused", help="Switch although the model refuses some facts."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before a server is asked.")]
Model = Annotated[str | None, typer.Option(help="This one only; default: all that are retired.")]


@app.callback(invoke_without_command=True)
def embeddings(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


@command(app, "memoire embeddings show", "memoire embeddings show --json")
def show(data: Data = None, as_json: AsJson = False) -> None:
    """Show each model with vectors here: which is active, which is being filled, and how far.

    Needs PostgreSQL only.
    """
    from services.console import embeddings as console_embeddings
    from services.console import screen

    found = console_embeddings.read_spaces(data)
    (screen.print_json if as_json else console_embeddings.print_spaces)(found)


@command(
    app,
    "memoire embeddings migrate --to bge-m3 --base-url http://127.0.0.1:8081/v1 --dry-run",
    "memoire embeddings migrate --to bge-m3 --base-url http://127.0.0.1:8081/v1 --yes",
    "memoire embeddings migrate --to multilingual-e5-small",
    "memoire embeddings migrate --to all-MiniLM-L6-v2-int8",
)
def migrate(
    to: To,
    base_url: BaseUrl = None,
    dimensions: Dimensions = None,
    dry_run: DryRun = False,
    switch: Switch = True,
    leave_refused: LeaveRefused = False,
    yes: Yes = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Change the embedding model while everything runs.

    Makes vectors of the new model beside the old. Recall reads the old ones until the new are
    complete, then turns to them at once; dimensions may differ. Stopped in the middle, the same
    command goes on. The old vectors stay until they are pruned, so that changing back is quick.
    Exit code 1: not complete, and it says why.
    """
    from services.console import embeddings as console_embeddings

    wanted = console_embeddings.Wanted(
        to, base_url, dimensions, dry_run, switch, leave_refused, yes, as_json, data
    )
    raise typer.Exit(console_embeddings.migrate(wanted))


@command(app, "memoire embeddings cancel")
def cancel(data: Data = None) -> None:
    """Give up a change that is under way; what was made stays until it is pruned."""
    from services.console import embeddings as console_embeddings

    typer.echo(f"given up: {console_embeddings.cancel(data)}")


@command(app, "memoire embeddings prune", "memoire embeddings prune --model bge-m3")
def prune(model: Model = None, data: Data = None, as_json: AsJson = False) -> None:
    """Delete the vectors of models that are retired, in small steps.

    A model can be pruned a minute after it was active. Stopped in the middle, the same command
    goes on.
    """
    from services.console import embeddings as console_embeddings
    from services.console import screen

    gone = console_embeddings.prune(data, model, quiet=as_json)
    if as_json:
        screen.print_json({"pruned": gone})
        return
    for name, vectors in gone.items():
        typer.echo(f"{name}: {vectors:,} vectors deleted")
