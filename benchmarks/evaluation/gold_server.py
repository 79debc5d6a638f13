"""The gold answers behind a real OpenAI-compatible HTTP server, in a thread of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import uvicorn

from benchmarks.evaluation.gold import Asked, Script
from benchmarks.instance import free_port, wait_for


class Answers(Protocol):
    """What a model answers to a request."""

    def answer(self, document: Mapping[str, Any]) -> dict[str, Any]: ...


class GoldServer:
    """Answers from `script`; an evaluation puts in its own and starts counting again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: Answers = Script()
        self.asked = Asked()

    def play(self, script: Script) -> Asked:
        """Answer from this script from now on; returns what will be asked."""
        self.script, self.asked = script, Asked()
        return self.asked

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        del scope  # every path answers as /v1/chat/completions
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        try:
            status, answer = 200, self._complete(json.loads(body))
        except (KeyError, ValueError, IndexError) as error:
            status, answer = 400, {"error": {"message": f"not understood: {error!r}"}}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        turns = body["messages"]
        document = json.loads(turns[1]["content"])
        content = json.dumps(self.script.answer(document), ensure_ascii=False)
        received = sum(len(turn["content"].encode()) for turn in turns)
        answered = len(content.encode())
        self.asked.note(document, received, answered)
        message = {"role": "assistant", "content": content}
        return {
            "id": "gold",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": received // 4,
                "completion_tokens": answered // 4,
                "total_tokens": (received + answered) // 4,
            },
        }


@contextmanager
def serving() -> Iterator[GoldServer]:
    """Serve until the block ends."""
    port = free_port()
    gold = GoldServer(f"http://127.0.0.1:{port}/v1")
    config = uvicorn.Config(
        gold, host="127.0.0.1", port=port, log_level="error", lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, 20, "the gold model")
        yield gold
    finally:
        server.should_exit = True
        thread.join(10)
