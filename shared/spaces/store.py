"""Reads and changes the spaces of an installation: the law decides, this only writes it down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.db import Row, Transaction
from shared.spaces.law import Address, Space, Spaces
from shared.sql import Queries

queries = Queries("shared.spaces")


async def read(tx: Transaction) -> Spaces | None:
    """Every space; None where nothing was ever embedded."""
    rows = await tx.rows(queries["read"])
    return Spaces(tuple(map(_space, rows))) if rows else None


async def adopt(tx: Transaction, address: Address, dimensions: int | None) -> None:
    """Make this the active space, unless there is one."""
    await tx.execute(queries["adopt"], {**_columns(address), "dimensions": dimensions})


async def change(tx: Transaction, decide: Callable[[Spaces], Spaces | None]) -> tuple[Spaces, bool]:
    """Change the spaces while nobody makes facts embedded; says whether anything changed.

    Must be a transaction's first statements. Raises what `decide` raises.
    """
    await tx.rows(queries["lock"])
    before = await read(tx)
    if before is None:
        raise LookupError("no space was adopted")
    after = decide(before)
    if after is None:
        return before, False
    changed = [space for space in after.every if before.of(space.model) != space]
    for space in sorted(changed, key=lambda space: space.state in ("active", "filling")):
        await tx.execute(queries["write"], _row(space))  # who leaves a place goes first
    return after, True


async def learn(tx: Transaction, model: str, dimensions: int) -> int:
    """Note how long a space's vectors are where that is not known; what is known."""
    found: int = await tx.value(queries["learn"], {"model": model, "dimensions": dimensions})
    return found


def _space(row: Row) -> Space:
    address = Address(row["model"], row["remote"], row["base_url"], row["asked_dimensions"])
    return Space(
        address,
        row["state"],
        row["dimensions"],
        row["epoch"],
        row["skipped"],
        row["retired_seconds"],
    )


def _row(space: Space) -> dict[str, Any]:
    return {
        **_columns(space.address),
        "state": space.state,
        "dimensions": space.dimensions,
        "epoch": space.epoch,
        "skipped": space.skipped,
    }


def _columns(address: Address) -> dict[str, Any]:
    return {
        "model": address.model,
        "remote": address.remote,
        "base_url": address.base_url,
        "asked_dimensions": address.asked_dimensions,
    }
