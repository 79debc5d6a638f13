"""Model servers that answer at once, over real HTTP: as cheap as they can be made.

Chat answers every message with two free-text facts, and every pair with "independent"; embeddings
are 384 numbers drawn from the text.
Run as `python -m benchmarks.fakes PORT [DELAY_MS]`; both live under /v1.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from typing import Any

import numpy as np
import uvicorn

DIMENSIONS = 384


def _complete(body: dict[str, Any]) -> dict[str, Any]:
    document = json.loads(body["messages"][1]["content"])
    answer = _judge(document) if document["task"] == "judge" else _extract(document)
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": json.dumps(answer)},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _extract(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "facts": [
            {"content": f"{message['content']} {part}", "source_message_ids": [message["id"]]}
            for message in document["messages"]
            for part in ("first", "second")
        ]
    }


def _judge(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "verdicts": [
            {"id": pair["id"], "verdict": "independent", "reason": ""} for pair in document["pairs"]
        ]
    }


def _embed(body: dict[str, Any]) -> dict[str, Any]:
    texts = body["input"]
    data = []
    for index, text in enumerate(texts):
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        vector = rng.standard_normal(DIMENSIONS, dtype=np.float32)
        rounded = [round(float(value), 4) for value in vector]
        data.append({"object": "embedding", "index": index, "embedding": rounded})
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def build(delay_ms: float) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        answer = _embed if scope["path"].endswith("/embeddings") else _complete
        if delay_ms and answer is _complete:
            await asyncio.sleep(delay_ms / 1000)
        text = json.dumps(answer(json.loads(body))).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return app


if __name__ == "__main__":
    delay = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    uvicorn.run(build(delay), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
