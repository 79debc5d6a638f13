"""A TCP proxy between the processes and one server: cut, half-open, slow, reset.

Faults act on the connections that are there and on those that come while they last; `heal` ends
them. A connection that was made half-open stays so, as a lost peer would: it must be given up.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: closing sends RST


def tcp(host: str, port: int) -> Connect:
    return lambda: asyncio.open_connection(host, port)


def unix(path: str) -> Connect:
    return lambda: asyncio.open_unix_connection(path)


class Link:
    """One client's connection and the server's end of it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.silent = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on until either end closes; swallow them while silent."""
        while data := await reader.read(_CHUNK):
            if self.proxy.delay_seconds:
                await asyncio.sleep(self.proxy.delay_seconds)
            if self.silent:
                continue
            writer.write(data)
            await writer.drain()

    def end(self, *, reset: bool = False) -> None:
        for writer in (self.client, self.server):
            if writer is None:
                continue
            if reset:
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
                writer.transport.abort()
            writer.close()


class Proxy:
    """Listens on a port of its own and connects each client to the server."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._swallowing = False
        self.delay_seconds = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self, writer)
        link.silent = self._swallowing
        if self._refusing:
            link.end(reset=True)
            return
        self._links.add(link)
        try:
            server_reader, link.server = await self._connect()
            ways = [
                asyncio.create_task(link.carry(reader, link.server)),
                asyncio.create_task(link.carry(server_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:  # the server is away: so is the connection
            pass
        finally:
            self._links.discard(link)
            link.end()

    # ---- faults

    def cut(self) -> None:
        """Close every connection, and refuse new ones until healed."""
        self._refusing = True
        for link in list(self._links):
            link.end()

    def reset(self, rng: random.Random) -> int:
        """Send RST on about half of the connections."""
        chosen = [link for link in list(self._links) if rng.random() < 0.5]
        for link in chosen:
            link.end(reset=True)
        return len(chosen)

    def half_open(self, rng: random.Random, share: float = 0.5) -> None:
        """Swallow everything on some connections, for good, and on new ones until healed."""
        self._swallowing = True
        for link in list(self._links):
            link.silent = link.silent or rng.random() < share

    def slow(self, seconds: float) -> None:
        """Hold every piece of data back."""
        self.delay_seconds = seconds

    def heal(self) -> None:
        self._refusing = self._swallowing = False
        self.delay_seconds = 0.0
