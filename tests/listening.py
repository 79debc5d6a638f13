"""A gateway behind a real socket, in the process of its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from services.gateway.connection import impatient


@asynccontextmanager
async def listening(
    app: Any, *, client_seconds: float = 30.0, most_head: int = 32_768
) -> AsyncIterator[int]:
    """Serve until the block ends, as patient with clients as it is told; gives the port."""
    http = impatient(client_seconds, most_head)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", http=http, lifespan="off")
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving
