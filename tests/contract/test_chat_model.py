"""The chat model against a scripted server over real HTTP: every dialect, every fault."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from services.extractor.answer_schema import ANSWER_SCHEMA
from shared.completions import MAX_BODY_BYTES
from shared.errors import ConfigurationError, MemoireError, PoisonError, RetryableError
from shared.llm import Answer, ChatModel, CutAnswerError, is_strict
from tests.fakes.chat_server import Reply, chat_server

FACT = {"content": "Lives in Oslo", "source_message_ids": ["1"]}
GOOD = json.dumps({"facts": [FACT]})
DOCUMENT = {
    "task": "extract",
    "messages": [{"id": "1", "role": "user", "content": "I live in Oslo"}],
}


async def ask(
    script: Callable[[dict[str, Any]], Any], times: int = 1, **document: Any
) -> tuple[Any, Any]:
    """Ask a server that answers by this script; returns the last answer or error, and the server."""
    async with chat_server(script) as server:
        model = ChatModel(base_url=server.url, api_key="k", model="fake", timeout_seconds=5)
        outcome: Any = None
        for _ in range(times):
            try:
                outcome = await model.ask(
                    "Answer in JSON.", {**DOCUMENT, **document}, ANSWER_SCHEMA
                )
            except MemoireError as error:
                outcome = error
        await model.close()
        return outcome, server


def wanted(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["_request"].get("response_format") or {"type": "plain"})


# ---- formats


async def test_the_schema_is_one_that_strict_mode_takes() -> None:
    """Strict mode refuses a schema with an optional property or an open object."""
    answer, server = await ask(lambda _: GOOD)
    assert answer.content == {"facts": [FACT]}
    asked = server.requests[0]["response_format"]["json_schema"]
    assert (asked["strict"], is_strict(asked["schema"])) == (True, True)


@pytest.mark.parametrize("status", [400, 415, 422, 500, 501])
@pytest.mark.parametrize("refused", [1, 2, 3])
async def test_the_best_format_is_found_and_kept(status: int, refused: int) -> None:
    """Whatever a server refuses a format with; what it falls over three times it refuses."""
    formats = ["json_schema", "json_object with schema", "json_object", "plain"]

    def script(document: dict[str, Any]) -> Any:
        named = wanted(document)
        name = named["type"] + (" with schema" if "schema" in named else "")
        return Reply(status=status) if name in formats[:refused] else GOOD

    answer, server = await ask(script, times=5)
    assert isinstance(answer, Answer)
    tries = 3 if status == 500 else 1
    assert len(server.requests) == tries * (refused + 1) + (5 - tries)
    last = server.requests[-1].get("response_format", {})
    assert last.get("type", "plain") == formats[refused].split()[0]
    assert ("schema" in last) is (refused == 1)


async def test_one_stumble_says_nothing_about_formats() -> None:
    """A 500 that comes once is survived, and the best format is asked for again."""
    stumbles = [Reply(status=500)]
    answer, server = await ask(lambda _: stumbles.pop() if stumbles else GOOD, times=2)
    assert isinstance(answer, Answer)
    assert server.formats == ["json_schema", "json_object", "json_schema"]


async def test_a_server_that_refuses_everything_is_told_so_in_its_first_words() -> None:
    outcome, server = await ask(lambda d: Reply(status=400, error={"message": wanted(d)["type"]}))
    assert isinstance(outcome, PoisonError)
    assert "json_schema" in str(outcome)
    assert server.formats == ["json_schema", "json_object", "json_object", "plain"]


# ---- where the answer is


@pytest.mark.parametrize(
    "reply",
    [
        Reply(f"```json\n{GOOD}\n```"),
        Reply(f"<think>maybe {{}} or {GOOD[:-1]}</think>\n{GOOD}"),
        Reply(json.dumps([FACT])),
        Reply(GOOD.replace("}]", "},]")),
        Reply(message={"role": "assistant", "content": [{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}]}),
        Reply(message={"role": "assistant", "content": None, "reasoning_content": f"So: {GOOD}"}),
        Reply(message={"role": "assistant", "content": "", "reasoning": GOOD}),
        Reply(message={"content": None, "tool_calls": [{"function": {"name": "answer", "arguments": GOOD}}]}),
        Reply(message={"content": {"type": "text", "text": GOOD}}),
        Reply(GOOD, usage=None),
        Reply(GOOD, usage={"prompt_tokens": "many"}),
        Reply(GOOD, usage=[]),
        Reply(GOOD, finish_reason="eos"),
        Reply("", body=b"\n\n  " + json.dumps({"choices": [{"message": {"content": GOOD}}]}).encode()),
    ],
)  # fmt: skip
async def test_the_answer_is_found_wherever_it_is_put(reply: Reply) -> None:
    answer, server = await ask(lambda _: reply)
    assert answer.content == {"facts": [FACT]}
    assert len(server.requests) == 1


# ---- what is no answer


@pytest.mark.parametrize(
    "first", ["", "Nothing to see here.", '{"error": "busy"}', '{"facts": [{"content": oops}]}']
)
async def test_what_is_no_answer_gets_one_repair_turn(first: str) -> None:
    """The model sees what it wrote and what is wrong; both turns are paid for."""
    answers = [first, GOOD]
    answer, server = await ask(lambda _: answers.pop(0))
    assert answer.content == {"facts": [FACT]}
    assert (answer.input_tokens, answer.output_tokens) == (20, 10)
    roles = [turn["role"] for turn in server.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    outcome, server = await ask(lambda _: first)
    assert isinstance(outcome, PoisonError)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(message={"role": "assistant", "content": None, "refusal": "I cannot help with that"}),
        Reply("", finish_reason="content_filter"),
    ],
)
async def test_a_refusal_is_not_argued_with(reply: Reply) -> None:
    outcome, server = await ask(lambda _: reply)
    assert isinstance(outcome, PoisonError)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>busy</html>", b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}',
     b'{"error": {"message": "upstream", "code": 502}}', b'{"choices": [{"message": "hi"}]}', b"\xff\xfe"],
)  # fmt: skip
async def test_what_is_no_completion_is_tried_again_later(body: bytes) -> None:
    outcome, _ = await ask(lambda _: Reply(body=body))
    assert isinstance(outcome, RetryableError)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=429, headers={"retry-after": "7"}), RetryableError),
        (Reply(status=503), RetryableError),
        (Reply(status=401), ConfigurationError),
        (Reply(status=404), ConfigurationError),
        (
            Reply(status=429, error={"message": "no money", "code": "insufficient_quota"}),
            ConfigurationError,
        ),
    ],
)
async def test_faults_are_of_three_kinds(reply: Reply, kind: type[Exception]) -> None:
    outcome, server = await ask(lambda _: reply)
    assert isinstance(outcome, kind)
    assert len(server.requests) == 1


# ---- what was cut


async def test_a_cut_answer_keeps_what_is_complete() -> None:
    """It is not repaired: it would be cut again."""
    cut = json.dumps({"facts": [FACT, FACT, FACT]})[:-20]
    outcome, server = await ask(lambda _: Reply(cut, finish_reason="length"))
    assert isinstance(outcome, CutAnswerError)
    assert outcome.complete.content == {"facts": [FACT, FACT]}
    assert outcome.complete.output_tokens == 5
    assert len(server.requests) == 1


async def test_what_was_cut_after_its_end_is_complete() -> None:
    """Some models close their JSON and go on with blanks until the limit."""
    answer, _ = await ask(lambda _: Reply(GOOD + "\n " * 500, finish_reason="length"))
    assert answer.content == {"facts": [FACT]}


async def test_reasoning_that_was_cut_is_no_answer() -> None:
    message = {"content": "", "reasoning_content": GOOD}
    outcome, _ = await ask(lambda _: Reply(message=message, finish_reason="length"))
    assert isinstance(outcome, CutAnswerError)
    assert outcome.complete.content == {}


@pytest.mark.parametrize("content", ["x" * 10_000_000, json.dumps({"facts": [FACT] * 150_000}), "[" * 10_000_000, '{"a":' * 2_000_000])  # fmt: skip
async def test_ten_megabytes_are_read_up_to_a_bound_and_hold_nobody_up(content: str) -> None:
    """What was read counts as cut; meanwhile the loop goes round."""
    body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        while running:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    async with chat_server(lambda _: Reply(body=body)) as server:
        model = ChatModel(base_url=server.url, api_key="k", model="fake", timeout_seconds=20)
        watching = asyncio.create_task(watch())
        with pytest.raises(CutAnswerError) as cut:
            await model.ask("", DOCUMENT, ANSWER_SCHEMA)
        running = False
        await watching
        await model.close()
    facts = cut.value.complete.content.get("facts", [])
    assert len(json.dumps(facts)) <= MAX_BODY_BYTES
    assert bool(facts) is content.startswith('{"facts"')
    assert longest < 1.0, "seconds of CPU; a tenth of it was measured"


async def test_an_answer_that_drips_is_given_up() -> None:
    """Each byte resets a read timeout; the call as a whole has one too."""
    async with _dripping() as url:
        model = ChatModel(base_url=url, api_key="k", model="fake", timeout_seconds=0.5)
        with pytest.raises(RetryableError, match="in time"):
            await model.ask("", DOCUMENT, ANSWER_SCHEMA)
        await model.close()


# ---- what is sent


async def test_no_secret_is_sent() -> None:
    """Neither in messages, nor around them, nor in what is known."""
    secret = "my password is hunter2"
    turn = {"id": "0", "role": "assistant", "content": secret}
    _, server = await ask(lambda _: GOOD, context=[turn], known=[{"slot": "x", "value": secret}])
    assert "hunter2" not in json.dumps(server.requests)
    assert "[redacted:password]" in server.documents[0]["context"][0]["content"]


async def test_a_request_is_a_fixed_system_turn_and_one_json_document() -> None:
    _, server = await ask(lambda _: GOOD)
    [system, user] = server.requests[0]["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert json.loads(user["content"]) == DOCUMENT


def _dripping() -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def serve() -> Any:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
            )
            try:
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            except ConnectionError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.close()

    return serve()
