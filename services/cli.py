"""The `memoire` command: a table of commands, each of them a few lines that call its module.

Nothing heavy is imported before it is needed, so that `memoire --help` answers at once and a
process of the pipeline loads its own stage alone.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.console.errors import CommandError
from shared.topology import PROCESSES

app = typer.Typer(
    name="memoire",
    help="A memory sidecar for LLM applications. Begin with [bold]memoire up[/bold], "
    "or see it at work with [bold]memoire demo[/bold].",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder; default: MEMOIRE_DATA_DIR, else .memoire."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

SERVERS = "Servers"
PIPELINE = "Pipeline"
MEMORY = "Memory"


def example(*lines: str) -> str:
    """The end of a command's help: lines to copy."""
    return "[bold]Example:[/bold]\n\n" + "\n\n".join(f"  {line}" for line in lines)


# ---- everything in one command


@app.command(
    rich_help_panel=SERVERS,
    epilog=example(
        "memoire up", "memoire up --data /var/lib/memoire --port 0 --copies extractor=2"
    ),
)
def up(
    data: Data = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port of the gateway; 0 takes a free one. Default: MEMOIRE_PORT, 8080."),
    ] = None,
    copies: Annotated[
        list[str] | None,
        typer.Option(metavar="PROCESS=N", help="Run a process N times; may be repeated."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show every line of every log.")
    ] = False,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    Brings its own PostgreSQL and Valkey, unless MEMOIRE_DATABASE_URL or MEMOIRE_REDIS_URL name
    yours. Whatever dies is started again; after a crash, simply start it again.
    """
    from services.console import up as console_up

    console_up.up(data, port, console_up.read_copies(copies or []), verbose=verbose)


@app.command(rich_help_panel=SERVERS, epilog=example("memoire run extractor"))
def run(
    process: Annotated[str, typer.Argument(help=f"One of {', '.join(PROCESSES)}.")],
) -> None:
    """Run one process alone, anywhere that reaches the two servers."""
    from services.console import running

    if process not in PROCESSES:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(PROCESSES)}")
    running.run(process)


@app.command(
    rich_help_panel=SERVERS,
    epilog=example("MEMOIRE_DATABASE_URL=postgresql://db/memoire memoire migrate"),
)
def migrate(data: Data = None) -> None:
    """Bring the database to this version: MEMOIRE_DATABASE_URL's, or the running instance's."""
    from services.console import running

    for name in running.migrate(data) or ["nothing to do"]:
        typer.echo(name)


def main() -> None:
    """Run a command; what it cannot do is one line on standard error and an exit code."""
    try:
        app()
    except CommandError as error:
        typer.echo(f"memoire: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
