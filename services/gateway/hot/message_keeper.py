"""Keeps the messages of users whose facts are kept, and lets nobody see them when they are old.

As with facts (`keeper`), by marks of their own: messages come far more often than facts change, and
a question right after one reads that one, in one statement.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Collection
from uuid import UUID

import structlog
from psycopg import Error

from services.gateway.hot import message_store
from services.gateway.hot.messages import Messages
from services.gateway.hot.store import Sight, Whose
from shared.db import Database

log = structlog.get_logger()

_MOST_READ_AGAIN = 2_000  # messages; beyond, reading everything costs no more
_MOST_MARKS = 2_000
_NO_ROOM_SECONDS = 600.0
_FAILED_SECONDS = 30.0
_MOST_REMEMBERED = 10_000


class MessageKeeper:
    """Whose messages are kept; `keeper.Keeper` says whose, and how much room there is."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: dict[Whose, _Kept] = {}
        self._declined: dict[Whose, float] = {}

    @property
    def size_bytes(self) -> int:
        return sum(kept.size_bytes for kept in self._kept.values())

    def wants(self, whose: Whose) -> bool:
        """Whether a user's messages should be read."""
        due = self._declined.get(whose, 0.0)
        return whose not in self._kept and time.monotonic() >= due

    async def look(self, whose: Whose, seen: Sight, looked_at: float) -> Messages | None:
        """The user's messages at least as of a look; None where SQL has to answer.

        `looked_at`: a moment behind that look.
        """
        if (kept := self._kept.get(whose)) is None:
            return None
        if await kept.follow(self._db, whose, seen, looked_at):
            return kept.messages
        if self._kept.get(whose) is kept:
            del self._kept[whose]
        return None

    async def load(self, whose: Whose, most_bytes: int) -> None:
        """Read all of a user's messages, unless they are more than may be kept."""
        begun = time.monotonic()
        messages = Messages()
        try:
            async with self._db.of(whose.tenant).snapshot(long=True) as tx:
                tokens = await message_store.marks(tx, whose)
                async for rows in message_store.all_messages(tx, whose):
                    messages.add(rows)
                    if messages.size_bytes > most_bytes:
                        return self.decline(whose)
                    await asyncio.sleep(0)
        except (Error, OSError, TimeoutError) as error:
            log.warning("a user's messages could not be read into memory", error=repr(error))
            return self.decline(whose, _FAILED_SECONDS)
        self._kept[whose] = _Kept(messages, tokens, begun)
        return None

    def decline(self, whose: Whose, seconds: float = _NO_ROOM_SECONDS) -> None:
        """Drop a user's messages, and do not read them for a while."""
        self.drop(whose)
        if len(self._declined) >= _MOST_REMEMBERED:
            self._declined.clear()
        self._declined[whose] = time.monotonic() + seconds

    def admit_again(self) -> None:
        """Forget who was declined: users were erased, and nothing of them may stay."""
        self._declined.clear()

    def drop(self, whose: Whose) -> None:
        self._kept.pop(whose, None)

    def keep_only(self, users: Collection[Whose]) -> None:
        """Drop the messages of everybody else."""
        for whose in self._kept.keys() - set(users):
            del self._kept[whose]


class _Kept:
    """One user's messages with the marks they were read with."""

    def __init__(self, messages: Messages, tokens: frozenset[UUID], read_at: float) -> None:
        self.messages = messages
        self.size_bytes = messages.size_bytes
        self._tokens = tokens
        self._seal = _seal(tokens)
        self._read_at = read_at
        self._lock = asyncio.Lock()

    async def follow(self, db: Database, whose: Whose, seen: Sight, looked_at: float) -> bool:
        """Bring them to what the database has; False where all of them must be read."""
        async with self._lock:
            if self._seal == seen.message_seal or self._read_at > looked_at:
                return True
            return await self._read_again(db, whose)

    async def _read_again(self, db: Database, whose: Whose) -> bool:
        """Read what the marks since then name; not where some of those seen before are gone.

        Without any mark seen nothing tells what is missing.
        """
        if len(self._tokens) > _MOST_MARKS:
            return False  # one transaction left as many; comparing them costs more than reading
        begun = time.monotonic()
        found = await message_store.since(db, whose, self._tokens, _MOST_READ_AGAIN)
        seen_all = self._tokens <= found.tokens | found.swept
        if not (self._tokens and seen_all and len(found.changed) < _MOST_READ_AGAIN):
            return False
        self.messages.remove(found.changed)
        self.messages.add(found.rows)
        self.size_bytes = self.messages.size_bytes
        self._tokens, self._seal, self._read_at = found.tokens, _seal(found.tokens), begun
        return not self.messages.is_littered


def _seal(tokens: frozenset[UUID]) -> bytes | None:
    """The seal as the database makes it; none without marks."""
    if not tokens:
        return None
    return hashlib.sha256(b"".join(sorted(token.bytes for token in tokens))).digest()
