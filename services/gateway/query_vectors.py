"""The vectors of queries: embedded once, remembered for a while, missing where nobody can embed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from shared.embeddings import Embedder
from shared.errors import MemoireError

log = structlog.get_logger()

_EMBED_SECONDS = 2.0
_REMEMBERED_QUERIES = 1_000


class QueryVectors:
    """Embeds queries, and remembers the last thousand."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def model(self) -> str:
        return self._embedder.model

    async def vector(self, tenant: str, query: str) -> list[float] | None:
        """The query's vector; None when the provider is away or slower than two seconds."""
        if query in self._known:
            self._known.move_to_end(query)
            return self._known[query]
        try:
            async with asyncio.timeout(_EMBED_SECONDS):
                vectors = await self._embedder.embed([query], [tenant])
        except (MemoireError, TimeoutError, OSError) as error:
            log.warning("recall without vectors", error=repr(error))
            return None
        self._known[query] = [float(part) for part in vectors[0]]
        if len(self._known) > _REMEMBERED_QUERIES:
            self._known.popitem(last=False)
        return self._known[query]
