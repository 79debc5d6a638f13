"""A stage whose bells name rows: what the embedder, deduper, superseder and maintenance share."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

from structlog.contextvars import bound_contextvars

from shared.db import Database
from shared.delivery import ENTRIES_A_TURN, Entry
from shared.errors import PoisonError
from shared.events import Announcement, decode_rows_bell
from shared.failures.store import RetryPolicy, RowRef, Subject, Table, fail_rows, record
from shared.fairness import Turns
from shared.ids import trace_id
from shared.isolation import isolate
from shared.observability import whose
from shared.tracing.spans import spans
from shared.tracing.store import contexts_of


class RowsStage(ABC):
    """Decodes bells, parts their rows, works on each part, and parks the rows that fail."""

    name: str
    streams: tuple[str, ...]
    concurrency = 1
    table: Table = "facts"
    state: str
    """The state of the rows this stage works on."""

    def __init__(self, failures_db: Database, policy: RetryPolicy) -> None:
        self._failures_db = failures_db
        self._policy = policy

    @abstractmethod
    async def process(self, refs: Sequence[RowRef]) -> list[Announcement]:
        """Work on the rows that are still in this stage's state; others are passed over."""

    def parts(self, refs: Sequence[RowRef]) -> list[list[RowRef]]:
        """Part rows into what is worked on side by side: here, all at once."""
        return [list(refs)]

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        return [waiting.take(ENTRIES_A_TURN)]

    async def work(self, entries: Sequence[Entry]) -> list[Announcement]:
        refs: dict[RowRef, None] = {}
        for entry in entries:
            try:
                refs.update(dict.fromkeys(_rows_of(entry)))
            except PoisonError as error:
                await self._bury(entry, error)
        parts = self.parts(list(refs))
        worked = [isolate(part, self._observed, self._fail) for part in parts]
        outcomes = await asyncio.gather(*worked, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [one for outcome in outcomes for one in cast("list[Announcement]", outcome)]

    async def _observed(self, refs: Sequence[RowRef]) -> list[Announcement]:
        """Work on rows in the traces they came with, and have logs say whose they are."""
        parents = await contexts_of(self._failures_db, self.table, refs)
        with bound_contextvars(**_told(refs)), spans(self.name, parents, {"rows": len(refs)}):
            return await self.process(refs)

    async def heartbeat(self) -> None:  # noqa: B027  entries are all it holds
        """Keep nothing alive."""

    def hurry(self) -> None:  # noqa: B027
        """What is under way is finished."""

    async def release(self) -> None:  # noqa: B027
        """Give up nothing."""

    async def refuse(self, entry: Entry, error: Exception) -> None:
        """Record against the entry's rows what kept them from being worked on."""
        try:
            await self._fail(_rows_of(entry), error)
        except PoisonError:
            await self._bury(entry, error)

    async def _fail(self, refs: Sequence[RowRef], error: Exception) -> None:
        tenants = {ref.tenant for ref in refs}
        async with self._failures_db.of(*tenants).transaction() as tx:
            await fail_rows(tx, self.name, self.table, refs, error, self._policy, self.state)

    async def _bury(self, entry: Entry, error: Exception) -> None:
        subject = entry_subject(entry)
        async with self._failures_db.of(subject.tenant).transaction() as tx:
            await record(tx, self.name, [subject], error, self._policy)


def _told(refs: Sequence[RowRef]) -> dict[str, str]:
    """What logs say of rows: the user, if there is one only, and the trace of a single row."""
    users = {(ref.tenant, ref.user) for ref in refs}
    told = whose(*users.pop()) if len(users) == 1 else {}
    return {**told, "trace": trace_id(refs[0].id)} if len(refs) == 1 else told


def by_user(refs: Sequence[RowRef]) -> list[list[RowRef]]:
    """Part rows user by user."""
    users: dict[tuple[str, str], list[RowRef]] = {}
    for ref in refs:
        users.setdefault((ref.tenant, ref.user), []).append(ref)
    return list(users.values())


def entry_subject(entry: Entry) -> Subject:
    """Describe an entry that has no row yet: its only copy is its payload.

    It is known by its id and its fields: ids may begin anew once a stream was emptied. Its tenant
    is the one it names, where that can be read, so that its owner sees it.
    """
    payload = {_readable(key): _readable(value) for key, value in entry.raw.items()}
    if any(
        key.encode() not in entry.raw or entry.raw[key.encode()] != value.encode()
        for key, value in payload.items()
    ):
        payload["_altered"] = "true"  # shown, but never sent again
    tenant = payload.get("tenant", "default").replace("\x00", "")[:128] or "default"
    user = payload.get("user_id") or payload.get("user")
    user = user.replace("\x00", "")[:128] if user else None
    return Subject(tenant, user, f"{entry.stream}:{entry.id}:{_digest(entry)}", payload)


def _digest(entry: Entry) -> str:
    said = b"\x00".join(part for field in sorted(entry.raw.items()) for part in field)
    return hashlib.sha256(said).hexdigest()[:16]


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def _rows_of(entry: Entry) -> list[RowRef]:
    bell = decode_rows_bell(entry.fields())
    return [RowRef(bell.tenant, bell.user, row) for row in bell.ids]
