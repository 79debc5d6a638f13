"""The `memoire` command."""

from __future__ import annotations

import asyncio
import sys

import typer

from services.composition import run_process
from shared.errors import ConfigurationError
from shared.migrate import migrate as apply_migrations
from shared.observability import configure_logging
from shared.settings import Settings
from shared.topology import PROCESSES

app = typer.Typer(
    name="memoire",
    help="A memory sidecar for LLM applications.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def run(process: str = typer.Argument(help=f"One of {', '.join(PROCESSES)}.")) -> None:
    """Run one process alone, anywhere that reaches the two servers."""
    if process not in PROCESSES:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(PROCESSES)}")
    settings = Settings()
    configure_logging(settings.log_level, as_json=settings.log_json, process=process)
    asyncio.run(run_process(process, settings))


@app.command()
def migrate() -> None:
    """Bring the database at MEMOIRE_DATABASE_URL to this version."""
    settings = Settings()
    if settings.database_url is None:
        raise ConfigurationError("MEMOIRE_DATABASE_URL is not set")
    for name in apply_migrations(settings.database_url) or ["nothing to do"]:
        typer.echo(name)


def main() -> None:
    try:
        app()
    except ConfigurationError as error:
        typer.echo(f"memoire: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
