"""A chat model behind any OpenAI-compatible server.

Every request is a system turn and one user turn that is one JSON document, without its secrets. The
best answer format the server takes is found once and remembered: `json_schema`, `json_object` with
the schema, `json_object`, then none. How an answer is read is `shared.answers`; when the server may
be asked is `shared.gate`; what a request costs is told to `shared.spending`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from shared.answers import Shape, complete_items, read_object, text_of_cut_body
from shared.breaker import Breaker
from shared.completions import Completion, read_body, read_completion, tokens_of
from shared.errors import AwayError, MemoireError, NotNowError, PoisonError, RetryableError
from shared.gate import Gate
from shared.providers import classify, host_of
from shared.redaction import redact_all
from shared.spending.books import Asked
from shared.spending.prices import Tokens
from shared.spending.till import Till

log = structlog.get_logger()

_FORMATS = ("json_schema", "json_object with schema", "json_object", "plain")
_FORMAT_REFUSALS = (400, 415, 422, 501)
_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "schema")
_STUMBLES = 3  # after so many times a server that falls over a format is taken at its word
_REPAIRED_CHARACTERS = 20_000
_CAP_NAMES = ("max_tokens", "max_completion_tokens")  # newer models of OpenAI take only the second
_LONGEST_CONNECT_SECONDS = 5.0
MAX_OUTPUT_TOKENS = 4_096


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to one document, and what it cost."""

    content: dict[str, Any]
    model: str
    input_tokens: int
    output_tokens: int


class CutAnswerError(PoisonError):
    """A token limit cut the answer: ask for less. `complete` has what was written to its end."""

    def __init__(self, complete: Answer) -> None:
        super().__init__("the model's answer was cut by its token limit")
        self.complete = complete


