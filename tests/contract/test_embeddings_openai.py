"""The HTTP path against a real server: what is sent, what is refused, which error it becomes."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi.responses import PlainTextResponse

from shared.embeddings import OpenAIEmbedder
from shared.errors import ConfigurationError, PoisonError, RetryableError
from shared.providers import classify, retry_after_seconds
from tests.fakes.embedding_server import EmbeddingServer, failure, running, vectors


@pytest.fixture
async def server():
    async with running(EmbeddingServer()) as it:
        yield it


@pytest.fixture
async def embedder(server):
    it = OpenAIEmbedder(server.url, "secret", "m", None, timeout_seconds=5)
    yield it
    await it.close()


async def test_vectors_come_back_in_the_order_of_the_texts(server, embedder):
    texts = [f"fact {i}" for i in range(600)]
    found = await embedder.embed(texts)

    raw = np.array([server.vector(text) for text in texts])
    assert np.allclose(found, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    assert [len(body["input"]) for body in server.requests] == [256, 256, 88]
    assert embedder.dimensions == 8


async def test_a_request_names_model_format_and_key_and_no_dimensions_unless_set(server, embedder):
    await embedder.embed(["a"])

    assert server.requests == [{"input": ["a"], "model": "m", "encoding_format": "float"}]
    assert server.keys == ["Bearer secret"]


async def test_dimensions_that_are_set_are_asked_for(server):
    embedder = OpenAIEmbedder(server.url, None, "m", 4, timeout_seconds=5)

    assert (await embedder.embed(["a"])).shape == (1, 4)
    assert server.requests[0]["dimensions"] == 4
    await embedder.close()


async def test_a_server_is_shown_no_secret(server, embedder):
    await embedder.embed(["my password is hunter2x9", "likes tea"])

    assert server.requests[0]["input"] == ["my password is [redacted:password]", "likes tea"]


async def test_no_texts_cost_no_request(server, embedder):
    assert (await embedder.embed([])).shape == (0, 0)
    assert server.requests == []


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (failure(429), RetryableError, "429"),
        (failure(500), RetryableError, "500"),
        (failure(503), RetryableError, "503"),
        (failure(408), RetryableError, "408"),
        (failure(400), PoisonError, "400"),
        (failure(413), PoisonError, "413"),
        (failure(422), PoisonError, "422"),
        (failure(401), ConfigurationError, "401"),
        (failure(403), ConfigurationError, "403"),
        (failure(404), ConfigurationError, "404"),
        (failure(402), ConfigurationError, "402"),
        (failure(501), ConfigurationError, "501"),
        (failure(429, "insufficient_quota"), ConfigurationError, "429"),
        (failure(400, "model_not_found"), ConfigurationError, "400"),
        (vectors([1.0, 2.0], [1.0, 2.0]), RetryableError, "2 vectors for 1"),
        (vectors(), RetryableError, "0 vectors for 1"),
        (vectors([[1.0, 2.0], [3.0, 4.0]]), ConfigurationError, "one vector per token"),
        (vectors([0.0, 0.0]), RetryableError, "no direction"),
        (vectors([]), RetryableError, "empty"),
        (vectors("AAAA"), RetryableError, "no numbers"),
        (lambda _: PlainTextResponse("<html>"), RetryableError, "no vectors"),
        (
            lambda _: PlainTextResponse("{", media_type="application/json"),
            RetryableError,
            "model server",
        ),
    ],
)
async def test_each_failure_is_one_of_three_kinds(server, embedder, fault, error, says):
    server.faults.append(fault)

    with pytest.raises(error, match=says):
        await embedder.embed(["a"])
    assert len(server.requests) == 1, "the embedder never retries"


async def test_a_change_of_dimensions_is_refused(server, embedder):
    await embedder.embed(["a"])
    server.dimensions = 16

    with pytest.raises(ConfigurationError, match="16 dimensions, not 8"):
        await embedder.embed(["a"])


async def test_a_server_that_is_not_there_is_worth_a_retry():
    async with running(EmbeddingServer()) as gone:
        pass
    embedder = OpenAIEmbedder(gone.url, None, "m", None, timeout_seconds=5)

    with pytest.raises(RetryableError, match="cannot be reached"):
        await embedder.embed(["a"])
    await embedder.close()


async def test_a_server_that_hangs_is_worth_a_retry():
    async def hang(_reader, writer):
        await stop.wait()
        writer.close()

    stop = asyncio.Event()
    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    embedder = OpenAIEmbedder(f"http://127.0.0.1:{port}/v1", None, "m", None, timeout_seconds=0.05)

    with pytest.raises(RetryableError, match="in time"):
        await embedder.embed(["a"])
    await embedder.close()
    stop.set()
    listener.close()


async def test_the_servers_own_waiting_time_is_kept(server, embedder):
    server.faults.append(failure(429, retry_after="7"))

    with pytest.raises(RetryableError) as caught:
        await embedder.embed(["a"])
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "1e9"}, 86_400),
        ({"retry-after": "Tue, 03 Nov 2026 10:00:30 GMT"}, 30),
        ({"retry-after": "Tue, 03 Nov 2026 09:00:00 GMT"}, 0),
        (
            {
                "retry-after": "Tue, 03 Nov 2026 12:00:05 GMT",
                "date": "Tue, 03 Nov 2026 12:00:00 GMT",
            },
            5,
        ),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers, seconds):
    assert retry_after_seconds(headers, datetime(2026, 11, 3, 10, tzinfo=UTC)) == seconds


def test_one_of_our_own_errors_is_returned_as_it_is():
    ours = PoisonError("mine")

    assert classify(ours) is ours
