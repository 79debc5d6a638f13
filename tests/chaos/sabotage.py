"""Parts of the product switched off, one at a time, from outside: it has no such switches.

Each is applied in a process of its own before the product starts there. A test shows that the
harness sees the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

RINGS = "chaos:rings"
"""Where `counted_sweep` counts."""


def no_claim() -> None:
    """The superseder settles what it is told to, settled already or not."""
    from services.superseder import store

    _rewrite(
        store.queries,
        "claim",
        "f.state IS NOT DISTINCT FROM 'compared' AND (f.retry_at IS NULL OR f.retry_at <= now())",
        "true",
    )


def no_sweep() -> None:
    from services.maintenance.sweeper import Sweeper

    _replace(Sweeper, "sweep", _nothing)


def sweep_whatever_is_open() -> None:
    """The sweep asks no stream what it still holds."""
    from services.maintenance.sweeper import Sweeper

    _replace(Sweeper, "_oldest_bell", _nothing)


def no_claimer() -> None:
    from shared.delivery import Delivery

    _replace(Delivery, "claim_abandoned", _nothing)


def no_lease_renewal() -> None:
    from services.extractor.session import SessionWork

    _replace(SessionWork, "keep_leases", _nothing)


def no_user_lock() -> None:
    from shared.ledger import store as ledger

    async def everybody(_tx: object, _scope: str, users: Any) -> set[Any]:
        return set(users)

    _replace(ledger, "try_lock_users", everybody)


def no_durable_intake() -> None:
    """Messages from Redis are acknowledged before the disk has them."""
    from services.extractor.intake import Intake

    store = Intake._store_many

    async def undurably(self: Intake, several: Any) -> Any:
        self._db._settings["synchronous_commit"] = "off"
        return await store(self, several)

    _replace(Intake, "_store_many", undurably)


def slow_fold() -> None:
    """No sabotage: the fold takes longer between reading and writing, so that two can meet."""
    from shared.ledger import store as ledger

    write = ledger._write

    async def late(tx: Any, changes: Any) -> None:
        await asyncio.sleep(0.1)
        await write(tx, changes)

    _replace(ledger, "_write", late)


def slow_embedder() -> None:
    """No sabotage: a consumer that is slower than what it is sent."""
    from services.embedder.consumer import EmbedderStage

    process = EmbedderStage.process

    async def late(self: EmbedderStage, refs: Any) -> Any:
        await asyncio.sleep(0.5)
        return await process(self, refs)

    _replace(EmbedderStage, "process", late)


def counted_sweep() -> None:
    """No sabotage: how many bells were rung again is written down in Redis."""
    from services.maintenance.sweeper import Sweeper

    sweep = Sweeper.sweep

    async def counted(self: Sweeper) -> int:
        rung = await sweep(self)
        if rung:
            await self._redis.incrby(RINGS, rung)
        return rung

    _replace(Sweeper, "sweep", counted)


def hangs_at_commit() -> None:
    """No sabotage: every stage stops for good where it is about to commit."""
    from services.superseder import store

    async def never(*_: Any, **__: Any) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    _replace(store, "settle", never)


SABOTAGES: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        no_claim,
        no_sweep,
        sweep_whatever_is_open,
        no_claimer,
        no_lease_renewal,
        no_user_lock,
        no_durable_intake,
        slow_fold,
        slow_embedder,
        counted_sweep,
        hangs_at_commit,
    )
}


async def _nothing(*_args: Any, **_named: Any) -> Any:
    return None


def _replace(owner: Any, name: str, replacement: Callable[..., Awaitable[Any]]) -> None:
    assert hasattr(owner, name), f"{owner} has no {name}: the sabotage no longer bites"
    setattr(owner, name, replacement)


def _rewrite(queries: Any, name: str, old: str, new: str) -> None:
    """Change one statement of a store."""
    statement = queries[name]
    assert old in statement, f"{name} does not say {old!r}: the sabotage no longer bites"
    queries._statements[name] = statement.replace(old, new)
