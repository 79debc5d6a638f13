"""`memoire keys …`: the commands; the work is in `services.console.memory`."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from services.console.commands import AsJson, Data, command, group

app = group("keys", "Make, list, rotate and revoke API keys.")

_SOME_ID = "0197b3c2-7d4e-7000-8000-000000000000"
KeyId = Annotated[str, typer.Argument(help="Its id, as `memoire keys list` shows it.")]
Name = Annotated[str, typer.Argument(help="What it is for.")]
Scope = Annotated[str, typer.Option(help="admin, write or read.")]
User = Annotated[
    str | None, typer.Option(help="Open this user's memory alone, as for a client on a device.")
]
Expires = Annotated[str | None, typer.Option(help="When it ends, as in 2027-01-01.")]
Overlap = Annotated[int, typer.Option(min=0, help="How long the old secret works beside it.")]


@command(
    app,
    "memoire keys create my-app --scope write",
    "memoire keys create anas-phone --user ana --expires 2099-01-01",
)
def create(
    name: Name,
    scope: Scope = "write",
    user: User = None,
    expires: Expires = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, once."""
    from services.console import memory, screen

    made = memory.create_key(data, name, scope, user, expires)
    (screen.print_json if as_json else screen.print_secret)(made)


@command(app, "memoire keys list", "memoire keys list --json", name="list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List keys; never their secrets."""
    from services.console import memory, screen

    found = memory.list_keys(data)
    if as_json:
        screen.print_json({"keys": found})
    else:
        screen.print_keys(found)


@command(
    app,
    f"memoire keys rotate {_SOME_ID}",
    f"memoire keys rotate {_SOME_ID} --overlap-seconds 3600",
)
def rotate(
    key: KeyId, overlap_seconds: Overlap = 0, data: Data = None, as_json: AsJson = False
) -> None:
    """Give a key a new secret and print it, once."""
    from services.console import memory, screen

    made = memory.rotate_key(data, key, overlap_seconds)
    (screen.print_json if as_json else screen.print_secret)(made)


@command(app, f"memoire keys revoke {_SOME_ID}")
def revoke(key: KeyId, data: Data = None) -> None:
    """Refuse a key from now on."""
    from services.console import memory

    memory.revoke_key(data, key)
    typer.echo("revoked")
