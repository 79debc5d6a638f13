"""The embedder: facts `extracted` → `embedded`, in micro-batches across users."""

from __future__ import annotations

from collections.abc import Sequence

from services.embedder import store
from shared.crash import AtPoint, ignore_point
from shared.db import Database
from shared.delivery import Entry
from shared.embeddings import Embedder
from shared.errors import BudgetSpentError
from shared.events import Announcement
from shared.failures.store import RetryPolicy, RowRef
from shared.rows import RowsStage
from shared.topology import EXTRACTED


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
        embedder: Embedder,
        policy: RetryPolicy,
        at_point: AtPoint = ignore_point,
    ) -> None:
        super().__init__(durable, policy)
        self._db = db
        self._embedder = embedder
        self._at_point = at_point
        self._warm = False

    async def heartbeat(self) -> None:
        if not self._warm:
            self._warm = True
            await self._embedder.warm()

    def groups(self, entries: Sequence[Entry]) -> list[list[Entry]]:
        """Part entries into what is embedded at once, so that the first facts move on early."""
        groups: list[list[Entry]] = []
        room = 0
        for entry in entries:
            if room <= 0:
                groups.append([])
                room = self._embedder.batch
            groups[-1].append(entry)
            room -= entry.raw.get(b"ids", b"").count(b",") + 1
        return groups

    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        texts = await store.texts_of(self._db, refs)
        if not texts:
            return []
        self._at_point("think")
        try:
            vectors = await self._embedder.embed(
                [text.content for text in texts], [text.ref.tenant for text in texts]
            )
        except BudgetSpentError as error:
            return await self._without_spent(refs, error)
        self._at_point("commit")
        return await store.save_vectors(self._db, self._embedder.model, texts, vectors)

    async def _without_spent(
        self, refs: Sequence[RowRef], error: BudgetSpentError
    ) -> list[Announcement]:
        """Leave the facts of tenants whose budget is spent alone for a while; go on with others."""
        waiting = [ref for ref in refs if ref.tenant in error.tenants]
        await store.postpone(self._db, waiting, error.wait_seconds)
        others = [ref for ref in refs if ref.tenant not in error.tenants]
        return await self.process(others) if others else []
