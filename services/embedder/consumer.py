"""The embedder: facts `extracted` → `embedded`, in micro-batches across users.

Every fact gets a vector of the active model, whichever that is by now, and of each that is filled
beside it; a model beside that cannot be asked holds up nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import structlog
from numpy.typing import NDArray

from services.embedder import store
from services.embedder.store import Text
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.delivery import Entry
from shared.errors import BudgetSpentError, MemoireError
from shared.events import Announcement, bells_for
from shared.failures.store import RetryPolicy, RowRef
from shared.fairness import Turns
from shared.metrics.commits import committed
from shared.rows import RowsStage
from shared.spaces.embedders import Embedders
from shared.spaces.law import Space, Spaces
from shared.topology import EMBEDDED, EXTRACTED

log = structlog.get_logger()

_BESIDE_SECONDS = 10.0  # what a slow model beside the active one may cost a batch


class EmbedderStage(RowsStage):
    name = "embedder"
    streams = (EXTRACTED,)
    state = "extracted"
    concurrency = 2
    """One batch is embedded while another is read or written."""

    def __init__(
        self,
        *,
        db: Database,
        durable: Database,
        embedders: Embedders,
        policy: RetryPolicy,
        at_point: AtPoint = ignore_point,
    ) -> None:
        super().__init__(durable, policy)
        self._db = db
        self._embedders = embedders
        self._at_point = at_point
        self._warm = False

    async def heartbeat(self) -> None:
        """Look which model is active, and have it ready before the first fact comes."""
        with suppress(MemoireError):  # who embeds says so where it matters
            await self._embedders.notice()
            if not self._warm:
                self._warm = True
                await self._embedders.current.warm()

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        """Take what is embedded at once and no more: who comes meanwhile is in the next batch."""
        return [waiting.take(self._embedders.current.batch, weigh=_rows_named)]

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        texts = await store.texts_of(self._db, refs)
        if not texts:
            return []
        spaces = await self._embedders.read()
        self._at_point("think")
        try:
            vectors = await self._embed(spaces, texts)
        except BudgetSpentError as error:
            return await self._without_spent(refs, error)
        self._at_point("commit")
        moved = await store.save_vectors(self._db, spaces, texts, vectors)
        committed(self.name, len(texts), len(moved))
        told: list[Announcement] = [(EMBEDDED, bell) for bell in bells_for(moved)]
        if len(moved) < len(texts) and (await self._embedders.read()).fence != spaces.fence:
            return [*told, *await self.process(refs)]
        return told

    async def _embed(self, spaces: Spaces, texts: Sequence[Text]) -> dict[str, NDArray[np.float32]]:
        """Vectors by model: the active one's for certain, the others' where they can be had."""
        beside = spaces.beside
        active, others = await asyncio.gather(
            self._vectors(spaces.active, texts),
            asyncio.gather(*(self._vectors_beside(space, texts) for space in beside)),
        )
        found = {spaces.active.model: active}
        for space, vectors in zip(beside, others, strict=True):
            if vectors is not None:
                found[space.model] = vectors
        return found

    async def _vectors(self, space: Space, texts: Sequence[Text]) -> NDArray[np.float32]:
        embedder = await self._embedders.of(space)
        vectors = await embedder.embed(
            [text.content for text in texts], [text.ref.tenant for text in texts]
        )
        await self._embedders.check(space, vectors.shape[1])
        return vectors

    async def _vectors_beside(
        self, space: Space, texts: Sequence[Text]
    ) -> NDArray[np.float32] | None:
        try:
            async with asyncio.timeout(_BESIDE_SECONDS):
                return await self._vectors(space, texts)
        except (MemoireError, TimeoutError, OSError) as error:
            log.warning("facts go on without it", model=space.model, error=str(error))
            return None

    async def _without_spent(
        self, refs: Sequence[RowRef], error: BudgetSpentError
    ) -> list[Announcement]:
        """Leave the facts of tenants whose budget is spent alone for a while; go on with others."""
        waiting = [ref for ref in refs if ref.tenant in error.tenants]
        await store.postpone(self._db, waiting, error.wait_seconds)
        others = [ref for ref in refs if ref.tenant not in error.tenants]
        return await self.process(others) if others else []


def _rows_named(bell: Entry) -> int:
    return bell.raw.get(b"ids", b"").count(b",") + 1
