"""An OpenAI-compatible chat server over real HTTP, scripted: answers and faults by function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

Document = dict[str, Any]
Script = Callable[[Document], "Reply | dict[str, Any] | str | Awaitable[Any]"]


@dataclass
class Reply:
    """What the server answers besides a plain completion."""

    content: str = ""
    status: int = 200
    finish_reason: str = "stop"
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    """The whole message, where it is not just a text."""
    usage: Any = field(default_factory=lambda: dict(_USAGE))
    body: bytes | None = None
    """The whole body, where it is not even a completion."""


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@dataclass
class ChatServer:
    """Where it is, what it was asked, and how it answers."""

    url: str
    script: Script
    documents: list[Document] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)


@asynccontextmanager
async def chat_server(script: Script, port: int = 0) -> AsyncIterator[ChatServer]:
    """Serve `script` on a port, by default a free one, until the block ends."""
    app = FastAPI()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    state = ChatServer("", script)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        document = json.loads(body["messages"][1]["content"])
        state.requests.append(body)
        state.documents.append(document)
        state.formats.append(body.get("response_format", {}).get("type", "plain"))
        answered = state.script({**document, "_request": body})
        if asyncio.iscoroutine(answered):
            answered = await answered
        return _response(answered)

    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    state.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield state
    finally:
        server.should_exit = True
        await serving


def _response(answered: Any) -> Response:
    if isinstance(answered, dict):
        answered = Reply(json.dumps(answered))
    if isinstance(answered, str):
        answered = Reply(answered)
    if answered.status != 200:
        error = answered.error or {"message": "scripted fault", "code": None, "type": None}
        return JSONResponse({"error": error}, answered.status, headers=answered.headers)
    if answered.body is not None:
        return Response(answered.body, media_type="application/json", headers=answered.headers)
    return JSONResponse(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 0,
            "model": "fake",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": answered.finish_reason,
                    "message": answered.message
                    or {"role": "assistant", "content": answered.content},
                }
            ],
            "usage": answered.usage,
        },
        headers=answered.headers,
    )


def one_fact_each(document: Document) -> dict[str, Any]:
    """Answer one free-text fact per message: the message itself."""
    return {
        "facts": [
            {"content": message["content"], "source_message_ids": [message["id"]]}
            for message in document["messages"]
        ]
    }
