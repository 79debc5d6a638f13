"""A model server over real HTTP: chat and embeddings, answered from the text alone, with faults.

Written on plain streams, since half of its faults are answers no framework would send. Every
complete chat answer is counted: somebody would have paid for it.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tests.chaos.world import POISON, facts_of

Fault = Literal[
    "429", "429_retry_after", "quota", "500", "503", "529", "refused", "timeout", "drip", "cut",
    "invalid_json", "refusal", "huge",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = Fault.__args__  # type: ignore[attr-defined]
DIMENSIONS = 32
_HUGE_BYTES = 10 * 1024 * 1024
_REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Provider:
    """Where it listens, what it does wrong just now, and what it was paid for."""

    delay_seconds: float = 0.0
    embedding_delay_seconds: float = 0.0
    fault: Fault | None = None
    calls: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """Complete answers by message id."""
    paid_calls: int = 0
    under_way: int = 0
    url: str = ""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read_request(reader):
                path, body = request
                if not await self._answer(path, body, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _answer(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection can be used again."""
        if path.endswith("/embeddings"):
            return await self._embeddings(body, writer)
        document = json.loads(body["messages"][1]["content"])
        self.calls += 1
        self.under_way += 1
        try:
            await asyncio.sleep(self.delay_seconds)
            if self.fault and self.fault != "drip":
                return await self._misbehave(self.fault, _completion(document), writer)
            if self.fault == "drip":
                await _drip(writer, _completion(document))
            else:
                await _send(writer, 200, _completion(document))
        finally:
            self.under_way -= 1
        if document.get("task") == "extract" and not _chokes(document):
            self.paid_calls += 1
            self.answered.update(message["id"] for message in document["messages"])
        return True

    async def _embeddings(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self.embedding_delay_seconds)
        if self.fault:
            return await self._misbehave(self.fault, _embedded(body), writer)
        await _send(writer, 200, _embedded(body))
        return True

    async def _misbehave(
        self, fault: Fault, right: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        """Do one thing wrong; returns whether the connection is still in order."""
        match fault:
            case "429" | "500" | "503" | "529":
                await _send(writer, int(fault), _error(None))
            case "429_retry_after":
                await _send(writer, 429, _error("rate_limit_exceeded"), "retry-after: 1\r\n")
            case "quota":
                await _send(writer, 429, _error("insufficient_quota"))
            case "invalid_json":
                await _send_raw(writer, b"{this is not JSON")
            case "huge":
                await _send_raw(writer, b'{"padding": "' + b"x" * _HUGE_BYTES + b'"}')
            case "refusal":
                await _send(writer, 200, _refusal(right))
            case "drip":
                await _drip(writer, right)
            case "cut":
                body = json.dumps(right).encode()
                writer.write(_head(200, len(body)) + body[: len(body) // 2])
                await writer.drain()
                return False
            case "timeout":
                while self.fault == "timeout":
                    await asyncio.sleep(0.1)
                return False
            case "refused":
                writer.transport.abort()
                return False
        return True


# ---- answers


def _chokes(document: Mapping[str, Any]) -> bool:
    return any(POISON in message["content"] for message in document.get("messages", ()))


def _completion(document: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": json.dumps(_reply(document))}
    if _chokes(document):
        message = {"role": "assistant", "content": None, "refusal": "I choke on this"}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def _reply(document: dict[str, Any]) -> dict[str, Any]:
    match document.get("task"):
        case "extract":
            return {
                "facts": [
                    {**fact, "source_message_ids": [message["id"]]}
                    for message in document["messages"]
                    for fact in facts_of(message["content"])
                ]
            }
        case "judge":
            return {
                "verdicts": [
                    {"id": pair["id"], "verdict": "independent", "reason": "unlike"}
                    for pair in document["pairs"]
                ]
            }
    return {}


def _embedded(body: dict[str, Any]) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": vector_of(text)}
        for index, text in enumerate(body["input"])
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def vector_of(text: str) -> list[float]:
    """Numbers drawn from the text: equal for equal texts, far apart for others."""
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    return [round(float(value), 4) for value in rng.standard_normal(DIMENSIONS)]


# ---- HTTP, right and wrong


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return first.split(" ")[1], json.loads(body or b"{}")


def _head(status: int, length: int, extra: str = "") -> bytes:
    reason = _REASONS.get(status, "Fault")
    return (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n{extra}\r\n"
    ).encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, content: Mapping[str, Any], extra: str = ""
) -> None:
    body = json.dumps(content).encode()
    writer.write(_head(status, len(body), extra) + body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, content: Mapping[str, Any]) -> None:
    """Send all of an answer, a little at a time: slower than any byte's timeout notices."""
    body = json.dumps(content).encode()
    writer.write(_head(200, len(body)))
    part = max(1, len(body) // 15)
    for at in range(0, len(body), part):
        writer.write(body[at : at + part])
        await writer.drain()
        await asyncio.sleep(0.1)


async def _send_raw(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_head(200, len(body)) + body)
    await writer.drain()


def _error(code: str | None) -> dict[str, Any]:
    return {"error": {"message": "scripted fault", "code": code, "type": None}}


def _refusal(right: dict[str, Any]) -> dict[str, Any]:
    """A polite no, as a chat model says it; an embedding server has none of its own."""
    if "choices" not in right:
        return right
    refused = {"role": "assistant", "content": None, "refusal": "not today"}
    return {**right, "choices": [{"index": 0, "finish_reason": "stop", "message": refused}]}
