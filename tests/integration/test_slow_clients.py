"""Clients that are slow, or send too much: cut, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.integration.test_gateway_app import ADMIN, serve
from tests.listening import listening

HEAD = f"POST /v1/ingest HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN}\r\n"
LIVE = "GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
MOST_HEAD = 4_096


@pytest.fixture
async def port(database_url: str) -> AsyncIterator[int]:
    """A gateway behind a real server that waits one second for a head, and one for a body."""
    async with (
        serve(database_url, None, client_seconds=1.0, max_body_bytes=200_000) as api,
        listening(api.app, client_seconds=1.0, most_head=MOST_HEAD) as port,
    ):
        yield port


async def _until_closed(port: int, *parts: str | bytes, drip: str = "") -> str:
    """Send these, then a byte of `drip` now and then; all that comes until the server hangs up."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = asyncio.create_task(reader.read())
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part if isinstance(part, bytes) else part.encode())
                await writer.drain()
            while drip and not answer.done():
                writer.write(drip[:1].encode())
                drip = drip[1:] or drip
                await asyncio.sleep(0.05)
        try:
            return (await answer).decode()
        except ConnectionError:
            return ""
        finally:
            writer.close()


def _code(answer: str) -> tuple[str, str]:
    status = answer.split(" ", 2)[1]
    return status, json.loads(answer.partition("\r\n\r\n")[2])["error"]["code"]


async def test_who_sends_a_head_byte_by_byte_is_cut(port: int) -> None:
    answer = await _until_closed(port, HEAD + "x-slow: ", drip="a" * 10_000)
    assert _code(answer) == ("408", "request_timeout")


async def test_who_says_nothing_is_cut(port: int) -> None:
    assert _code(await _until_closed(port)) == ("408", "request_timeout")


async def test_who_sends_a_body_byte_by_byte_is_cut(port: int) -> None:
    answer = await _until_closed(port, HEAD + "content-length: 5000\r\n\r\n", drip="a" * 5_000)
    assert _code(answer) == ("408", "request_timeout")
    chunked = HEAD + "transfer-encoding: chunked\r\n\r\n"
    assert _code(await _until_closed(port, chunked)) == ("408", "request_timeout")


async def test_a_body_that_no_method_asks_for_is_waited_for_no_longer(port: int) -> None:
    for announced in ("content-length: 50", "transfer-encoding: chunked"):
        head = f"GET /v1/users HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN}\r\n{announced}\r\n\r\n"
        assert _code(await _until_closed(port, head)) == ("408", "request_timeout")


async def test_a_second_request_on_the_connection_is_waited_for_no_longer(port: int) -> None:
    answer = await _until_closed(port, LIVE, "GET /v1/he")
    first, _, second = answer.partition('{"status":"ok"}')
    assert first.startswith("HTTP/1.1 200")
    assert second == "" or _code(second) == ("408", "request_timeout")


@pytest.mark.parametrize("size", [MOST_HEAD, 60_000, 3_000_000])
async def test_a_huge_head_is_cut(port: int, size: int) -> None:
    for head in (
        f"GET /v1/health/live HTTP/1.1\r\nhost: x\r\nx-huge: {'a' * size}\r\n\r\n",
        f"GET /v1/health/live HTTP/1.1\r\nhost: x\r\nx-huge: {'a' * size}",
        f"GET /v1/health/live?{'a' * size} HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /v1/health/live HTTP/1.1\r\n" + "a: b\r\n" * (size // 2) + "\r\n",
    ):
        answer = await _until_closed(port, head)  # a reset may swallow it: it is gone all the same
        assert answer == "" or _code(answer) == ("431", "headers_too_large"), answer[:200]


async def test_what_is_no_http_is_refused_in_the_shape_of_every_failure(port: int) -> None:
    assert _code(await _until_closed(port, "NONSENSE\r\n\r\n"))[0] == "400"


async def test_a_large_body_is_cut_without_being_read(port: int) -> None:
    head = HEAD + "content-length: 9999999999\r\n\r\n"
    assert _code(await _until_closed(port, head)) == ("413", "payload_too_large")
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    chunked = [HEAD + "transfer-encoding: chunked\r\n\r\n", *[chunk] * 20]
    answer = await _until_closed(port, *chunked)
    assert answer == "" or _code(answer) == ("413", "payload_too_large")


async def test_others_are_served_while_many_are_slow(port: int) -> None:
    slow = [asyncio.create_task(_until_closed(port, HEAD)) for _ in range(200)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(LIVE.encode())
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    answers = await asyncio.gather(*slow)
    assert {_code(answer)[0] for answer in answers if answer} == {"408"}


async def test_every_size_has_a_limit_and_a_clear_answer(database_url: str) -> None:
    message = {"user_id": "ana", "role": "user", "content": "x"}
    async with serve(database_url, None) as api:
        for body, status, field in (
            ({**message, "content": "ä" * 16_385}, 422, "content"),
            ({**message, "content": "ä" * 16_384}, 202, None),
            ({**message, "metadata": {"a": "x" * 4_096}}, 422, "metadata"),
            ({**message, "user_id": "x" * 129}, 422, "user_id"),
            ({**message, "content": "x" * 1_048_576}, 413, None),
        ):
            answer = await api.post("/v1/ingest", body)
            assert answer.status_code == status, answer.text[:200]
            if field is not None:
                assert answer.json()["error"]["details"][0]["field"] == field
