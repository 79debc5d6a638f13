"""Turns texts into unit vectors, by a model in this process or an OpenAI-compatible server.

Both embedders promise the same: one row per text, in the order given, float32, L2-normalized, so
that a dot product is the cosine. They never retry and never cache: the pipeline does the first,
the gateway the second. Errors are the three kinds of `shared.errors`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from shared import e5, minilm
from shared.breaker import Breaker
from shared.errors import ConfigurationError, RetryableError
from shared.gate import Gate
from shared.local_models import LOCAL_MODEL, LOCAL_MODELS, MULTILINGUAL_MODEL
from shared.providers import classify, host_of, is_broken_connection
from shared.redaction import redact
from shared.spending.books import Asked
from shared.spending.prices import Tokens
from shared.spending.till import Till
from shared.together import Together

__all__ = [
    "LOCAL_MODEL", "OPENAI_BASE_URL", "OPENAI_MODEL", "Embedder", "LocalEmbedder",
    "OpenAIEmbedder", "Vectors", "build_embedder",
]  # fmt: skip

Vectors = npt.NDArray[np.float32]
Mode = Literal["auto", "local", "openai"]

OPENAI_BASE_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "text-embedding-3-small"

_LARGEST_REQUEST = 256
_LONGEST_CONNECT_SECONDS = 5.0
_Ask = tuple[Sequence[str], str]
"""Texts, and the tenant whose turn they take."""
_TOKENS_A_TEXT = 8  # beginnings and ends that a server may add


class Embedder(Protocol):
    """A model that turns texts into unit vectors of one length."""

    model: str
    dimensions: int
    batch: int
    """How many texts are best embedded at once: more would only make the first ones wait."""

    async def warm(self) -> None:
        """Get ready for the first text, where that takes time."""

    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> Vectors:
        """Array (len(texts), dimensions), float32, each row of length 1.

        `payers` are the tenants whose texts they are, one each. Raises NotNowError where it may
        not be asked now.
        """
        ...


class LocalEmbedder:
    """A model in this process: no network, no key, loaded at the first text.

    `intra_op_num_threads` is 1 by default because stages scale by processes: threads that share a
    text spin while they wait, so two processes with a pool each are slower than without. For the
    same reason one run is under way at a time: who asks meanwhile shares the next one, in which
    eight short queries take 1.9 ms each, not 3 (`memoire bench recall`). No run that is shared is
    longer than about a tenth of a second, and tenants (`payers`) take turns.
    A text's vector does not depend on what else is in the batch. Raises ConfigurationError for a
    model that does not run here, or is not installed.
    """

    def __init__(self, model: str = LOCAL_MODEL, *, intra_op_num_threads: int = 1) -> None:
        self.model = model
        self._engine: minilm.MiniLM | e5.E5
        if model == LOCAL_MODEL:
            self._engine = minilm.MiniLM(intra_op_num_threads)
            self.dimensions, self.batch = minilm.DIMENSIONS, 4 * minilm.LARGEST_RUN
        elif model == MULTILINGUAL_MODEL:
            self._engine = e5.E5(intra_op_num_threads)
            self.dimensions, self.batch = e5.DIMENSIONS, e5.LARGEST_RUN
        else:
            raise ConfigurationError(
                f"{model} does not run in this process: {' and '.join(LOCAL_MODELS)} do"
            )
        self._together: Together[_Ask, Vectors] = Together(
            self._run, self._engine.letters_at_once, whose=lambda ask: ask[1], weigh=_letters
        )

    async def warm(self) -> None:
        """Load the model: 0.3 to 0.6 s."""
        await self.embed(["warm"])

    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> Vectors:
        """Array (len(texts), 384), computed in a worker thread; of a long text only a beginning.

        MiniLM reads 256 tokens, E5 1,000 characters.
        """
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return await self._together((texts, payers[0] if payers else ""))

    async def _run(self, asked: Sequence[_Ask]) -> list[Vectors]:
        """Embed what several asked for at once."""
        texts = [text for each, _ in asked for text in each]
        vectors = _normalize(await asyncio.to_thread(self._engine.pool, texts))
        ends = np.cumsum([len(each) for each, _ in asked])
        return np.split(vectors, ends[:-1])

    async def close(self) -> None:
        """Let go of the model's memory; the next text would load it again."""
        self._engine.unload()


def _letters(ask: _Ask) -> int:
    return sum(map(len, ask[0]))


