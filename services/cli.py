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

from services.console.commands import (
    AsJson,
    Data,
    budget,
    command,
    dead,
    embeddings,
    group,
    jobs,
    keys,
    limits,
    portable,
    quarantine,
    replay,
    retention,
    slots,
)
from services.console.errors import CommandError
from shared.local_models import LOCAL_MODEL, LOCAL_MODELS
from shared.topology import PROCESSES

SERVERS = "Servers"
PIPELINE = "Pipeline"
MEMORY = "Memory"

app = group(
    "memoire",
    "A memory sidecar for LLM applications. Begin with [bold]memoire up[/bold], or see it at work "
    "with [bold]memoire demo[/bold].",
)

Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="The gateway's; 0 takes a free one. Default: MEMOIRE_PORT, else 8080.",
    ),
]
Copies = Annotated[
    list[str] | None,
    typer.Option(metavar="PROCESS=N", help="Run a process N times; may be repeated."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show every line of every log.")]
Process = Annotated[str, typer.Argument(help=f"One of {', '.join(PROCESSES)}.")]
DemoData = Annotated[
    Path | None, typer.Option("--data", help="Keep its data here, not in a folder that goes.")
]
File = Annotated[
    str, typer.Argument(help="One message a line, as for POST /v1/ingest; - is standard input.")
]
OfUser = Annotated[str | None, typer.Option("--user", help="Of this user only.")]
After = Annotated[str | None, typer.Option(help="Begin behind this event's id. Default: now.")]
Follow = Annotated[bool, typer.Option(help="Go on with what happens, until Ctrl-C.")]
DefaultUser = Annotated[str | None, typer.Option(help="user_id of lines that name none.")]
DefaultSession = Annotated[str | None, typer.Option(help="session_id of lines that name none.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until every message has settled.")]
Evaluations = Annotated[list[str] | None, typer.Argument(help="Names; default: all.")]
EvalData = Annotated[
    Path | None,
    typer.Option(
        "--data", help="A file or folder of conversations; default: ../shared/data, if it is there."
    ),
]
EvalEmbeddings = Annotated[
    str, typer.Option("--embeddings", metavar="MODEL", help=f"One of {', '.join(LOCAL_MODELS)}.")
]
Seed = Annotated[int, typer.Option(help="Draws the made-up people and the noise.")]
Benchmarks = Annotated[list[str] | None, typer.Argument(help="Names; default: all.")]
Rows = Annotated[int | None, typer.Option(min=1, help="Messages, for retention.")]
Users = Annotated[int | None, typer.Option(min=1, help="Users, for nightly.")]
Facts = Annotated[
    int | None, typer.Option(min=1, help="Facts of each user, for nightly and consolidate.")
]
User = Annotated[str, typer.Argument(help="Your own id of the user.")]
Query = Annotated[str, typer.Argument(help="A question or a few words.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="At most so many facts.")]
AsOf = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="What was true then: 2024, 2024-05, 2024-05-01 or a time."),
]
KnownAt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="What was believed then: only what had been heard."),
]
FromDay = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day.")]
ToDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day; default: today.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show what made each score.")]
Hints = Annotated[
    bool, typer.Option("--hints/--no-hints", help="Let the question's words weigh: docs/asking.md.")
]


# ---- everything in one command


@command(
    app,
    "memoire up",
    "memoire up --data /var/lib/memoire --port 0 --copies extractor=2",
    panel=SERVERS,
)
def up(
    data: Data = None, port: Port = None, copies: Copies = None, verbose: Verbose = False
) -> None:
    """Run everything on this machine, until Ctrl-C.

    Brings its own PostgreSQL and Valkey, unless MEMOIRE_DATABASE_URL or MEMOIRE_REDIS_URL name
    yours. Whatever dies is started again; after a crash, simply start it again.
    """
    from services.console import up as console_up

    console_up.up(data, port, console_up.read_copies(copies or []), verbose=verbose)


@command(app, "memoire run extractor", panel=SERVERS)
def run(process: Process) -> None:
    """Run one process alone, anywhere that reaches the two servers.

    MEMOIRE_DATABASE_URL and MEMOIRE_REDIS_URL say where they are.
    """
    from services.console import running

    if process not in PROCESSES:
        raise typer.BadParameter(f"{process!r} is none of {', '.join(PROCESSES)}")
    running.run(process)


@command(app, "MEMOIRE_HEARTBEAT_FILE=/run/memoire/alive memoire alive", panel=SERVERS)
def alive() -> None:
    """Ask whether the process beside it still turns, by the age of MEMOIRE_HEARTBEAT_FILE.

    Exit code 0: it does. 1: it has not for half a minute. 2: no file is named. Probes ask the
    same with `python -m shared.heartbeat`, which starts faster.
    """
    from shared import heartbeat

    raise typer.Exit(heartbeat.main())


@command(
    app,
    "memoire migrate",
    "MEMOIRE_DATABASE_URL=postgresql://db/memoire memoire migrate",
    panel=SERVERS,
)
def migrate(data: Data = None) -> None:
    """Bring the database to this version: MEMOIRE_DATABASE_URL's, or the running instance's."""
    from services.console import running

    for name in running.migrate(data) or ["nothing to do"]:
        typer.echo(name)


@command(app, "memoire demo", panel=SERVERS)
def demo(data: DemoData = None) -> None:
    """See a conversation become memories: the whole pipeline, live, in a few seconds."""
    from services.console import demo as console_demo

    raise typer.Exit(console_demo.demo(data))


