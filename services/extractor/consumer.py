"""The extractor: chat logs `received` → `extracting` → `extracted`, and facts `extracted`.

Entries of its stream are messages (stored at once) or bells (worked on session by session).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.extractor.intake import Intake
from services.extractor.session import SessionWork
from services.extractor.store import STAGE
from shared.delivery import ENTRIES_A_TURN, Entry
from shared.errors import PoisonError
from shared.events import Announcement, decode_session_bell
from shared.fairness import Turns
from shared.topology import MESSAGES


class ExtractorStage:
    """Hands messages to the intake and bells to the session's work."""

    name = STAGE
    streams = (MESSAGES,)

    concurrency = 4096
    """Groups read ahead, most of which wait for their tenant's turn: so many that messages from
    outside, which stand in the same stream, never wait for a model. Turns are `SessionWork`'s."""

    def __init__(self, intake: Intake, sessions: SessionWork) -> None:
        self._intake = intake
        self._sessions = sessions

    def next_groups(self, waiting: Turns[Entry]) -> list[list[Entry]]:
        """Part what waits into messages, by tenant, and bells, by session."""
        messages: dict[bytes | None, list[Entry]] = {}
        sessions: dict[tuple[bytes | None, ...], list[Entry]] = {}
        for entry in waiting.take(ENTRIES_A_TURN):
            if _is_bell(entry):
                key = tuple(entry.raw.get(name) for name in (b"tenant", b"user", b"session"))
                sessions.setdefault(key, []).append(entry)
            else:
                messages.setdefault(entry.raw.get(b"tenant"), []).append(entry)
        return [*messages.values(), *sessions.values()]

    async def work(self, entries: Sequence[Entry]) -> list[Announcement]:
        if not _is_bell(entries[0]):
            return await self._intake.take(entries)
        try:
            bell = decode_session_bell(entries[0].fields())
        except PoisonError as error:
            await self._intake.bury(entries, error)
            return []
        return await self._sessions.extract(bell)

    async def heartbeat(self) -> None:
        await self._sessions.keep_leases()

    def hurry(self) -> None:
        self._sessions.hurry()

    async def release(self) -> None:
        await self._sessions.release()

    async def refuse(self, entry: Entry, error: Exception) -> None:
        """Keep a message that cannot be taken; a bell's rows speak for themselves."""
        if not _is_bell(entry):
            await self._intake.bury([entry], error)


def _is_bell(entry: Entry) -> bool:
    """Tell the gateway's bells from messages: only a bell carries `at` and no content."""
    return b"at" in entry.raw and b"content" not in entry.raw
