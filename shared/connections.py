"""One connection to PostgreSQL: whose rows its session sees, how transactions begin and end on it.

For `shared.db`, which hands connections out; nobody else is given one.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from psycopg import AsyncConnection, Error, OperationalError, Rollback
from psycopg.pq import Escaping
from psycopg.rows import TupleRow

from shared.roles import TENANTS

log = structlog.get_logger()


class Connection(AsyncConnection[TupleRow]):
    """A connection that remembers whose rows its session sees outside transactions."""

    tenants: str | None = None
    """None: nobody knows."""

    def naming(self, tenants: str) -> bytes:
        return Escaping(self.pgconn).escape_literal(tenants.encode())

    async def turn_to(self, tenants: str) -> None:
        """See these tenants' rows from now on, and nobody else's."""
        if self.tenants == tenants:
            return
        self.tenants = None
        statement = b"SET %s = %s" % (TENANTS.encode(), self.naming(tenants))
        await self.execute(statement, prepare=False)
        self.tenants = tenants


@asynccontextmanager
async def begun(connection: Connection, opening: bytes) -> AsyncIterator[None]:
    """Run a block in the transaction that `opening` begins, as psycopg's own `transaction` does.

    Which sends BEGIN by itself: naming the tenants would be a round trip of its own.
    """
    try:
        await connection.execute(opening, prepare=False)
        yield
    except Rollback as asked:
        await _roll_back(connection)
        if asked.transaction is not None:
            raise
    except BaseException:
        await _roll_back(connection)
        raise
    else:
        await connection.commit()


async def _roll_back(connection: Connection) -> None:
    """What broke the block is told; that its connection is broken too, the pool will see."""
    if connection.closed:
        return
    try:
        await connection.rollback()
    except Error as error:
        log.debug("nothing to roll back any more", error=str(error).strip())


def hang_up(connection: AsyncConnection[TupleRow]) -> None:
    """Shut the socket: who waits for an answer gets an OperationalError at once."""
    log.warning("PostgreSQL says nothing any more: hanging up")
    with (
        suppress(OSError, OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)


async def still_open(connection: AsyncConnection[TupleRow]) -> None:
    """Refuse a connection whose server has gone: its idle socket has something to read, the end.

    Asking the server instead would cost a round trip at every use.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await connection.close()  # else the pool would keep it
        raise OperationalError("the server closed the connection")
