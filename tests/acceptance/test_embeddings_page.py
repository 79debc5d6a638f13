"""The commands of the page about embeddings work as they stand there, on a running instance."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.test_readme import run_blocks
from tests.fakes.embedding_server import EmbeddingServer, running

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

PAGE = Path(__file__).parents[2] / "docs" / "embeddings.md"
EXAMPLE_URL = "http://127.0.0.1:8081/v1"


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """A model server in a thread of its own: commands are waited for meanwhile."""
    started = threading.Event()
    server = EmbeddingServer(dimensions=16)
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with running(server):
            started.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)


def test_the_pages_commands_run(tmp_path: Path) -> None:
    """To another model and back, while the instance runs, which finds the fact in between."""
    with embedding_server() as server:
        page = tmp_path / "page.md"
        page.write_text(PAGE.read_text().replace(EXAMPLE_URL, server.url))
        said = run_blocks(page, tmp_path)
        asked = [text for body in server.requests for text in body["input"]]
    assert "bge-m3 (16 dimensions): 1 facts" in said
    assert "bge-m3 is active now" in said
    assert "cello" in said
    assert "all-MiniLM-L6-v2-int8 is active now" in said
    assert '"state": "retired"' in said
    assert asked.count("I play the cello in an orchestra") <= 1
