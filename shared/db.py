"""PostgreSQL as the stages use it: a pool, short transactions, timeouts on everything.

`durable=False` commits without waiting for the disk (`synchronous_commit = off`): a crash of
PostgreSQL may forget the last moments, the rows are back in their earlier state, and the sweep
rings again. What an outsider was told must be durable.

Whose rows are there is the database's to decide (migration 0024): a pool acts under a role, and
each transaction names its tenants: `db.of(tenant).transaction()`. One that names none finds no rows
of anybody and writes none. `OperatorDatabase` sees all; only what is built with one can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool

from shared.connections import Connection, begun, hang_up, still_open
from shared.roles import APP, GATE, OPERATOR, TENANTS, Role, tenants_array

Params = Mapping[str, Any]
Row = dict[str, Any]


_LONG_SECONDS = 30.0
_LONG_STATEMENTS = b"; SET LOCAL statement_timeout = 30000"
_SNAPSHOT = b" ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NOBODY = tenants_array(())
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


def _session_settings(
    patience: Patience, name: str, role: Role | None, *, durable: bool, by_key: bool
) -> dict[str, str]:
    settings = {
        "application_name": name,
        "synchronous_commit": "on" if durable else "off",
        "lock_timeout": "5000",
        "statement_timeout": str(int(1_000 * patience.statement_seconds)),
        "idle_in_transaction_session_timeout": "15000",
        "timezone": "UTC",
        TENANTS: _NOBODY,
    }
    if by_key:
        settings |= dict.fromkeys(_WHOLE_TABLE_PLANS, "off")
    if role is not None:
        settings["role"] = role
    return settings


class Database:
    """A pool of connections that all carry the timeouts, the durability and the role asked for."""

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        max_connections: int = 4,
        by_key: bool = False,
        patience: Patience = Patience(),
        name: str = "memoire",
        role: Role | None = APP,
    ) -> None:
        """A server that says nothing for longer than any statement may take has gone.

        `by_key`: every statement finds its rows by key, so no plan may read a whole table.
        `role`: whom the connections act as; None: as who logs in, where there are no roles.

        Statements are planned while tables are small and kept; without this a stage that starts on
        an empty database reads all of it for every batch until statistics are gathered.
        """
        self._settings = _session_settings(patience, name, role, durable=durable, by_key=by_key)
        self.role = role
        self._silence_seconds = patience.in_all_seconds
        self._wait_seconds = patience.wait_seconds
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            min_size=1,
            max_size=max_connections,
            open=False,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(2, round(patience.wait_seconds)),  # libpq takes 1 for 2
                "tcp_user_timeout": int(1_000 * self._silence_seconds),
            },
            check=still_open,
            reconnect_timeout=2,  # then the next request tries: never minutes after an outage
            name=name,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    def of(self, *tenants: str) -> Reach:
        """Reach the rows of these tenants, and of nobody where none is named.

        Under another role than `APP` naming makes no difference: that role sees what it sees.
        """
        return Reach(self, tenants_array(tenants) if self.role == APP else None)

    @asynccontextmanager
    async def gate(self, wait_seconds: float | None = None) -> AsyncIterator[Transaction]:
        """Run a transaction in which every tenant's keys, limits and counts are there: only those.

        For what must be known before a tenant is.
        """
        role = GATE if self.role == APP else None
        opening = b"BEGIN" if role is None else b"BEGIN; SET LOCAL ROLE " + role.encode()
        async with self.connected(wait_seconds) as connection, begun(connection, opening):
            yield Transaction(connection, role)

    async def _configure(self, connection: Connection) -> None:
        settings = sql.SQL("; ").join(
            sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in self._settings.items()
        )
        async with self._watched(connection, self._silence_seconds):
            await connection.execute(settings)
            await register_vector_async(connection)
        connection.tenants = _NOBODY

    @asynccontextmanager
    async def _watched(self, connection: Connection, seconds: float) -> AsyncIterator[None]:
        """Hang up when a block takes longer than the server's own timeouts allow.

        They end what is slow; only a network that swallows everything, or a server that was
        stopped, outlasts them, and then nothing else would ever wake who waits.
        """
        watch = asyncio.get_running_loop().call_later(seconds, hang_up, connection)
        try:
            yield
        finally:
            watch.cancel()

    @asynccontextmanager
    async def connected(self, wait_seconds: float | None = None) -> AsyncIterator[Connection]:
        """A connection for a block that is watched; waiting for it is part of its time.

        For this module: it sees whomever it saw last. Raises psycopg.OperationalError (PoolTimeout)
        when none comes in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._silence_seconds
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        async with (
            self._pool.connection(wait) as connection,
            self._watched(connection, max(0.0, deadline - loop.time())),
        ):
            yield connection

    @asynccontextmanager
    async def long_connected(self) -> AsyncIterator[Connection]:
        """The same for what may take half a minute; a server that is silent from the start is not
        waited for so long.
        """
        async with self._pool.connection(self._wait_seconds) as connection:
            async with self._watched(connection, self._silence_seconds):
                await connection.execute("SELECT 1")
            async with self._watched(connection, _LONG_SECONDS + self._wait_seconds):
                yield connection


class Reach:
    """What of a database may be reached: the rows of some tenants. Where transactions begin."""

    def __init__(self, db: Database, tenants: str | None) -> None:
        """`tenants`: as `tenants_array` writes them; None: the pool's role sees what it sees."""
        self._db = db
        self._tenants = tenants

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run a block in one transaction: it commits whole or not at all.

        Raises psycopg.OperationalError (PoolTimeout) when no connection comes in time.
        """
        async with (
            self._db.connected() as connection,
            begun(connection, self._opening(connection)),
        ):
            yield Transaction(connection, self._db.role)

    @asynccontextmanager
    async def long_transaction(self) -> AsyncIterator[Transaction]:
        """The same for what may take half a minute."""
        async with (
            self._db.long_connected() as connection,
            begun(connection, self._opening(connection) + _LONG_STATEMENTS),
        ):
            yield Transaction(connection, self._db.role)

    @asynccontextmanager
    async def snapshot(self, *, long: bool = False) -> AsyncIterator[Transaction]:
        """Run a block in which everything is read as of one moment, and nothing is written.

        `long`: it may take half a minute.
        """
        connected = self._db.long_connected() if long else self._db.connected()
        async with connected as connection:
            opening = self._opening(connection, _SNAPSHOT) + (_LONG_STATEMENTS if long else b"")
            async with begun(connection, opening):
                yield Transaction(connection, self._db.role)

    @asynccontextmanager
    async def autocommit(self, wait_seconds: float | None = None) -> AsyncIterator[Transaction]:
        """Run statements that each are a transaction: one round trip instead of three.

        Whose rows they reach is set for the session, and only where it was somebody else's: nobody
        is given a connection of this pool without naming whose.
        """
        async with self._db.connected(wait_seconds) as connection:
            if self._tenants is not None:
                await connection.turn_to(self._tenants)
            yield Transaction(connection, self._db.role)

    def _opening(self, connection: Connection, mode: bytes = b"") -> bytes:
        """Begin and name the tenants in one message: no round trip more than beginning alone."""
        if self._tenants is None:
            return b"BEGIN" + mode
        named = connection.naming(self._tenants)
        return b"BEGIN%s; SET LOCAL %s = %s" % (mode, TENANTS.encode(), named)


class OperatorDatabase(Database, Reach):
    """Every tenant's rows, for sweeps, maintenance and commands; no request has one."""

    def __init__(self, url: str, *, role: Role | None = OPERATOR, **options: Any) -> None:
        Database.__init__(self, url, role=role, **options)
        Reach.__init__(self, self, None)


class Transaction:
    """What a store may do while its transaction lives."""

    def __init__(self, connection: AsyncConnection[TupleRow], role: Role | None = None) -> None:
        self.connection = connection
        self._role = role

    @asynccontextmanager
    async def at_gate(self) -> AsyncIterator[None]:
        """Within a transaction, read for a moment what every tenant's limits are."""
        if self._role != APP:
            yield
            return
        if self.connection.info.transaction_status is TransactionStatus.IDLE:
            raise RuntimeError("statements that each commit have no way back from the gate")
        await self.connection.execute(b"SET LOCAL ROLE " + GATE.encode())
        yield
        await self.connection.execute(b"SET LOCAL ROLE " + APP.encode())

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
