"""One request to a chat server: its body, read up to a bound, and what the completion says.

Servers put the answer into `content`, as text or as parts, into a tool call, or beside it into
their reasoning. Nothing here decides what an answer means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import PoisonError, RetryableError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_BODY_BYTES = 1_048_576
"""A thousand facts take 0.4 MB; whoever writes more has lost the thread, and is cut."""

_UNREAD = {"X-Stainless-Raw-Response": "stream"}  # the client then leaves the body to us
_REASONING = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote, the tokens it cost (input, output), and whether a limit cut it."""

    text: str
    tokens: tuple[int, int]
    cut: bool = False
    counted: bool = True
    """Whether the server said what it cost."""


async def read_body(client: AsyncOpenAI, body: Mapping[str, Any]) -> tuple[str, bool]:
    """Ask, and read the answer up to the bound; tells whether that was all of it.

    The client's typed call walks through every turn twice, half a millisecond a call, and reads
    whatever comes.
    """
    response: Any = await client.post(
        "/chat/completions", cast_to=object, body=body, options={"headers": _UNREAD}
    )
    read = bytearray()
    try:
        async for chunk in response.iter_bytes(65_536):
            read += chunk
            if len(read) > MAX_BODY_BYTES:
                break
    finally:
        await response.close()
    whole = len(read) <= MAX_BODY_BYTES
    return bytes(read[:MAX_BODY_BYTES]).decode("utf-8", "replace"), whole


def read_completion(body: str) -> Completion:
    """Read a completion; raises RetryableError for what is none, PoisonError for a refusal."""
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
        cut = choice.get("finish_reason") in ("length", "max_tokens")
        text = _joined(message.get("content")) if cut else _text(message)
        refusal = message.get("refusal")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        said = " ".join(body.split())[:200]
        raise RetryableError(f"the model server's answer makes no sense: {said!r}") from error
    if refusal:
        raise PoisonError(f"the model refused: {str(refusal)[:300]}")
    if choice.get("finish_reason") == "content_filter":
        raise PoisonError("the server's content filter withheld the answer")
    usage = completion.get("usage")
    return Completion(text, _tokens(usage), cut=cut, counted=_is_usage(usage))


def tokens_of(body: str) -> tuple[int, int] | None:
    """The tokens of an answer that could not be used; None where it does not say."""
    try:
        usage = json.loads(body).get("usage")
    except (ValueError, AttributeError, RecursionError):
        return None
    return _tokens(usage) if _is_usage(usage) else None


def _text(message: Mapping[str, Any]) -> str:
    """The answer, wherever this server puts it."""
    text = _joined(message.get("content"))
    if text.strip():
        return text
    for call in message.get("tool_calls") or ():
        if isinstance(arguments := call["function"]["arguments"], str):
            return arguments
    return next((said for key in _REASONING if (said := _joined(message.get(key)))), text)


def _joined(content: Any) -> str:
    """Text as it is, or joined from parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _is_usage(usage: Any) -> bool:
    return isinstance(usage, Mapping) and isinstance(usage.get("prompt_tokens"), int | float)


def _tokens(usage: Any) -> tuple[int, int]:
    """Input and output tokens; a server that counts none is free."""
    counted = usage if isinstance(usage, Mapping) else {}
    counts = [counted.get(name) for name in ("prompt_tokens", "completion_tokens")]
    read = [
        min(max(int(n), 0), 2_147_483_647) if isinstance(n, int | float) and n == n else 0  # noqa: PLR0124
        for n in counts
    ]
    return read[0], read[1]
