"""Messages that come straight from Redis: stored the moment they are read, then their bell rung.

What makes no sense becomes a dead letter with its reason and payload; its neighbours are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.db import Database, Transaction
from shared.delivery import Entry
from shared.erasure.law import Position
from shared.erasure.store import hold_off
from shared.erasure.streams import session_of, whose
from shared.errors import NotNowError, PoisonError
from shared.events import Announcement
from shared.failures.store import RetryPolicy, record
from shared.intake.admission import QUOTA, store_within
from shared.intake.entries import flat_fields
from shared.intake.messages import Limits, Message, read_stream_message
from shared.isolation import isolate
from shared.metrics.commits import ingested
from shared.quotas.quotas import Quotas
from shared.rows import entry_subject
from shared.together import Together

_MESSAGES_A_COMMIT = 500
_ERASING_SECONDS = 0.2

_REFUSALS = {
    "conflict": "message_id: was used before for other content",
    "over_quota": f"{QUOTA}: the tenant's quota was used up; redrive it on another day",
}


class Intake:
    """Stores what outside programs publish. Its database must be durable: this is acceptance."""

    def __init__(
        self,
        durable: Database,
        *,
        limits: Limits,
        window: int,
        policy: RetryPolicy,
        stage: str,
        quotas: Quotas | None = None,
    ) -> None:
        self._db = durable
        self._quotas = quotas or Quotas(durable)
        self._limits = limits
        self._window = window
        self._policy = policy
        self._stage = stage
        self._store = Together(
            self._store_many,
            _MESSAGES_A_COMMIT,
            whose=lambda entries: entries[0].raw.get(b"tenant"),
            weigh=len,
        )

    async def take(self, entries: Sequence[Entry]) -> list[Announcement]:
        """Store a tenant's messages durably, with others' in one commit; returns bells to ring.

        However much one tenant has put on the stream, the next commit has something of everybody's;
        until its turn nothing is done about an entry.
        """
        return await isolate(entries, self._store, self.bury)

    async def _store_many(self, several: Sequence[Sequence[Entry]]) -> list[list[Announcement]]:
        """Store them all in one commit; its bells are the first one's to ring.

        What was added before its user or session was erased is passed over. Raises NotNowError,
        and stores nothing, when one of their users is being erased at this moment.
        """
        readable = await self._readable([entry for entries in several for entry in entries])
        if not readable:
            return [[] for _ in several]
        tenants = {message.tenant for _, message in readable}
        async with self._db.of(*tenants).transaction() as tx:
            pairs = await self._standing(tx, readable)
            messages = [message for _, message in pairs]
            stored = await store_within(tx, messages, self._window, self._quotas)
            if "erasing" in stored.outcomes:
                raise NotNowError("a user is being erased", _ERASING_SECONDS)
        ingested("redis", stored.outcomes)
        for outcome, reason in _REFUSALS.items():
            refused = [
                entry
                for (entry, _), became in zip(pairs, stored.outcomes, strict=True)
                if became == outcome
            ]
            if refused:
                await self.bury(refused, PoisonError(reason))
        return [stored.announcements, *([] for _ in several[1:])]

    async def _readable(self, entries: Sequence[Entry]) -> list[tuple[Entry, Message]]:
        """Read what can be read; the rest are dead letters at once."""
        pairs: list[tuple[Entry, Message]] = []
        for entry in entries:
            try:
                pairs.append((entry, self._read(entry)))
            except PoisonError as error:
                await self.bury([entry], error)
                ingested("redis", ["refused"])
        return pairs

    def _read(self, entry: Entry) -> Message:
        return read_stream_message(flat_fields(entry.raw), self._limits, entry_id=entry.id)

    async def _standing(
        self, tx: Transaction, pairs: Sequence[tuple[Entry, Message]]
    ) -> list[tuple[Entry, Message]]:
        """Leave out what was added before its user, or its session, was erased."""
        stones = await hold_off(tx, [(message.tenant, message.user) for _, message in pairs])
        return [
            (entry, message)
            for entry, message in pairs
            if not stones.cover(
                message.tenant, message.user, message.session, Position.of(entry.id)
            )
        ]

    async def bury(self, entries: Sequence[Entry], error: Exception) -> None:
        """Keep what cannot be stored as dead letters, unless its user was erased since."""
        named = [(entry, *whose(entry.raw)) for entry in entries]
        tenants = {tenant for _, tenant, _ in named} | {
            entry_subject(entry).tenant for entry in entries
        }
        async with self._db.of(*tenants).transaction() as tx:
            stones = await hold_off(tx, [(tenant, user) for _, tenant, user in named if user])
            subjects = [
                entry_subject(entry)
                for entry, tenant, user in named
                if not user
                or not stones.cover(tenant, user, session_of(entry.raw), Position.of(entry.id))
            ]
            await record(tx, self._stage, subjects, error, self._policy)
