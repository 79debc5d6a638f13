"""Keeps the facts of users who are asked about often, and lets nobody see them when they are old.

Their messages are kept with them where there is room (`message_keeper`).

Every look reads the seal of a user's marks in the database. Where it differs from the seal that the
facts were read with, what the new marks name is read again before anything is answered; where marks
are gone, everything is. Whoever is not kept yet is answered by SQL, and read in the background.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from psycopg import Error

from services.gateway.hot import store
from services.gateway.hot.message_keeper import MessageKeeper
from services.gateway.hot.messages import Messages
from services.gateway.hot.shelf import Shelf
from services.gateway.hot.store import Pair, Sight, Whose
from services.gateway.recall_store import TERMS
from shared.db import Database, Row, Transaction
from shared.erasure.law import user_sha256
from shared.metrics.catalogue import RECALL_MEMORY, RECALL_USERS

log = structlog.get_logger()

_IDLE_SECONDS = (
    600.0  # who is not asked about for so long is let go, and not read on the next question
)
_MOST_REMEMBERED = 10_000
_MOST_READ_AGAIN = 2_000  # facts; beyond, reading everything costs no more


@dataclass
class _Kept:
    shelf: Shelf
    seal: bytes
    tokens: frozenset[UUID]
    generation: int
    since: datetime
    """What is current is right for no moment before this one."""
    read_at: float
    used_at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    size_bytes: int = 0

    def __post_init__(self) -> None:
        self.size_bytes = self.shelf.size_bytes

    def is_as(self, seen: Sight) -> bool:
        return self.seal == seen.seal and self.generation == seen.generation


@dataclass(frozen=True, slots=True)
class Held:
    """A user's facts as they are, and the query's terms with what each may be found as.

    Messages too, where they are kept, and the query's words as these have them.
    """

    shelf: Shelf
    asked: list[Pair]
    messages: Messages | None
    words: list[str]


class Keeper:
    """The users kept by one process, at most so many bytes of them; 0 keeps none."""

    def __init__(self, db: Database, most_bytes: int) -> None:
        self._db = db
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Whose, _Kept] = OrderedDict()
        self._messages = MessageKeeper(db)
        self._asked: OrderedDict[Whose, float] = OrderedDict()
        self._declined: dict[Whose, float] = {}
        self._loading: asyncio.Task[None] | None = None
        self._letting_go: asyncio.TimerHandle | None = None
        self._tell()

    @property
    def _bytes(self) -> int:
        facts = sum(kept.size_bytes for kept in self._kept.values())
        return facts + self._messages.size_bytes

    def _tell(self) -> None:
        RECALL_MEMORY.set(self._bytes)
        RECALL_USERS.set(len(self._kept))

    def keeps(self, whose: Whose, now: datetime) -> bool:
        """Whether a look may be worth while; a second question within minutes gets a user read."""
        if self._most_bytes and whose.dimensions and whose not in self._kept:
            self._note(whose, now)
        return whose in self._kept

    async def look(self, whose: Whose, query: str, now: datetime) -> Held | None:
        """The user's facts as they are at this moment; None where SQL has to answer."""
        kept = self._kept.get(whose)
        if kept is None:
            return None
        seen = await store.sight(self._db, whose, query, TERMS)
        if seen is None or seen.seal is None:
            self._kept.pop(whose, None)
            self._messages.drop(whose)
            return None
        looked_at = time.monotonic()
        async with kept.lock:
            fresh = kept.is_as(seen) or kept.read_at > looked_at
            due = kept.shelf.changing_by(now)
            if (due or not fresh) and not await self._read_again(whose, kept, due, now):
                return None
        if self._kept.get(whose) is kept:
            self._kept.move_to_end(whose)  # who asks is the last to be let go
        size = self._messages.size_bytes
        messages = await self._messages.look(whose, seen, looked_at)
        if self._messages.size_bytes != size:
            self._make_room()
        if not self._is_busy and self._messages.wants(whose):
            self._loading = asyncio.create_task(self._load_messages(whose))
        if kept.since > now or self._kept.get(whose) is not kept:
            return None
        kept.used_at = time.monotonic()
        return Held(kept.shelf, seen.asked, messages, seen.words)

    def forget(self, erased: Collection[tuple[str, bytes]]) -> None:
        """Drop erased users, given by tenant and digest."""
        for known in (self._kept, self._asked, self._declined):
            for whose in [w for w in known if (w.tenant, user_sha256(w.tenant, w.user)) in erased]:
                del known[whose]
        self._messages.keep_only(self._kept)
        self._messages.admit_again()

    async def close(self) -> None:
        """Stop reading, and forget everybody."""
        if self._letting_go is not None:
            self._letting_go.cancel()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        self._kept.clear()
        self._messages.keep_only(())

    async def loaded(self) -> None:
        """Wait until nobody is being read."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)

    @property
    def _is_busy(self) -> bool:
        return self._loading is not None and not self._loading.done()

    def _note(self, whose: Whose, now: datetime) -> None:
        moment = time.monotonic()
        if moment < self._declined.get(whose, 0.0):
            return
        last = self._asked.pop(whose, None)
        self._asked[whose] = moment
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.popitem(last=False)
        if last is not None and moment - last < _IDLE_SECONDS and not self._is_busy:
            self._loading = asyncio.create_task(self._load(whose, now))

    async def _load(self, whose: Whose, now: datetime) -> None:
        begun = time.monotonic()
        try:
            async with self._db.of(whose.tenant).snapshot(long=True) as tx:
                marks = await store.marks(tx, whose)
                shelf = await self._all(tx, whose, marks, now) if marks else None
        except (Error, OSError, TimeoutError) as error:
            log.warning("a user's facts could not be read into memory", error=repr(error))
            return
        if shelf is None:
            self._decline(whose)
            return
        kept = _Kept(shelf, *_state(marks), now, read_at=begun, used_at=begun)
        self._kept[whose] = kept
        self._asked.pop(whose, None)
        self._make_room()
        self._let_go_in(_IDLE_SECONDS)
        if self._messages.wants(whose):
            await self._load_messages(whose)

    async def _load_messages(self, whose: Whose) -> None:
        """Read a kept user's messages, as far as there is room for them beside the facts."""
        if (kept := self._kept.get(whose)) is not None:
            await self._messages.load(whose, self._most_bytes - kept.size_bytes)
            if whose not in self._kept:  # let go meanwhile, or erased
                self._messages.drop(whose)
            self._make_room()

    def _decline(self, whose: Whose) -> None:
        """Do not read a user for a while who is too large, or has no marks."""
        if len(self._declined) >= _MOST_REMEMBERED:
            self._declined.clear()
        self._declined[whose] = time.monotonic() + _IDLE_SECONDS

    async def _all(
        self, tx: Transaction, whose: Whose, marks: Sequence[Row], now: datetime
    ) -> Shelf | None:
        """Read everything; None as soon as it is more than may be kept."""
        shelf = Shelf(whose.dimensions)
        async for rows in store.fact_rows(tx, whose, marks[0]["generation"], now, None):
            shelf.add(rows)
            if shelf.size_bytes > self._most_bytes:
                return None
            self._make_room(beside=shelf.size_bytes)
            await asyncio.sleep(0)
        return shelf

    async def _read_again(
        self, whose: Whose, kept: _Kept, due: Sequence[UUID], now: datetime
    ) -> bool:
        """Read what has changed; where that cannot be told, let go, to be read anew."""
        begun = time.monotonic()
        async with self._db.of(whose.tenant).snapshot() as tx:
            marks = await store.marks(tx, whose)
            changed = _changed(kept, marks)
            if changed is None or len(changed) + len(due) > _MOST_READ_AGAIN:
                self._kept.pop(whose, None)
                self._asked[whose] = begun
                return False
            changed |= set(due)
            chunks = store.fact_rows(tx, whose, kept.generation, now, sorted(changed))
            rows = [row async for chunk in chunks for row in chunk]
        kept.shelf.remove(changed)
        kept.shelf.add(rows)
        kept.size_bytes = kept.shelf.size_bytes
        kept.seal, kept.tokens, kept.generation = _state(marks)
        kept.since, kept.read_at = max(kept.since, now), begun
        if kept.shelf.is_littered:
            self._kept.pop(whose, None)
            self._asked[whose] = begun
            return True
        self._make_room()
        return True

    def _make_room(self, beside: int = 0) -> None:
        """Let go who has not been asked about for longest: the messages, then the facts.

        `beside`: bytes of somebody who is being read.
        """
        most = self._most_bytes - beside
        if self._bytes > most:
            self._messages.keep_only(self._kept)
        for whose in list(self._kept):
            if self._bytes <= most:
                break
            self._messages.decline(whose)
            if self._bytes > most:
                del self._kept[whose]
        self._tell()

    def _let_go_in(self, seconds: float) -> None:
        if self._letting_go is None:
            self._letting_go = asyncio.get_running_loop().call_later(seconds, self._let_go)

    def _let_go(self) -> None:
        """Forget whom nobody has asked about for a while."""
        self._letting_go = None
        idle = time.monotonic() - _IDLE_SECONDS
        for whose in [one for one, kept in self._kept.items() if kept.used_at < idle]:
            del self._kept[whose]
        self._messages.keep_only(self._kept)
        self._tell()
        if self._kept:
            self._let_go_in(_IDLE_SECONDS / 10)


def _changed(kept: _Kept, marks: Sequence[Row]) -> set[UUID] | None:
    """The facts that the marks since then name; None where some of those seen before are gone."""
    tokens = {row["token"] for row in marks}
    if not kept.tokens <= tokens or not marks or marks[0]["generation"] != kept.generation:
        return None
    return {row["fact_id"] for row in marks if row["token"] not in kept.tokens}


def _state(marks: Sequence[Row]) -> tuple[bytes, frozenset[UUID], int]:
    """The seal as the database makes it, the tokens under it, the generation that counts."""
    seal = hashlib.sha256(b"".join(row["token"].bytes for row in marks)).digest()
    return seal, frozenset(row["token"] for row in marks), marks[0]["generation"]
