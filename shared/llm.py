"""A chat model behind any OpenAI-compatible server.

Every request is a system turn and one user turn that is one JSON document. The best answer format
the server takes is found once and remembered: `json_schema`, then `json_object`, then none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import MemoireError, PoisonError, RetryableError
from shared.providers import classify

_FORMATS = ("json_schema", "json_object", "plain")
_FORMAT_REFUSALS = (400, 415, 422)
_EARLY_FORMAT_REFUSALS = (*_FORMAT_REFUSALS, 500, 501)  # some servers fall over a schema
_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "schema")
_MAX_ANSWER_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to one document, and what it cost."""

    content: dict[str, Any]
    model: str
    input_tokens: int
    output_tokens: int


class ChatModel:
    """One model of one server. Raises the three kinds of error of `shared.errors`."""

    def __init__(
        self, *, base_url: str | None, api_key: str | None, model: str, timeout_seconds: float
    ) -> None:
        from openai import AsyncOpenAI  # noqa: PLC0415  0.7 s, paid only where a model is used

        self.model = model
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            timeout=timeout_seconds,
            max_retries=0,  # the pipeline retries, visibly
        )
        self._format = 0
        self._format_found = False

    async def ask(
        self, system: str, document: Mapping[str, Any], schema: Mapping[str, Any]
    ) -> Answer:
        """Ask once, and once more to repair an answer that is not a JSON object."""
        turns = [
            {"role": "system", "content": system},
            {"role": "user", "content": json.dumps(document, ensure_ascii=False)},
        ]
        text, usage = await self._complete(turns, schema)
        spent = [usage]
        try:
            content = read_object(text)
        except PoisonError as error:
            repair = {"task": "repair", "error": str(error), "answer": "one JSON object, no prose"}
            turns += [
                {"role": "assistant", "content": text[:20_000] or "(nothing)"},
                {"role": "user", "content": json.dumps(repair)},
            ]
            text, usage = await self._complete(turns, schema)
            spent.append(usage)
            content = read_object(text)
        return Answer(
            content, self.model, sum(used[0] for used in spent), sum(used[1] for used in spent)
        )

    async def close(self) -> None:
        await self._client.close()

    async def _complete(
        self, turns: list[dict[str, str]], schema: Mapping[str, Any]
    ) -> tuple[str, tuple[int, int]]:
        """Complete in the best format the server takes."""
        refusal: MemoireError | None = None
        passing = False
        for index in range(self._format, len(_FORMATS)):
            try:
                answer = await self._request(turns, _FORMATS[index], schema)
            except Exception as error:
                failure = classify(error)
                status = getattr(error, "status_code", None)
                if not self._may_be_the_format(status, str(error)):
                    raise failure from error
                refusal = refusal or failure
                passing = passing or (status or 0) >= 500
                continue
            if not passing:  # a server that stumbled once has said nothing about formats
                self._format, self._format_found = index, True
            return answer
        assert refusal is not None
        raise refusal

    def _may_be_the_format(self, status: int | None, said: str) -> bool:
        """Say whether a lesser format is worth a try; once one is found only if it is named."""
        if self._format_found:
            return status in _FORMAT_REFUSALS and any(word in said for word in _FORMAT_WORDS)
        return status in _EARLY_FORMAT_REFUSALS

    async def _request(
        self, turns: list[dict[str, str]], answer_format: str, schema: Mapping[str, Any]
    ) -> tuple[str, tuple[int, int]]:
        options: dict[str, Any] = {}
        if answer_format == "json_schema":
            named = {"name": "answer", "schema": schema}
            options["response_format"] = {"type": "json_schema", "json_schema": named}
        elif answer_format == "json_object":
            options["response_format"] = {"type": "json_object"}
        # The client's typed call walks through every turn twice: half a millisecond a call.
        body = {"model": self.model, "messages": turns, **options}
        return _read_completion(
            await self._client.post("/chat/completions", cast_to=object, body=body)
        )


def _read_completion(completion: Any) -> tuple[str, tuple[int, int]]:
    """Read the text and the tokens (input, output); raises PoisonError for an unusable answer."""
    try:
        choice = completion["choices"][0]
        message = choice["message"]
        refusal = message.get("refusal")
        usage = completion.get("usage") or {}
        tokens = (int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RetryableError(f"the model server's answer makes no sense: {error!r}") from error
    if choice.get("finish_reason") == "length":
        raise PoisonError("the model's answer was cut by its token limit")
    if refusal:
        raise PoisonError(f"the model refused: {refusal}")
    return message.get("content") or "", tokens


def read_object(text: str) -> dict[str, Any]:
    """Find the JSON object in an answer, past code fences and reasoning; raises PoisonError."""
    if len(text) > _MAX_ANSWER_CHARACTERS:
        raise PoisonError(f"the answer has {len(text)} characters")
    decoder = json.JSONDecoder()
    start = text.find("{", max(0, text.rfind("</think>")))
    while start != -1:
        try:
            found, _ = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(found, dict):
            return found
        break
    raise PoisonError("the answer holds no JSON object")
