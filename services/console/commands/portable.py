"""`memoire export`, `memoire import`: the commands; the work is in `services.console.portable`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import Data, command

User = Annotated[str, typer.Argument(help="Your own id of the user.")]
Out = Annotated[str, typer.Option("--file", help="Where to; - is standard output.")]
Exported = Annotated[str, typer.Argument(help="What was exported; - is standard input.")]


def export(user: User, file: Out = "-", data: Data = None) -> None:
    """Write everything that is held about a user: messages, facts with history, profile.

    A line of JSON each; the last one has the type "end". docs/erasure-and-export.md says what is
    in them.
    """
    from services.console import portable

    portable.export(data, user, file)


def import_(file: Exported, data: Data = None) -> None:
    """Take in what `memoire export` wrote, on this server or another; needs an admin key.

    Running it again adds nothing. Facts are embedded and settle as they did before, with the same
    ids; it is over when they have. What was erased since comes back this way, and only this way.
    """
    from services.console import portable

    imported = portable.import_(data, file)
    typer.echo(", ".join(f"{n} {kind}" for kind, n in imported.items()) or "nothing was new")


def add_to(app: typer.Typer, *, panel: str) -> None:
    """Register both beside the commands of `app` itself."""
    command(app, "memoire export ana --file ana.jsonl", "memoire export ana", panel=panel)(export)
    examples = ("memoire import ana.jsonl", "zcat ana.jsonl.gz | memoire import -")
    command(app, *examples, panel=panel, name="import")(import_)
