"""Reads users' messages for the memory of a gateway; writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.gateway.hot.store import Whose, queries
from shared.db import Database, Transaction

_ROWS_AT_ONCE = 500

MessageRow = tuple[Any, ...]
"""As `messages.Messages.add` takes them."""


@dataclass(frozen=True, slots=True)
class Since:
    """A user's marks at one moment, and the messages that those not known before name.

    `swept` are the tokens that marks have taken the place of. `changed` may be cut off: there are
    more then.
    """

    tokens: frozenset[UUID]
    swept: frozenset[UUID]
    changed: list[UUID]
    rows: list[MessageRow]


async def marks(tx: Transaction, whose: Whose) -> frozenset[UUID]:
    """The tokens of a user's marks."""
    rows = await tx.rows(queries["message_marks"], whose.params, binary=True)
    return frozenset(row["token"] for row in rows)


async def all_messages(tx: Transaction, whose: Whose) -> AsyncIterator[list[MessageRow]]:
    """Read all messages, some hundred at a time."""
    async with tx.connection.cursor("messages", binary=True) as cursor:
        await cursor.execute(queries["messages"].encode(), whose.params)
        while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows


async def since(db: Database, whose: Whose, known: frozenset[UUID], most: int) -> Since:
    """Read what the marks since then name, at most so many messages, in one statement."""
    params = {**whose.params, "most": most, "known": f"{{{','.join(one.hex for one in known)}}}"}
    async with (
        db.of(whose.tenant).autocommit() as tx,
        tx.connection.cursor(binary=True) as cursor,
    ):
        await cursor.execute(queries["messages_since"].encode(), params)
        (tokens, swept, changed, *_), *rows = await cursor.fetchall()
    return Since(frozenset(tokens), frozenset(swept), changed, [row[3:] for row in rows])