class OpenAIEmbedder:
    """Any server that speaks OpenAI's `POST /embeddings`.

    `dimensions` is sent only when it is set (many servers refuse the field); otherwise it is
    learnt from the first answer and 0 until then. From then on it must not change. Secrets in a
    text, which may be anybody's query, are blanked.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        model: str,
        dimensions: int | None,
        timeout_seconds: float,
        *,
        gate: Gate | None = None,
        till: Till | None = None,
    ) -> None:
        import openai  # noqa: PLC0415  # 0.5 s of start-up that local mode never pays

        self.model = model
        self.dimensions = dimensions or 0
        self.batch = _LARGEST_REQUEST
        self._asked = dimensions
        asked = Asked("embedding", host_of(base_url), model)
        self._gate = gate or Gate(Breaker(), asked)
        self._till = till or Till(asked)
        self._failures = (openai.OpenAIError, ValueError)  # ValueError: a body that is no JSON
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",  # servers without keys ignore it; the client insists on one
            timeout=openai.Timeout(
                timeout_seconds, connect=min(timeout_seconds, _LONGEST_CONNECT_SECONDS)
            ),
            max_retries=0,
        )

    async def warm(self) -> None:
        """Ask nothing: a server's answers cost money."""

    async def embed(self, texts: Sequence[str], payers: Sequence[str] = ()) -> Vectors:
        """Array (len(texts), dimensions), asked for in requests of at most 256 texts."""
        tenants = payers or ["default"] * len(texts)
        starts = range(0, len(texts), _LARGEST_REQUEST)
        ends = [start + _LARGEST_REQUEST for start in starts]
        parts = [
            await self._request(texts[start:end], tenants[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), dtype=np.float32)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _request(self, texts: Sequence[str], tenants: Sequence[str]) -> Vectors:
        body: dict[str, Any] = {"model": self.model, "input": [redact(text) for text in texts]}
        body |= {"encoding_format": "float"}
        if self._asked:
            body |= {"dimensions": self._asked}
        weights: dict[str, int] = {}
        for text, tenant in zip(texts, tenants, strict=True):
            weights[tenant] = weights.get(tenant, 0) + len(text.encode()) + _TOKENS_A_TEXT
        reserving = await self._till.must_reserve(weights)
        most = Tokens(sum(weights.values())) if reserving else None
        async with self._gate.passing():
            answer = await self._paid(body, weights, most)
            vectors = _normalize(_matrix(_in_order(answer, len(texts))))
            self._agree(vectors.shape[1])
        return vectors

    async def _paid(
        self, body: dict[str, Any], weights: Mapping[str, int], most: Tokens | None
    ) -> object:
        """Ask, and tell what it cost each tenant."""
        try:
            async with self._till.paying(weights, most) as bill:
                # The client's typed call builds models for 1 ms a vector, ten times the JSON's.
                answer = await self._client.post("/embeddings", cast_to=object, body=body)
                bill.tokens = _tokens(answer)
        except Exception as error:
            if not (isinstance(error, self._failures) or is_broken_connection(error)):
                raise
            raise classify(error) from error
        return answer

    def _agree(self, dimensions: int) -> None:
        self.dimensions = self.dimensions or dimensions
        if dimensions != self.dimensions:
            raise ConfigurationError(
                f"{self.model} answers vectors of {dimensions} dimensions, not {self.dimensions}: "
                "check MEMOIRE_EMBED_DIMENSIONS"
            )


def build_embedder(
    mode: Mode,
    base_url: str | None = None,
    api_key: str | None = None,
    model: str | None = None,
    dimensions: int | None = None,
    *,
    timeout_seconds: float = 30.0,
    intra_op_num_threads: int = 1,
    gate: Gate | None = None,
    till: Till | None = None,
) -> LocalEmbedder | OpenAIEmbedder:
    """The embedder asked for; `auto` is a server where a base URL or a key is given.

    `model` is a server's name for it, or the full name of one that runs in this process.
    """
    if mode == "openai" or (mode == "auto" and (base_url or api_key)):
        return OpenAIEmbedder(
            base_url or OPENAI_BASE_URL,
            api_key,
            model or OPENAI_MODEL,
            dimensions,
            timeout_seconds,
            gate=gate,
            till=till,
        )
    return LocalEmbedder(model or LOCAL_MODEL, intra_op_num_threads=intra_op_num_threads)


def _tokens(answer: Any) -> Tokens | None:
    """What the server says it read; None where it does not."""
    try:
        said = answer["usage"]["prompt_tokens"]
    except (TypeError, LookupError):
        return None
    return Tokens(max(0, int(said))) if isinstance(said, int | float) else None


def _in_order(answer: object, expected: int) -> list[Any]:
    """The answer's embeddings by `index`, or as listed where a server numbers them all alike."""
    data = _data(answer)
    if len(data) != expected:
        raise RetryableError(
            f"the embedding server answered {len(data)} vectors for {expected} texts"
        )
    if sorted(item["index"] for item in data) == list(range(expected)):
        data = sorted(data, key=lambda item: int(item["index"]))
    return [item["embedding"] for item in data]


def _data(answer: Any) -> list[Any]:
    try:
        data = [{"index": item.get("index", 0), **item} for item in answer["data"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RetryableError(f"the model server answered no vectors: {error!r}") from error
    return data


def _matrix(rows: list[Any]) -> npt.NDArray[np.float64]:
    if any(isinstance(row, list) and row and isinstance(row[0], list) for row in rows):
        raise ConfigurationError(
            "the embedding server answers one vector per token, not per text: "
            "switch on its pooling (llama.cpp: --pooling mean) or use an embedding model"
        )
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RetryableError(f"the embedding server's vectors are no numbers: {error}") from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise RetryableError("the embedding server's vectors are empty")
    return matrix


def _normalize(vectors: npt.NDArray[Any]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise RetryableError("an embedding has no direction: all zeros, or not a number")
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