@command(
    app,
    "memoire bench latency",
    "memoire bench end-to-end one-user",
    "memoire bench retention --rows 10000000",
    panel=SERVERS,
)
def bench(
    names: Benchmarks = None, rows: Rows = None, users: Users = None, facts: Facts = None
) -> None:
    """Measure an instance of its own: CPU a message of every process, beside wall time.

    Without names, all of them, which takes more than an hour. They need the project's checkout.
    """
    from services.console import benching

    benching.bench(names or [], {"rows": rows, "users": users, "facts": facts})


@command(
    app,
    "memoire eval slots history",
    "memoire eval updates --data conversations.jsonl",
    "memoire eval poisoning",
    "memoire eval recall --data conversations.jsonl --embeddings multilingual-e5-small",
    "memoire eval --json > figures.json",
    panel=SERVERS,
    name="eval",
)
def evaluate(
    names: Evaluations = None,
    data: EvalData = None,
    seed: Seed = 1,
    embed_model: EvalEmbeddings = LOCAL_MODEL,
    as_json: AsJson = False,
) -> None:
    """Measure how good the memory is, on an instance of its own: figures beside their aims.

    Without names all of slots, history, updates, duplicates, rules, recall and poisoning, which
    takes some minutes.
    Needs the project's checkout; formats of data and what the figures mean: docs/evaluation.md.
    Exit code 1: an aim is missed.
    """
    from services.console import evaluating

    met = evaluating.evaluate(names or [], data, seed=seed, embeddings=embed_model, as_json=as_json)
    raise typer.Exit(0 if met else 1)


# ---- what the pipeline is doing


@command(app, "memoire status", "memoire status --json", panel=PIPELINE)
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show what waits before each stage, and which processes run.

    Exit code 0: healthy. 1: degraded, and it says why. 3: nothing runs.
    """
    from services.console import screen
    from services.console.status import read_status

    found = read_status(data)
    (screen.print_json if as_json else screen.print_status)(found.report)
    raise typer.Exit(found.exit_code)


@command(
    app,
    "memoire tail",
    "memoire tail --user ana --after 0 --no-follow --json",
    panel=PIPELINE,
)
def tail(
    user: OfUser = None,
    after: After = None,
    follow: Follow = True,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Watch what happens to facts: settled, merged, superseded, forgotten.

    Goes on where it was when the gateway was away. With --after the id of the last event seen,
    nothing is missed between two runs; 0 begins at the beginning.
    """
    from services.console import tail as console_tail

    console_tail.tail(data, user=user, after=after, follow=follow, as_json=as_json)


app.add_typer(dead.app, rich_help_panel=PIPELINE)
app.add_typer(jobs.app, rich_help_panel=PIPELINE)


# ---- messages in, memories out


@command(
    app,
    "memoire ingest chats.jsonl --user ana --wait",
    "zcat old.jsonl.gz | memoire ingest -",
    panel=MEMORY,
)
def ingest(
    file: File,
    user: DefaultUser = None,
    session: DefaultSession = None,
    wait: Wait = False,
    data: Data = None,
) -> None:
    """Send a file of messages; running it again adds nothing.

    A line is {"user_id": …, "role": "user", "content": …} with the optional fields of POST
    /v1/ingest; without "role" it is the user's. A line without "message_id" gets one made of its
    line number and its content. Bad lines are reported with their number and the rest goes on;
    the exit code is then 1.
    """
    from services.console import memory

    given = {"user_id": user, "session_id": session, "role": "user"}
    defaults = {name: value for name, value in given.items() if value is not None}
    outcome = memory.ingest(data, file, defaults, wait=wait)
    memory.print_outcome(outcome, waited=wait)
    raise typer.Exit(1 if outcome.bad or outcome.dead else 0)


@command(
    app,
    'memoire recall ana "Where does she live?"',
    "memoire recall ana pets --explain",
    'memoire recall ana "Where did she live in 2024?" --explain --no-hints',
    'memoire recall ana "Where did she live?" --as-of 2024 --known-at 2024-12-31',
    panel=MEMORY,
)
def recall(
    user: User,
    query: Query,
    limit: Limit = 5,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    explain: Explain = False,
    hints: Hints = True,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ask what is known about a user that matters for a question.

    With --as-of what was true at a moment, with --known-at what was believed at one; with both,
    what was then believed of that moment. A year, month or day is its beginning, in UTC.
    """
    from services.console import memory, screen

    times = {"as_of": as_of, "known_at": known_at}
    answer = memory.recall(
        data, user, query, limit=limit, explain=explain, hints=hints, times=times
    )
    if as_json:
        screen.print_json(answer)
    else:
        screen.print_recall(answer, explain=explain)


@command(
    app,
    "memoire usage",
    "memoire usage --from 2026-11-01 --to 2026-11-30 --json",
    panel=MEMORY,
)
def usage(
    since: FromDay = None, until: ToDay = None, data: Data = None, as_json: AsJson = False
) -> None:
    """Show what calls of models cost: tokens and money by day, purpose and model.

    Days are UTC; without --from the last thirty.
    """
    from services.console import screen, spending

    found = spending.usage(data, since, until)
    (screen.print_json if as_json else spending.print_usage)(found)


app.add_typer(budget.app, rich_help_panel=MEMORY)
app.add_typer(embeddings.app, rich_help_panel=MEMORY)
app.add_typer(keys.app, rich_help_panel=MEMORY)
app.add_typer(limits.app, rich_help_panel=MEMORY)
app.add_typer(quarantine.app, rich_help_panel=MEMORY)
app.add_typer(retention.app, rich_help_panel=MEMORY)
app.add_typer(slots.app, rich_help_panel=MEMORY)
portable.add_to(app, panel=MEMORY)
replay.add_to(app, panel=MEMORY)


def main() -> None:
    """Run a command; what it cannot do is one line on standard error and an exit code."""
    try:
        app()
    except CommandError as error:
        typer.echo(f"memoire: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
