"""TLS before the two embedded servers, which speak none: for tests of URLs that ask for it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
_SSL_REQUEST = (80877103).to_bytes(4, "big")


def make_authority(folder: Path) -> Path:
    """A certificate for localhost that is its own authority; its key lies beside it."""
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.crt"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return folder / "ca.crt"


@asynccontextmanager
async def tls_before(authority: Path, upstream: Upstream, *, postgres: bool) -> AsyncIterator[int]:
    """Serve a port of localhost over TLS, as PostgreSQL (asked first) or Redis (at once) do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.parent / "key.pem")
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            if not postgres or await _asked_for_tls(reader, writer, context):
                await _join(reader, writer, *await upstream())
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever tests hears of it from their own client
        finally:
            writer.close()
            connections.discard(task)

    at_once = None if postgres else context
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=at_once)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _asked_for_tls(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
) -> bool:
    """PostgreSQL's opening: who asks for anything but TLS is refused it, or cut off."""
    for _ in range(2):
        request = await reader.readexactly(8)
        if request[4:] == _SSL_REQUEST:
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            return True
        writer.write(b"N")
        await writer.drain()
    return False


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    their_reader: asyncio.StreamReader,
    their_writer: asyncio.StreamWriter,
) -> None:
    """Pass on whatever comes, until either side ends."""
    ways = [
        asyncio.create_task(_pass_on(reader, their_writer)),
        asyncio.create_task(_pass_on(their_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        their_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
        await writer.drain()
