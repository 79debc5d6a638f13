"""Moves an installation to another embedding model, while it works on.

New facts get vectors of both models from the moment a migration begins (the embedder sees to that),
so one walk over the facts that were there before fills the rest. Killed anywhere, the same command
goes on: a walk passes over what has its vector. The switch is one transaction, and happens only if
the walk found nothing left and no commit left the new space out meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from services.embedder.migration import store
from services.embedder.migration.store import Key
from services.embedder.store import Text
from shared.crash import AtPoint, ignore_point
from shared.db import OperatorDatabase, Transaction
from shared.embeddings import Embedder, Vectors
from shared.errors import BudgetSpentError, ConfigurationError, PoisonError, RetryableError
from shared.isolation import is_conflict
from shared.spaces import law
from shared.spaces import store as spaces_store
from shared.spaces.law import Address, Spaces, SpacesRefusedError

log = structlog.get_logger()

Progress = Callable[[int, int], None]
"""Told how many facts have their vector, of how many."""

_PAGE = 2_000  # facts: some hundred kilobytes of sentences, 3 to 12 MB of vectors
_PRUNE_PAGE = 5_000
_REQUESTS_AT_ONCE = 4
_MOST_PASSES = 20  # embedders that cannot ask the new model leave it out again and again
_PROBE = "I live in Lisbon"
_LONGEST_WAIT_SECONDS = 60.0
_CONFLICT_SECONDS = 0.2
_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a migration would embed."""

    facts: int
    tokens: int
    dimensions: int


@dataclass(slots=True)
class Outcome:
    """What a run did. `refused`: facts the model refuses; `waiting`: tenants without budget."""

    model: str
    embedded: int = 0
    refused: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    passes: int = 0
    switched: bool = False


