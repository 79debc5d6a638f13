"""`memoire dead`: what was given up on, straight from PostgreSQL, so the gateway may be down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from services.console import store
from services.console.errors import MISCONFIGURED, CommandError, explained
from services.console.servers import find_servers
from shared.db import Transaction
from shared.failures.store import drop_dead, list_dead, redrive

PAGE = 200
Result = TypeVar("Result")


def listed(data_dir: Path | None, tenant: str, stage: str | None, limit: int) -> list[Any]:
    """Dead letters, newest first, as the gateway shows them."""

    async def read(tx: Transaction) -> list[Any]:
        found: list[Any] = []
        while len(found) < limit:
            last = (found[-1]["dead_at"], found[-1]["id"]) if found else None
            page = min(PAGE, limit - len(found))
            rows = await list_dead(tx, tenant, stage=stage, before=last, limit=page)
            found += rows
            if len(rows) < page:
                break
        return found

    return [_public(row) for row in _in_database(data_dir, read)]


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"id": str(row["id"]), "dead_at": row["dead_at"].isoformat()}


def redriven(data_dir: Path | None, chosen: Chosen) -> int:
    """Give the chosen a fresh set of attempts; how many."""
    return _in_database(
        data_dir, lambda tx: redrive(tx, chosen.tenant, ids=chosen.ids, stage=chosen.stage)
    )


def dropped(data_dir: Path | None, chosen: Chosen) -> int:
    """Give the chosen up for good; how many."""
    return _in_database(
        data_dir, lambda tx: drop_dead(tx, chosen.tenant, ids=chosen.ids, stage=chosen.stage)
    )


class Chosen:
    """Which dead letters: by id, by stage, or all of them, which must be said."""

    def __init__(
        self, tenant: str, stage: str | None, ids: Sequence[str] | None, *, everything: bool
    ) -> None:
        if not ids and stage is None and not everything:
            raise CommandError("say which: --id ID, --stage STAGE, or --all", MISCONFIGURED)
        self.tenant = tenant
        self.stage = stage
        self.ids = [_uuid(each) for each in ids] if ids else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            f"--id {text}: not an id as `memoire dead list` shows it", MISCONFIGURED
        ) from None


def _in_database(
    data_dir: Path | None, action: Callable[[Transaction], Awaitable[Result]]
) -> Result:
    """Run one transaction on the instance's database."""

    async def run() -> Result:
        async with store.transaction(find_servers(data_dir).database_url) as tx:
            return await action(tx)

    with explained():
        return asyncio.run(run())
