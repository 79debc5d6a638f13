"""An OpenAI-compatible embedding server on a real socket, with faults by script.

A text's vector is made from its own bytes, so a test can tell whose vector came back.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

Fault = Callable[[dict[str, Any]], Response]


@dataclass
class EmbeddingServer:
    """What the server does next and what it was asked so far."""

    dimensions: int = 8
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""

    def vector(self, text: str, dimensions: int | None = None) -> list[float]:
        """The raw vector of a text, not of length 1."""
        digest = hashlib.sha256(text.encode()).digest()
        return [digest[i % 32] + 1.0 for i in range(dimensions or self.dimensions)]

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The well-formed answer, listed in reverse: order is in `index`."""
        rows = [
            {"object": "embedding", "index": i, "embedding": self.vector(t, body.get("dimensions"))}
            for i, t in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "model": body["model"], "data": rows[::-1], "usage": usage}

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/embeddings")
        async def embeddings(request: Request) -> Response:
            body = await request.json()
            self.requests.append(body)
            self.keys.append(request.headers.get("authorization", ""))
            return self.faults.pop(0)(body) if self.faults else JSONResponse(self.answer(body))

        return app


def failure(status: int, code: str | None = None, **headers: str) -> Fault:
    """An OpenAI-style error answer; header names are written with underscores."""
    error = {"message": f"scripted {status}", "type": None, "param": None, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _body: JSONResponse({"error": error}, status, named)


def vectors(*rows: Any) -> Fault:
    """A well-formed answer with these embeddings, whatever was asked."""
    data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
    body = {"object": "list", "model": "m", "data": data}
    return lambda _body: JSONResponse({**body, "usage": {"prompt_tokens": 1, "total_tokens": 1}})


@asynccontextmanager
async def running(server: EmbeddingServer) -> AsyncIterator[EmbeddingServer]:
    """Serve on a free port of localhost until the block ends."""
    config = uvicorn.Config(server.application(), port=0, log_level="error", lifespan="off")
    runner = uvicorn.Server(config)
    listener = config.bind_socket()
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    task = asyncio.create_task(runner.serve(sockets=[listener]))
    try:
        yield server
    finally:
        runner.should_exit = True
        await task