class Migration:
    """The commands about spaces, over one database; who embeds is given."""

    def __init__(
        self,
        db: OperatorDatabase,
        url: str,
        *,
        patience: int = 8,
        at_point: AtPoint = ignore_point,
    ) -> None:
        self._db = db
        self._url = url
        self._patience = patience
        """How often in a row a request may fail before the run ends; the next goes on."""
        self._at_point = at_point

    # ---- looking

    async def spaces(self) -> Spaces:
        """Every space; raises SpacesRefusedError where nothing was ever embedded."""
        async with self._db.autocommit() as tx:
            spaces = await spaces_store.read(tx)
        if spaces is None:
            raise SpacesRefusedError(
                "nothing was embedded yet: the first start takes the configured model"
            )
        return spaces

    async def counts(self) -> tuple[int, dict[str, int]]:
        """How many facts should have a vector, and how many vectors each model has."""
        return await store.counts(self._db)

    async def probe(self, embedder: Embedder) -> int:
        """How many dimensions its vectors have; raises what a wrong name, key or address raises."""
        try:
            vectors = await embedder.embed([_PROBE], ["default"])
        except PoisonError as error:
            raise ConfigurationError(f"{embedder.model} embeds nothing: {error}") from error
        return int(vectors.shape[1])

    async def estimate(self, address: Address, embedder: Embedder) -> Estimate:
        """Say what there is to embed; writes nothing."""
        spaces = await self.spaces()
        dimensions = await self.probe(embedder)
        law.begun(spaces, address, dimensions)
        facts, size = await store.lacking(self._db, address.model)
        return Estimate(facts, size // _BYTES_A_TOKEN, dimensions)

    # ---- filling and switching

    async def migrate(
        self,
        address: Address,
        embedder: Embedder,
        progress: Progress,
        *,
        switch: bool = True,
        leave_refused: bool = False,
    ) -> Outcome:
        """Fill the model's space, or go on with it, and make it the active one.

        Raises SpacesRefusedError or ConfigurationError before anything is written.
        """
        async with store.held(self._url) as holder:
            await self.spaces()
            dimensions = await self.probe(embedder)
            spaces, _ = await self._changed(lambda now: law.begun(now, address, dimensions))
            outcome = Outcome(address.model)
            facts, made = await store.counts(self._db)
            had = made.get(address.model, 0)
            while outcome.passes < _MOST_PASSES:
                walk = Walk(self._db, embedder, outcome, self._patience, dimensions, self._at_point)
                await walk.all(holder, lambda done: progress(min(had + done, facts), facts))
                if not switch or outcome.waiting or (outcome.refused and not leave_refused):
                    break
                spaces, outcome.switched = await self._switched(spaces, address.model)
                if outcome.switched:
                    break
            return outcome

    async def _switched(self, seen: Spaces, model: str) -> tuple[Spaces, bool]:
        """Switch if no commit left the space out since it was `seen`; else how it is now."""
        skipped = seen.filling.skipped if seen.filling else 0
        self._at_point("switch")
        return await self._changed(lambda now: law.switched(now, model, skipped))

    async def cancel(self) -> str:
        """Give up the space that is being filled; its vectors stay until they are pruned."""
        async with store.held(self._url):
            before = await self.spaces()
            await self._changed(law.cancelled)
            return before.filling.model if before.filling else ""

    async def _changed(self, decide: Callable[[Spaces], Spaces | None]) -> tuple[Spaces, bool]:
        """Change the spaces; who embeds just now, or carries a replay, is waited for."""
        while True:
            try:
                async with self._db.transaction() as tx:
                    return await spaces_store.change(tx, decide)
            except Exception as error:
                if not is_conflict(error):
                    raise
            await asyncio.sleep(_CONFLICT_SECONDS)

    # ---- pruning

    async def prune(self, model: str, progress: Callable[[int], None]) -> int:
        """Delete a retired space's vectors in bounded steps; killed, the same again goes on."""
        async with store.held(self._url) as holder:
            await self.spaces()
            await self._changed(lambda now: law.pruned(now, model))
            gone, after = 0, Key()
            while True:
                await store.still_held(holder)
                deleted, following = await store.prune_page(self._db, model, after, _PRUNE_PAGE)
                gone += deleted
                progress(gone)
                if following is None:
                    break
                after = following
            await store.forget_space(self._db, model)
            return gone


class Walk:
    """One pass over all facts, which gives a vector to those that have none."""

    def __init__(
        self,
        db: OperatorDatabase,
        embedder: Embedder,
        outcome: Outcome,
        patience: int,
        dimensions: int,
        at_point: AtPoint,
    ) -> None:
        self._db = db
        self._embedder = embedder
        self._outcome = outcome
        self._patience = patience
        self._dimensions = dimensions
        self._at_point = at_point
        self._requests = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def all(self, holder: Transaction, told: Callable[[int], None]) -> None:
        """Walk by key, a page in memory at a time."""
        self._outcome.passes += 1
        self._outcome.waiting.clear()
        self._outcome.refused.clear()
        after: Key | None = Key()
        while after is not None:
            await store.still_held(holder)
            texts, after = await store.page(self._db, self._embedder.model, after, _PAGE)
            await self._page(texts)
            self._at_point("page")
            told(self._outcome.embedded)

    async def _page(self, texts: Sequence[Text]) -> None:
        size = self._embedder.batch
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        working = [asyncio.create_task(self._part(part)) for part in parts]
        try:
            await asyncio.gather(*working)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _part(self, texts: Sequence[Text]) -> None:
        """Embed and store some facts; what the model refuses is found by halving."""
        texts = [text for text in texts if text.ref.tenant not in self._outcome.waiting]
        if not texts:
            return None
        try:
            async with self._requests:
                vectors = await self._vectors(texts)
        except BudgetSpentError as error:
            self._outcome.waiting |= error.tenants
            return await self._part(texts)
        except PoisonError as error:
            return await self._halves(texts, error)
        await self._store(texts, vectors)
        self._outcome.embedded += len(texts)
        return None

    async def _halves(self, texts: Sequence[Text], error: PoisonError) -> None:
        if len(texts) == 1:
            log.warning("the model refuses a fact", fact=str(texts[0].ref.id), error=str(error))
            self._outcome.refused.add(str(texts[0].ref.id))
            return
        middle = len(texts) // 2
        await self._part(texts[:middle])
        await self._part(texts[middle:])

    async def _vectors(self, texts: Sequence[Text]) -> Vectors:
        """Ask until it answers; raises what it raised when it has failed too often in a row."""
        contents, tenants = [t.content for t in texts], [t.ref.tenant for t in texts]
        failed = 0
        while True:
            try:
                vectors = await self._embedder.embed(contents, tenants)
                break
            except BudgetSpentError:
                raise
            except RetryableError as error:
                failed += 1
                if failed > self._patience:
                    raise
                wait = max(error.retry_after_seconds or 0.0, 0.1 * 2**failed)
                log.warning("the model did not answer", error=str(error))
                await asyncio.sleep(min(wait, _LONGEST_WAIT_SECONDS))
        if vectors.shape[1] != self._dimensions:
            raise ConfigurationError(
                f"{self._embedder.model} answers {vectors.shape[1]} dimensions, and before "
                f"{self._dimensions}: its server answers by two models"
            )
        return vectors

    async def _store(self, texts: Sequence[Text], vectors: Vectors) -> None:
        while True:
            try:
                return await store.fill(self._db, self._embedder.model, texts, vectors)
            except Exception as error:
                if not is_conflict(error):
                    raise
            await asyncio.sleep(_CONFLICT_SECONDS)


def prunable(spaces: Spaces, model: str | None) -> list[str]:
    """The retired spaces to be pruned: the named one, or all; raises SpacesRefusedError."""
    if model is not None:
        law.pruned(spaces, model)
        return [model]
    found = [space.model for space in spaces.every if space.state in ("retired", "pruning")]
    if not found:
        raise SpacesRefusedError("there is nothing to prune: no model is retired")
    return found
