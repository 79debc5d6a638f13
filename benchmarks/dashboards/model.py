"""A model server that can be told to fail, over real HTTP: what is answered is made up.

Run as `python -m benchmarks.dashboards.model PORT`; both models live under /v1. `POST /mood/NAME`
sets how it answers from then on: `well`, `stumbling` (every fourth chat 500), `away` (chat 503),
`blind` (embeddings 503). A message with the word "unreadable" is refused, whatever the mood.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

_CHAT_SECONDS = 0.25
_DIMENSIONS = 384
_UNREADABLE = "unreadable"


def build() -> FastAPI:
    app = FastAPI()
    mood, numbers = ["well"], count()

    @app.post("/mood/{name}")
    async def feel(name: str) -> dict[str, str]:
        mood[0] = name
        return {"mood": name}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> JSONResponse:
        text = (await request.json())["messages"][1]["content"]
        number = next(numbers)
        await asyncio.sleep(_CHAT_SECONDS * (1 + number % 5) / 3)
        if mood[0] == "away":
            return _failure(503)
        if mood[0] == "stumbling" and number % 4 == 0:
            return _failure(500)
        document = json.loads(text)
        return _failure(400) if _refused(document) else _completion(document, number)

    @app.post("/v1/embeddings")
    async def embed(request: Request) -> JSONResponse:
        body = await request.json()
        if mood[0] == "blind":
            return _failure(503)
        data = [
            {"object": "embedding", "index": index, "embedding": _vector(text)}
            for index, text in enumerate(body["input"])
        ]
        words = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": words, "total_tokens": words}
        return JSONResponse(
            {"object": "list", "model": body["model"], "data": data, "usage": usage}
        )

    return app


def _failure(status: int) -> JSONResponse:
    return JSONResponse({"error": {"message": "as it was told", "code": None}}, status)


def _refused(document: dict[str, Any]) -> bool:
    return any(_UNREADABLE in message["content"] for message in document.get("messages", ()))


def _completion(document: dict[str, Any], number: int) -> JSONResponse:
    answer = json.dumps(_answer(document, number))
    used = {"prompt_tokens": 900 + len(str(document)) // 4, "completion_tokens": len(answer) // 4}
    choice = {"index": 0, "finish_reason": "stop"}
    return JSONResponse(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": "made-up",
            "choices": [{**choice, "message": {"role": "assistant", "content": answer}}],
            "usage": {**used, "total_tokens": sum(used.values())},
        }
    )


def _answer(document: dict[str, Any], number: int) -> dict[str, Any]:
    """Each message is a fact; every tenth answer has one more that rests on nothing."""
    if document["task"] == "judge":
        verdicts = ("independent", "duplicate", "refines")
        return {
            "verdicts": [
                {"id": pair["id"], "verdict": verdicts[number % 3], "reason": ""}
                for pair in document["pairs"]
            ]
        }
    facts = [
        {"content": message["content"], "source_message_ids": [message["id"]]}
        for message in document.get("messages", ())
    ]
    if number % 10 == 0:
        facts.append({"content": "Keeps bees", "source_message_ids": []})
    return {"facts": facts}


def _vector(text: str) -> list[float]:
    """The sum of its words': texts with words in common are near to each other."""
    words = text.lower().split() or [""]
    total = np.sum([_word(word) for word in words], axis=0)
    return [round(float(each), 4) for each in total / np.linalg.norm(total)]


@lru_cache(10_000)
def _word(word: str) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(zlib.crc32(word.encode()))
    return rng.standard_normal(_DIMENSIONS, dtype=np.float32)


if __name__ == "__main__":
    uvicorn.run(build(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
