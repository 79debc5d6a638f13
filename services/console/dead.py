"""`memoire dead`: what was given up on, straight from PostgreSQL, so the gateway may be down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from services.console import store
from services.console.errors import MISCONFIGURED, CommandError, explained
from services.console.servers import find_servers
from shared.db import Transaction
from shared.dead_letters import store as letters
from shared.dead_letters.store import Selection

PAGE = 200
Result = TypeVar("Result")


def listed(data_dir: Path | None, selection: Selection, limit: int) -> list[Any]:
    """Dead letters, newest first, as the gateway shows them."""

    async def read(tx: Transaction) -> list[Any]:
        found: list[Any] = []
        while len(found) < limit:
            last = (found[-1]["dead_at"], found[-1]["id"]) if found else None
            page = min(PAGE, limit - len(found))
            rows = await letters.list_dead(tx, selection, before=last, limit=page)
            found += rows
            if len(rows) < page:
                break
        return found

    return [_public(row) for row in in_database(data_dir, read)]


def summarized(data_dir: Path | None, tenant: str) -> list[Any]:
    """How many there are by stage and class, and how many are of the last hour."""
    found = in_database(data_dir, lambda tx: letters.summarize(tx, tenant))
    return [_public(row) for row in found]


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def redriven(data_dir: Path | None, selection: Selection) -> int:
    """Give the chosen a fresh set of attempts; how many."""
    return in_database(data_dir, lambda tx: letters.redrive(tx, selection))


def dropped(data_dir: Path | None, selection: Selection, reason: str | None) -> int:
    """Give the chosen up for good; how many."""
    return in_database(
        data_dir, lambda tx: letters.drop_dead(tx, selection, actor="operator", reason=reason)
    )


def mended(data_dir: Path | None, tenant: str, letter: str, fields: Sequence[str]) -> Any:
    """Set fields of an entry's payload (`name=value`; an empty value removes one)."""
    changes = dict(_field(each) for each in fields)
    selection = selected(tenant, ids=[letter])

    async def change(tx: Transaction) -> Any:
        found = await letters.list_dead(tx, selection, limit=1)
        if not found or found[0]["payload"] is None:
            raise CommandError(f"{letter}: no dead letter with a payload")
        payload = {**found[0]["payload"], **changes}
        kept = {name: value for name, value in payload.items() if value and name[0] != "_"}
        return await letters.mend(tx, tenant, found[0]["id"], kept)

    return _public(in_database(data_dir, change))


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"{text}: say FIELD=VALUE", MISCONFIGURED)
    return name, value


def selected(
    tenant: str,
    *,
    ids: Sequence[str] | None = None,
    stage: str | None = None,
    error_class: str | None = None,
    older_than: str | None = None,
) -> Selection:
    """The letters that meet every condition; raises CommandError for what cannot be read."""
    return Selection(
        tenant=tenant,
        ids=[_uuid(each) for each in ids] if ids else None,
        stage=stage,
        error_class=error_class,
        older_than_seconds=_seconds(older_than) if older_than else None,
    )


def some(selection: Selection, *, everything: bool) -> Selection:
    """The same selection; raises CommandError where it means all letters and nobody said so."""
    chosen = (
        selection.ids, selection.stage, selection.error_class, selection.older_than_seconds,
    )  # fmt: skip
    if not everything and all(condition is None for condition in chosen):
        raise CommandError(
            "say which: --id ID, --stage STAGE, --class CLASS, --older-than AGE, or --all",
            MISCONFIGURED,
        )
    return selection


def _seconds(age: str) -> float:
    found = re.fullmatch(r"(\d+)([smhd])", age.strip())
    if found is None:
        raise CommandError(f"--older-than {age}: say 90s, 10m, 6h or 2d", MISCONFIGURED)
    return int(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            f"--id {text}: not an id as `memoire dead list` shows it", MISCONFIGURED
        ) from None


def in_database(
    data_dir: Path | None, action: Callable[[Transaction], Awaitable[Result]]
) -> Result:
    """Run one transaction on the instance's database."""

    async def run() -> Result:
        async with store.transaction(find_servers(data_dir).database_url) as tx:
            return await action(tx)

    with explained():
        return asyncio.run(run())
