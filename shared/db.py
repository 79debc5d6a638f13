"""PostgreSQL as the stages use it: a pool, short transactions, timeouts on everything.

`durable=False` commits without waiting for the disk (`synchronous_commit = off`): a crash of
PostgreSQL may forget the last moments, the rows are back in their earlier state, and the sweep
rings again. What an outsider was told must be durable.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection, OperationalError, sql
from psycopg.rows import TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool

log = structlog.get_logger()

Params = Mapping[str, Any]
Row = dict[str, Any]


_LONG_SECONDS = 30.0
_LONG_STATEMENTS = b"SET LOCAL statement_timeout = 30000"
_WHOLE_TABLE_PLANS = ("enable_seqscan", "enable_mergejoin")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long who asks waits for a connection, a statement may take, and a silent server has more.

    Whatever is asked is answered, or is an outage, within the last two together.
    """

    wait_seconds: float = 5.0
    statement_seconds: float = 30.0
    grace_seconds: float = 2.0

    @property
    def in_all_seconds(self) -> float:
        return self.statement_seconds + self.grace_seconds


class Database:
    """A pool of connections that all carry the timeouts and the durability asked for."""

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        max_connections: int = 4,
        by_key: bool = False,
        patience: Patience = Patience(),
        name: str = "memoire",
    ) -> None:
        """A server that says nothing for longer than any statement may take has gone.

        `by_key`: every statement finds its rows by key, so no plan may read a whole table.

        Statements are planned while tables are small and kept; without this a stage that starts on
        an empty database reads all of it for every batch until statistics are gathered.
        """
        self._settings = {
            "application_name": name,
            "synchronous_commit": "on" if durable else "off",
            "lock_timeout": "5000",
            "statement_timeout": str(int(1_000 * patience.statement_seconds)),
            "idle_in_transaction_session_timeout": "15000",
            "timezone": "UTC",
        }
        self._silence_seconds = patience.in_all_seconds
        self._wait_seconds = patience.wait_seconds
        if by_key:
            self._settings |= dict.fromkeys(_WHOLE_TABLE_PLANS, "off")
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=max_connections,
            open=False,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(2, round(patience.wait_seconds)),  # libpq takes 1 for 2
                "tcp_user_timeout": int(1_000 * self._silence_seconds),
            },
            check=_still_open,
            reconnect_timeout=2,  # then the next request tries: never minutes after an outage
            name=name,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def _configure(self, connection: AsyncConnection[TupleRow]) -> None:
        settings = sql.SQL("; ").join(
            sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in self._settings.items()
        )
        async with self._watched(connection, self._silence_seconds):
            await connection.execute(settings)
            await register_vector_async(connection)

    @asynccontextmanager
    async def _watched(
        self, connection: AsyncConnection[TupleRow], seconds: float
    ) -> AsyncIterator[None]:
        """Hang up when a block takes longer than the server's own timeouts allow.

        They end what is slow; only a network that swallows everything, or a server that was
        stopped, outlasts them, and then nothing else would ever wake who waits.
        """
        watch = asyncio.get_running_loop().call_later(seconds, _hang_up, connection)
        try:
            yield
        finally:
            watch.cancel()

    @asynccontextmanager
    async def _connected(self, wait_seconds: float) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A connection for a block that is watched; waiting for it is part of its time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._silence_seconds
        async with (
            self._pool.connection(wait_seconds) as connection,
            self._watched(connection, max(0.0, deadline - loop.time())),
        ):
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run a block in one transaction: it commits whole or not at all.

        Raises psycopg.OperationalError (PoolTimeout) when no connection comes in time.
        """
        async with self._connected(self._wait_seconds) as connection, connection.transaction():
            yield Transaction(connection)

    @asynccontextmanager
    async def long_transaction(self) -> AsyncIterator[Transaction]:
        """The same for what may take half a minute; a server that is silent from the start is not
        waited for so long.
        """
        async with self._pool.connection(self._wait_seconds) as connection:
            async with self._watched(connection, self._silence_seconds):
                await connection.execute("SELECT 1")
            async with (
                self._watched(connection, _LONG_SECONDS + self._wait_seconds),
                connection.transaction(),
            ):
                await connection.execute(_LONG_STATEMENTS)
                yield Transaction(connection)

    @asynccontextmanager
    async def snapshot(self, *, long: bool = False) -> AsyncIterator[Transaction]:
        """Run a block in which everything is read as of one moment, and nothing is written.

        `long`: it may take half a minute.
        """
        async with self.long_transaction() if long else self.transaction() as tx:
            await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield tx

    @asynccontextmanager
    async def autocommit(self, wait_seconds: float | None = None) -> AsyncIterator[Transaction]:
        """Run statements that each are a transaction: one round trip instead of three."""
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        async with self._connected(wait) as connection:
            yield Transaction(connection)


def _hang_up(connection: AsyncConnection[TupleRow]) -> None:
    """Shut the socket: who waits for an answer gets an OperationalError at once."""
    log.warning("PostgreSQL says nothing any more: hanging up")
    with (
        suppress(OSError, OperationalError),
        socket.socket(fileno=os.dup(connection.fileno())) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)


async def _still_open(connection: AsyncConnection[TupleRow]) -> None:
    """Refuse a connection whose server has gone: its idle socket has something to read, the end.

    Asking the server instead would cost a round trip at every use.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await connection.close()  # else the pool would keep it
        raise OperationalError("the server closed the connection")


class Transaction:
    """What a store may do while its transaction lives."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self.connection = connection

    async def rows(
        self, statement: str, params: Params | None = None, *, binary: bool = False
    ) -> list[Row]:
        """Fetch all rows; `binary` spares the server writing vectors as text, and us reading it."""
        async with self.connection.cursor(row_factory=dict_row, binary=binary) as cursor:
            await cursor.execute(statement.encode(), params)
            return await cursor.fetchall() if cursor.description else []

    async def row(self, statement: str, params: Params | None = None) -> Row | None:
        found = await self.rows(statement, params)
        return found[0] if found else None

    async def value(self, statement: str, params: Params | None = None) -> Any:
        found = await self.row(statement, params)
        return None if found is None else next(iter(found.values()))

    async def execute(self, statement: str, params: Params | None = None) -> int:
        """Execute and return how many rows were touched."""
        cursor = await self.connection.execute(statement.encode(), params)
        return cursor.rowcount
