"""What has faded: left out unless it is asked for, and found again when nothing else answers.

A slot, a category or `view=all` asks for it. So does a question that nothing present answers: then
the faded facts are looked through as well, and those that answer it strongly come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.gateway import recall_store
from services.gateway.ranking import calibrated
from services.gateway.recall_store import Scope
from services.gateway.requests import View
from services.gateway.search import Found, Search
from shared.beliefs import Standing
from shared.db import Database

ANSWERS = 0.6
"""From this score on a hit answers: see docs/fading.md."""


def fading_at(as_of: datetime, now: datetime, *, view: View, named: bool) -> datetime | None:
    """The moment whose fading counts; None where what has faded is asked for.

    `named`: whether a slot or a category is. What fades after `as_of` was there then, and what is
    to fade after now may still be spoken of.
    """
    return None if view == "all" or named else min(as_of, now)


async def find_present(
    db: Database,
    search: Search,
    scope: Scope,
    query: str,
    known: Mapping[UUID, Standing],
    *,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> Found:
    """What may matter and has not faded; what has faded too, where that alone answers."""
    found = await search.find(scope, query, known, as_of=as_of, known_at=known_at)
    at = scope.fading_at
    if at is None or scope.named is not None or _answer(found):
        return found
    async with db.autocommit() as tx:
        if not await recall_store.any_faded(tx, scope, at):
            return found
    everything = replace(scope, fading_at=None)
    again = await search.find(everything, query, known, as_of=as_of, known_at=known_at)
    async with db.autocommit() as tx:
        faded = await recall_store.faded_among(tx, scope, at, list(again.ids.values()))
    gone = {str(row) for row in faded}
    back = [c for c in again.candidates if c.id not in gone or calibrated(c) >= ANSWERS]
    if not any(candidate.id in gone for candidate in back):
        return found
    return replace(again, candidates=back)


def _answer(found: Found) -> bool:
    return any(calibrated(candidate) >= ANSWERS for candidate in found.candidates)
