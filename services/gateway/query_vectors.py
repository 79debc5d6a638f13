"""The vectors of queries: embedded once, remembered for a while, missing where nobody can embed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import structlog

from shared.embeddings import Embedder
from shared.errors import MemoireError
from shared.spaces.embedders import Embedders

log = structlog.get_logger()

_EMBED_SECONDS = 2.0
_REMEMBERED_QUERIES = 1_000


class QueryVectors:
    """Embeds queries by the active model, and remembers the last thousand."""

    def __init__(self, embedders: Embedders) -> None:
        self._embedders = embedders
        self._known: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    @property
    def embedder(self) -> Embedder:
        """The active model: a question is asked of one from its beginning to its end."""
        return self._embedders.current

    def forget(self) -> None:
        """Forget every query: nobody can tell whose it was."""
        self._known.clear()

    async def vector(self, tenant: str, query: str, embedder: Embedder) -> list[float] | None:
        """The query as this model has it; None when it is away or slower than two seconds."""
        key = (embedder.model, query)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        try:
            async with asyncio.timeout(_EMBED_SECONDS):
                vectors = await embedder.embed([query], [tenant])
        except (MemoireError, TimeoutError, OSError) as error:
            log.warning("recall without vectors", error=repr(error))
            return None
        self._known[key] = [float(part) for part in vectors[0]]
        if len(self._known) > _REMEMBERED_QUERIES:
            self._known.popitem(last=False)
        return self._known[key]
