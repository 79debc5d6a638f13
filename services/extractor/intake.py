"""Messages that come straight from Redis: stored the moment they are read, then their bell rung.

What makes no sense becomes a dead letter with its reason and payload; its neighbours are stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from faststream.redis.parser import BinaryMessageFormatV1

from shared.db import Database
from shared.delivery import Entry
from shared.errors import PoisonError
from shared.events import Announcement
from shared.failures.store import RetryPolicy, record
from shared.intake.admission import QUOTA, store_within
from shared.intake.messages import Limits, Message, read_stream_message
from shared.isolation import isolate
from shared.quotas.quotas import Quotas
from shared.rows import entry_subject
from shared.together import Together

_FASTSTREAM_FIELD = b"__data__"
_MESSAGES_A_COMMIT = 500

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
        """Store them all in one commit; its bells are the first one's to ring."""
        pairs = await self._readable([entry for entries in several for entry in entries])
        if not pairs:
            return [[] for _ in several]
        async with self._db.transaction() as tx:
            messages = [message for _, message in pairs]
            stored = await store_within(tx, messages, self._window, self._quotas)
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
        return pairs

    def _read(self, entry: Entry) -> Message:
        return read_stream_message(_flat_fields(entry), self._limits, entry_id=entry.id)

    async def bury(self, entries: Sequence[Entry], error: Exception) -> None:
        """Keep what cannot be stored as dead letters."""
        async with self._db.transaction() as tx:
            subjects = [entry_subject(entry) for entry in entries]
            await record(tx, self._stage, subjects, error, self._policy)


def _flat_fields(entry: Entry) -> dict[str, str]:
    """Read flat fields, or the one field in which FastStream's own publisher puts JSON."""
    if _FASTSTREAM_FIELD not in entry.raw:
        return entry.fields()
    try:
        body, _ = BinaryMessageFormatV1.parse(entry.raw[_FASTSTREAM_FIELD])
        fields = json.loads(body)
    except (ValueError, IndexError) as error:
        raise PoisonError(f"its __data__ is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise PoisonError("its __data__ is not a JSON object")
    given = {key: value for key, value in fields.items() if value is not None}
    if b"message_id" in entry.raw:  # given to a dead letter that is sent again
        given.setdefault("message_id", entry.raw[b"message_id"].decode())
    return given
