"""`memoire quarantine …`: the commands; the work is in `services.console.quarantine`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("quarantine", "See what is held for review, and approve or reject it.")

_SOME_ID = "0197b3c2-7d4e-7000-8000-000000000000"
User = Annotated[str | None, typer.Option("--user", help="Of this user only.")]
Held = Annotated[
    str | None,
    typer.Option("--for", help="Held for this: order, trigger, role, exfiltration, link, …"),
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
FactId = Annotated[str, typer.Argument(help="Its id, as `memoire quarantine list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the fact's history.")]


@command(
    app,
    "memoire quarantine list",
    "memoire quarantine list --user ana --for link --json",
    name="list",
)
def list_(
    user: User = None,
    held: Held = None,
    limit: Limit = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List what nobody is shown until it is approved, the longest waiting first."""
    from services.console import quarantine, screen

    found = quarantine.held(data, user, held, limit)
    if as_json:
        screen.print_json({"facts": found})
    else:
        quarantine.print_held(found)


@command(app, f'memoire quarantine approve {_SOME_ID} --reason "her own website"')
def approve(fact: FactId, reason: Reason = None, data: Data = None) -> None:
    """Let a fact count, as of the time it was said."""
    from services.console import quarantine

    quarantine.reviewed(data, fact, "approve", reason)
    typer.echo("approved")


@command(app, f'memoire quarantine reject {_SOME_ID} --reason "an injection"')
def reject(fact: FactId, reason: Reason = None, data: Data = None) -> None:
    """Forget a fact, in whatever replay says it again."""
    from services.console import quarantine

    quarantine.reviewed(data, fact, "reject", reason)
    typer.echo("rejected")
