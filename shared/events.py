"""Bells: what travels on the streams. They name rows; they never carry text or vectors.

A bell says "there is work here" for one user. `at` is its rows' `announced_at` by PostgreSQL's
clock: the sweep compares it to tell which rows have lost their bell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.errors import PoisonError

VERSION = "1"
_IDS_PER_BELL = 100


@dataclass(frozen=True, slots=True)
class SessionBell:
    """Messages of this session wait for extraction."""

    tenant: str
    user: str
    session: str
    at: datetime

    def encode(self) -> dict[str, str]:
        return {
            "v": VERSION,
            "tenant": self.tenant,
            "user": self.user,
            "session": self.session,
            "at": self.at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class RowsBell:
    """These facts (or jobs) of this user wait for the stage that reads the stream."""

    tenant: str
    user: str
    ids: tuple[UUID, ...]
    at: datetime

    def encode(self) -> dict[str, str]:
        return {
            "v": VERSION,
            "tenant": self.tenant,
            "user": self.user,
            "ids": ",".join(row.hex for row in self.ids),
            "at": self.at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a fact: public, on `memoire:facts:settled`."""

    tenant: str
    user: str
    fact: UUID
    event: str
    trace: str

    def encode(self) -> dict[str, str]:
        return {
            "v": VERSION,
            "tenant": self.tenant,
            "user_id": self.user,
            "fact_id": str(self.fact),
            "event": self.event,
            "trace_id": self.trace,
        }


Event = SessionBell | RowsBell | Settled
Announcement = tuple[str, Event]
"""A stream's name and what is announced there."""


def decode_session_bell(fields: Mapping[str, str]) -> SessionBell:
    """Read a bell of `memoire:messages`; raises PoisonError when it is none."""
    _refuse_other_versions(fields)
    try:
        at = datetime.fromisoformat(fields["at"])
        return SessionBell(fields["tenant"], fields["user"], fields["session"], at)
    except (KeyError, ValueError) as error:
        raise PoisonError(f"not a session's bell: {error!r}") from error


def decode_rows_bell(fields: Mapping[str, str]) -> RowsBell:
    """Read a bell of any other work stream; raises PoisonError when it is none."""
    _refuse_other_versions(fields)
    try:
        ids = tuple(UUID(hex=row) for row in fields["ids"].split(",") if row)
        at = datetime.fromisoformat(fields["at"])
        return RowsBell(fields["tenant"], fields["user"], ids, at)
    except (KeyError, ValueError) as error:
        raise PoisonError(f"not a bell of rows: {error!r}") from error


def _refuse_other_versions(fields: Mapping[str, str]) -> None:
    """Fields may be added to a version, and are ignored; another one means something else."""
    if (said := fields.get("v", VERSION)) != VERSION:
        raise PoisonError(f"a bell of version {said[:20]}, which this process cannot read")


def bells_for(rows: Iterable[Mapping[str, Any]]) -> Iterator[RowsBell]:
    """Group rows (tenant_id, user_id, id, announced_at) into as few bells as can be."""
    by_user: dict[tuple[str, str, datetime], list[UUID]] = {}
    for row in rows:
        key = (row["tenant_id"], row["user_id"], row["announced_at"])
        by_user.setdefault(key, []).append(row["id"])
    for (tenant, user, at), ids in by_user.items():
        for start in range(0, len(ids), _IDS_PER_BELL):
            yield RowsBell(tenant, user, tuple(ids[start : start + _IDS_PER_BELL]), at)


def session_bells_for(rows: Iterable[Mapping[str, Any]]) -> Iterator[SessionBell]:
    """Ring once per session for rows (tenant_id, user_id, session_id, announced_at).

    Rows that are not announced (null) wait for their tenant's window.
    """
    oldest: dict[tuple[str, str, str], datetime] = {}
    for row in rows:
        if row["announced_at"] is None:
            continue
        key = (row["tenant_id"], row["user_id"], row["session_id"])
        oldest[key] = min(oldest.get(key, row["announced_at"]), row["announced_at"])
    for (tenant, user, session), at in oldest.items():
        yield SessionBell(tenant, user, session, at)
