"""What a database must be before a process works with it: migrated, and keeping tenants apart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psycopg
import structlog

from shared.errors import ConfigurationError
from shared.migrate import pending, refuse_unisolated
from shared.roles import ROLES, Role
from shared.settings import Settings

log = structlog.get_logger()


async def require_schema(url: str) -> None:
    """Refuse a database that is not migrated."""
    if missing := await asyncio.to_thread(pending, url):
        names = ", ".join(migration.name for migration in missing)
        raise ConfigurationError(f"the database lacks {names}: run `memoire migrate`")


async def require_isolation(settings: Settings, url: str, roles: Sequence[Role] = ROLES) -> None:
    """Refuse a database that does not keep tenants apart by itself, unless told to do without."""
    if settings.row_security:
        await asyncio.to_thread(refuse_unisolated, url, roles)
        return
    log.warning(
        "row-level security is off: only the statements themselves keep tenants apart",
        setting="MEMOIRE_ROW_SECURITY",
    )


async def wait_for_schema(url: str, stopping: asyncio.Event) -> None:
    """Wait for a PostgreSQL that is away; refuse one that is not migrated."""
    while not stopping.is_set():
        try:
            await require_schema(url)
        except psycopg.OperationalError as error:
            log.warning("waiting for PostgreSQL", error=str(error).strip())
            await asyncio.sleep(1.0)
        else:
            return
