"""The embedders of one process, by space: which model embeds is the database's word, not a setting.

A setting names the model of the first start; from then on it is a wish. Where the two differ this
says so, and goes on in the space that is there: vectors of two models never meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from shared.db import Database
from shared.embeddings import Embedder
from shared.errors import ConfigurationError, MemoireError
from shared.spaces import store
from shared.spaces.law import Address, Space, Spaces

log = structlog.get_logger()

Build = Callable[[Address], Awaitable[Embedder]]

LOOK_SECONDS = 1.0
_READ_SECONDS = 1.0


class Embedders:
    """Asks the model of each space; `configured` is the one this process was started with."""

    def __init__(
        self,
        db: Database,
        configured: Embedder,
        build: Build | None = None,
        address: Address | None = None,
    ) -> None:
        self._db = db
        self._build = build
        self._address = address or Address(configured.model)
        self._built: dict[Address, Embedder] = {}
        self._warned: str | None = None
        self.configured = configured
        self.current: Embedder = configured
        """The active space's, as far as this process has noticed."""
        self.spaces: Spaces | None = None

    async def read(self) -> Spaces:
        """The spaces as they are now; the configured model is adopted where there is none."""
        async with self._db.of().autocommit() as tx:
            spaces = await store.read(tx)
            if spaces is None:
                await store.adopt(tx, self._address, self.configured.dimensions or None)
                spaces = await store.read(tx)
        if spaces is None:
            raise LookupError("the space just adopted is gone")
        self.spaces = spaces
        self._warn(spaces)
        return spaces

    async def of(self, space: Space) -> Embedder:
        """The embedder of a space; raises ConfigurationError where this process has none for it."""
        if space.model == self.configured.model:
            return self.configured  # wherever its server is now
        if self._build is None:
            raise ConfigurationError(f"{mismatch(space.model, self.configured.model)}")
        if space.address not in self._built:
            self._built[space.address] = await self._build(space.address)
        return self._built[space.address]

    async def check(self, space: Space, dimensions: int) -> None:
        """Refuse vectors of another length than the space's; the first ones say which it is."""
        known = space.dimensions
        if known is None:
            async with self._db.of().autocommit() as tx:
                known = await store.learn(tx, space.model, dimensions)
        if known != dimensions:
            raise ConfigurationError(
                f"{space.model} answers vectors of {dimensions} dimensions, and those stored have "
                f"{known}: check MEMOIRE_EMBED_DIMENSIONS; to change them see docs/embeddings.md"
            )

    async def notice(self) -> None:
        """Turn to the active space: the new model is ready before the old one is let go."""
        spaces = await self.read()
        embedder = await self.of(spaces.active)
        if embedder is not self.current:
            await embedder.warm()
            self.current = embedder
            log.info("recall turns to another model", model=embedder.model)

    async def follow(self) -> None:
        """Notice every second, until cancelled; what fails is tried again."""
        while True:
            try:
                await self.notice()
            except (psycopg.Error, MemoireError, OSError, TimeoutError) as error:
                log.warning("cannot look which model is active", error=str(error).strip())
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def warning(self) -> str | None:
        """What is wrong with the configured model, if anything is."""
        active = self.spaces.active.model if self.spaces else None
        if active in (None, self.configured.model):
            return None
        return mismatch(str(active), self.configured.model)

    def _warn(self, spaces: Spaces) -> None:
        if spaces.active.model == self._warned:
            return
        self._warned = spaces.active.model
        if self.warning:
            log.warning(self.warning)


def mismatch(active: str, configured: str) -> str:
    return (
        f"the configured embedding model is {configured}, but facts are embedded by "
        f"{active}, which goes on: `memoire embeddings migrate --to {configured}` changes "
        f"it, or configure {active}"
    )
