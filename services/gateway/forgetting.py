"""Drops from a gateway's memory who was erased through another one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from services.gateway.recall import Recall
from shared.db import Database
from shared.erasure import store

log = structlog.get_logger()

_LOOK_SECONDS = 5.0
_OVERLAP = timedelta(seconds=30)  # a tombstone's time is a little before its commit


async def follow_erasures(db: Database, recall: Recall) -> None:
    """Look every few seconds who was erased since, until cancelled.

    Nobody is answered from what is kept meanwhile: it is compared with the database first.
    """
    since = datetime(9999, 1, 1, tzinfo=UTC)  # nobody is kept yet
    while True:
        try:
            async with db.gate() as tx:
                now, erased = await store.erased_since(tx, since)
        except (psycopg.Error, OSError, TimeoutError) as error:
            log.debug("erasures not looked for", error=str(error).strip())
        else:
            recall.forget(erased)
            since = now - _OVERLAP
        await asyncio.sleep(_LOOK_SECONDS)
