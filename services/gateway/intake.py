"""Single messages of concurrent requests, stored together: one commit for all that are there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg
from psycopg_pool import PoolTimeout

from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.events import Announcement
from shared.intake.admission import QUOTA, store_within
from shared.intake.messages import Message
from shared.intake.store import Outcome, Stored, store_messages
from shared.quotas.quotas import Quotas
from shared.together import Together

_BROKEN_SECONDS = 0.5  # a broken connection is known at once

Singly = tuple[Outcome, list[Announcement]]
"""What became of one message; its announcements, or those of all that were stored with it."""

SingleIntake = Together[Message, Singly]


def build_single_intake(
    db: Database, window: int, quotas: Quotas, at_point: AtPoint = ignore_point
) -> SingleIntake:
    """Each message is its own: a conflict of one is no other's business.

    Stored twice is stored once: the ids are made before, so trying again is safe.
    """

    async def store_now(messages: Sequence[Message]) -> Stored:
        tenants = {message.tenant for message in messages}
        limited = await quotas.limits(QUOTA, tenants)
        if limited:
            async with db.of(*tenants).transaction() as tx:
                stored = await store_within(tx, messages, window, quotas)
                at_point("commit")
        else:
            async with db.of(*tenants).autocommit() as tx:
                at_point("commit")
                stored = await store_messages(tx, messages, window)
        at_point("committed")
        return stored

    async def store(messages: Sequence[Message]) -> list[Singly]:
        begun = time.monotonic()
        try:
            stored = await store_now(messages)
        except PoolTimeout:
            raise  # PostgreSQL is away, not this one connection
        except psycopg.OperationalError:
            if time.monotonic() - begun > _BROKEN_SECONDS:
                raise  # it was waited for long enough
            stored = await store_now(messages)  # a connection may break between look and use
        rest: list[list[Announcement]] = [[] for _ in messages[1:]]
        return list(zip(stored.outcomes, [stored.announcements, *rest], strict=True))

    return Together(store, whose=lambda message: message.tenant)