class ChatModel:
    """One model of one server. Raises the three kinds of error of `shared.errors`."""

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        model: str,
        timeout_seconds: float,
        gate: Gate | None = None,
        till: Till | None = None,
        max_output_tokens: int = MAX_OUTPUT_TOKENS,
    ) -> None:
        """`max_output_tokens` is asked for only where a tenant has a budget."""
        from openai import AsyncOpenAI, Timeout  # noqa: PLC0415  0.7 s, paid only where a model is used

        self.model = model
        asked = Asked("extraction", host_of(base_url), model)
        self._gate = gate or Gate(Breaker(), asked)
        self._till = till or Till(asked)
        self._max_output_tokens = max_output_tokens
        self._cap_name = _CAP_NAMES[0]
        self._timeout_seconds = timeout_seconds
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            timeout=Timeout(
                timeout_seconds, connect=min(timeout_seconds, _LONGEST_CONNECT_SECONDS)
            ),
            max_retries=0,  # the pipeline retries, visibly
        )
        self._format = 0
        self._format_found = False
        self._stumbles = 0

    def wait_seconds(self, payer: str | None = None) -> float:
        """How long nobody may ask, or nobody for this tenant; 0 where one may."""
        spent = self._till.wait_seconds(payer) if payer is not None else 0.0
        return max(self._gate.wait_seconds(), spent)

    def spent(self) -> list[str]:
        """The tenants whose budget of today is spent."""
        return self._till.spent()

    async def ask(
        self,
        system: str,
        document: Mapping[str, Any],
        schema: Mapping[str, Any],
        *,
        payer: str = "default",
    ) -> Answer:
        """Ask once, and once more to repair an answer that is not what was asked for.

        `payer` is the tenant it is asked for. Raises CutAnswerError when a token limit cut the
        answer; PoisonError when it is none; NotNowError where it may not be asked now.
        """
        shape = Shape.of(schema)
        shown = json.dumps(redact_all(document), ensure_ascii=False)
        turns = [{"role": "system", "content": system}, {"role": "user", "content": shown}]
        async with self._gate.passing():
            first = await self._complete(turns, schema, payer)
        try:
            return self._answer(first, shape)
        except CutAnswerError:
            raise
        except PoisonError as error:
            repair = [*turns, *_repair(first.text, error)]
            async with self._gate.passing():
                second = await self._complete(repair, schema, payer)
            return self._answer(replace(second, tokens=_sum(first.tokens, second.tokens)), shape)

    async def close(self) -> None:
        await self._client.close()

    def _answer(self, completion: Completion, shape: Shape) -> Answer:
        try:
            content = read_object(completion.text, shape, cut=completion.cut)
        except PoisonError as error:
            if not completion.cut:
                raise
            items = complete_items(completion.text, shape)
            complete = {shape.wanted: items} if shape.wanted and items else {}
            raise CutAnswerError(Answer(complete, self.model, *completion.tokens)) from error
        return Answer(content, self.model, *completion.tokens)

    # ---- the format

    async def _complete(
        self, turns: list[dict[str, str]], schema: Mapping[str, Any], payer: str
    ) -> Completion:
        """Complete in the best format the server takes."""
        refusal: MemoireError | None = None
        stumbled = False
        for index in range(self._format, len(_FORMATS)):
            try:
                body = self._body(turns, _FORMATS[index], schema)
                completion = await self._capped(body, payer)
            except NotNowError:
                raise
            except Exception as error:
                failure = classify(error)
                status = getattr(error, "status_code", None)
                away = isinstance(failure, AwayError)
                if away or not self._may_be_the_format(status, str(error)):
                    raise failure from error
                refusal = refusal or failure
                stumbled = stumbled or status == 500
                continue
            self._remember(index, stumbled=stumbled)
            return completion
        assert refusal is not None
        raise refusal

    def _may_be_the_format(self, status: int | None, said: str) -> bool:
        """Say whether a lesser format is worth a try; once one is found only if it is named."""
        if self._format_found:
            return status in _FORMAT_REFUSALS and any(word in said for word in _FORMAT_WORDS)
        return status in _FORMAT_REFUSALS or status == 500

    def _remember(self, index: int, *, stumbled: bool) -> None:
        """Keep to this format from now on; one stumble alone says nothing about formats."""
        self._stumbles = self._stumbles + 1 if stumbled else 0
        if self._format_found and index == self._format:
            return
        if not stumbled or self._stumbles >= _STUMBLES:
            self._format, self._format_found = index, True
            log.info("the model's answer format was found", format=_FORMATS[index])

    def _body(
        self, turns: list[dict[str, str]], answer_format: str, schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": turns}
        if (asked := response_format(answer_format, schema)) is not None:
            body["response_format"] = asked
        return body

    # ---- the request

    async def _capped(self, body: dict[str, Any], payer: str) -> Completion:
        """Ask; where the tenant has a budget with a bound of the cost, under the name it takes."""
        if not await self._till.must_reserve([payer]):
            return await self._request(body, payer)
        try:
            return await self._request(body, payer, self._cap_name)
        except Exception as error:
            other = _CAP_NAMES[1 - _CAP_NAMES.index(self._cap_name)]
            refused = getattr(error, "status_code", None) in _FORMAT_REFUSALS
            if not (refused and self._cap_name in str(error)):
                raise
            completion = await self._request(body, payer, other)
            self._cap_name = other
            return completion

    async def _request(
        self, body: dict[str, Any], payer: str, cap_name: str | None = None
    ) -> Completion:
        most: Tokens | None = None
        if cap_name is not None:
            body = {**body, cap_name: self._max_output_tokens}
            # No tokenizer makes more tokens than bytes.
            sent = len(json.dumps(body, ensure_ascii=False).encode())
            most = Tokens(sent, self._max_output_tokens)
        async with self._till.paying({payer: 1}, most) as bill:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    text, whole = await read_body(self._client, body)
            except TimeoutError as error:  # a server that answers drop by drop
                raise RetryableError("the model server did not answer in time") from error
            if not whole:
                return Completion(text_of_cut_body(text), (0, 0), cut=True, counted=False)
            try:
                completion = read_completion(text)
            except MemoireError:
                if (tokens := tokens_of(text)) is not None:
                    bill.tokens = Tokens(*tokens)
                raise
            if completion.counted:
                bill.tokens = Tokens(*completion.tokens)
            return completion


def response_format(answer_format: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    match answer_format:
        case "json_schema":
            named = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
            return {"type": "json_schema", "json_schema": named}
        case "json_object with schema":
            return {"type": "json_object", "schema": schema}
        case "json_object":
            return {"type": "json_object"}
    return None


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes it: objects closed, and all their properties required."""
    if isinstance(schema, list):
        return all(is_strict(each) for each in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
        return all(is_strict(each) for each in properties.values())
    return all(is_strict(value) for value in schema.values())


def _repair(answer: str, error: PoisonError) -> list[dict[str, str]]:
    task = {"task": "repair", "error": str(error), "answer": "one JSON object, no prose"}
    return [
        {"role": "assistant", "content": answer[:_REPAIRED_CHARACTERS] or "(nothing)"},
        {"role": "user", "content": json.dumps(task)},
    ]


def _sum(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]
