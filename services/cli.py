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
from shared.topology import PROCESSES, STAGES

CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="memoire",
    help="A memory sidecar for LLM applications. Begin with [bold]memoire up[/bold], "
    "or see it at work with [bold]memoire demo[/bold].",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=CONTEXT,
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


@app.command(rich_help_panel=SERVERS, epilog=example("memoire demo"))
def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Keep the demo's data here; default: a folder removed at the end."
        ),
    ] = None,
) -> None:
    """See a conversation become memories: the whole pipeline, live, in a few seconds."""
    from services.console import demo as console_demo

    raise typer.Exit(console_demo.demo(data))


# ---- what the pipeline is doing


@app.command(rich_help_panel=PIPELINE, epilog=example("memoire status", "memoire status --json"))
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show what waits before each stage, and which processes run.

    Exit code 0: healthy. 1: degraded, and it says why. 3: nothing runs.
    """
    from services.console import screen
    from services.console.status import read_status

    found = read_status(data)
    (screen.print_json if as_json else screen.print_status)(found.report)
    raise typer.Exit(found.exit_code)


dead = typer.Typer(
    name="dead",
    help="See what was given up on, try it again, or drop it.",
    no_args_is_help=True,
    context_settings=CONTEXT,
)
app.add_typer(dead, rich_help_panel=PIPELINE)

Stage = Annotated[str | None, typer.Option(help=f"Of this stage only: {', '.join(STAGES)}.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="This one; may be repeated.")]
Everything = Annotated[bool, typer.Option("--all", help="All of the tenant's.")]
Tenant = Annotated[str, typer.Option(help="Whose.")]


@dead.command(
    "list", epilog=example("memoire dead list", "memoire dead list --stage embedder --json")
)
def dead_list(
    stage: Stage = None,
    tenant: Tenant = "default",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first. Needs PostgreSQL only."""
    from services.console import dead as letters
    from services.console import screen

    found = letters.listed(data, tenant, stage, limit)
    if as_json:
        screen.print_json({"dead_letters": found})
    else:
        screen.print_dead(found)


@dead.command("redrive", epilog=example("memoire dead redrive --stage embedder"))
def dead_redrive(
    stage: Stage = None,
    ids: Ids = None,
    everything: Everything = False,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters another set of attempts."""
    from services.console import dead as letters

    chosen = letters.Chosen(tenant, stage, ids, everything=everything)
    typer.echo(f"{letters.redriven(data, chosen)} redriven")


@dead.command("drop", epilog=example("memoire dead drop --stage extractor"))
def dead_drop(
    stage: Stage = None,
    ids: Ids = None,
    everything: Everything = False,
    tenant: Tenant = "default",
    data: Data = None,
) -> None:
    """Give dead letters up for good. There is no way back."""
    from services.console import dead as letters

    chosen = letters.Chosen(tenant, stage, ids, everything=everything)
    typer.echo(f"{letters.dropped(data, chosen)} dropped")


# ---- messages in, memories out


@app.command(
    rich_help_panel=MEMORY,
    epilog=example(
        "memoire ingest chats.jsonl --user ana --wait", "zcat old.jsonl.gz | memoire ingest -"
    ),
)
def ingest(
    file: Annotated[
        str, typer.Argument(help="One message a line, as for POST /v1/ingest; - is stdin.")
    ],
    user: Annotated[str | None, typer.Option(help="user_id of lines that name none.")] = None,
    session: Annotated[str | None, typer.Option(help="session_id of lines that name none.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until every message has settled.")] = False,
    data: Data = None,
) -> None:
    """Send a file of messages; running it again adds nothing.

    A line is {"user_id": …, "role": "user", "content": …} with the optional fields of POST
    /v1/ingest; without "role" it is the user's. A line without "message_id" gets one made of its
    line number and content. Bad lines are reported and the rest goes on; the exit code is then 1.
    """
    from services.console import memory

    given = {"user_id": user, "session_id": session, "role": "user"}
    defaults = {name: value for name, value in given.items() if value is not None}
    outcome = memory.ingest(data, file, defaults, wait=wait)
    memory.print_outcome(outcome, waited=wait)
    raise typer.Exit(1 if outcome.bad or outcome.dead else 0)


@app.command(
    rich_help_panel=MEMORY,
    epilog=example(
        'memoire recall ana "Where does she live?"', "memoire recall ana pets --explain"
    ),
)
def recall(
    user: Annotated[str, typer.Argument(help="Your own id of the user.")],
    query: Annotated[str, typer.Argument(help="A question or a few words.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many facts.")] = 5,
    explain: Annotated[bool, typer.Option("--explain", help="Show what made each score.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ask what is known about a user that matters for a question."""
    from services.console import memory, screen

    answer = memory.recall(data, user, query, limit=limit, explain=explain)
    if as_json:
        screen.print_json(answer)
    else:
        screen.print_recall(answer, explain=explain)


keys = typer.Typer(
    name="keys",
    help="Make, list, rotate and revoke API keys.",
    no_args_is_help=True,
    context_settings=CONTEXT,
)
app.add_typer(keys, rich_help_panel=MEMORY)


@keys.command("create", epilog=example("memoire keys create my-app --scope write"))
def keys_create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[str, typer.Option(help="admin, write or read.")] = "write",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, once."""
    from services.console import memory, screen

    made = memory.create_key(data, name, scope)
    (screen.print_json if as_json else screen.print_secret)(made)


@keys.command("list", epilog=example("memoire keys list"))
def keys_list(data: Data = None, as_json: AsJson = False) -> None:
    """List keys; never their secrets."""
    from services.console import memory, screen

    found = memory.list_keys(data)
    if as_json:
        screen.print_json({"keys": found})
    else:
        screen.print_keys(found)


KeyId = Annotated[str, typer.Argument(help="Its id, as `memoire keys list` shows it.")]


@keys.command("rotate", epilog=example("memoire keys rotate 0197b3c2-7d4e-7000-8000-000000000000"))
def keys_rotate(key: KeyId, data: Data = None, as_json: AsJson = False) -> None:
    """Give a key a new secret and print it, once."""
    from services.console import memory, screen

    made = memory.rotate_key(data, key)
    (screen.print_json if as_json else screen.print_secret)(made)


@keys.command("revoke", epilog=example("memoire keys revoke 0197b3c2-7d4e-7000-8000-000000000000"))
def keys_revoke(key: KeyId, data: Data = None) -> None:
    """Refuse a key from now on."""
    from services.console import memory

    memory.revoke_key(data, key)
    typer.echo("revoked")


def main() -> None:
    """Run a command; what it cannot do is one line on standard error and an exit code."""
    try:
        app()
    except CommandError as error:
        typer.echo(f"memoire: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
