"""What has faded: left out unless it is asked for, by name or by a question that it answers.

A slot, a category or `view=all` asks for it by name. A question is looked up among everything, and
a faded fact stays among what was found only where it answers strongly by itself; a passing likeness
is what fading is to spare people.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from services.gateway.ranking import calibrated
from services.gateway.recall_store import Scope
from services.gateway.requests import View
from services.gateway.search import Found

ANSWERS = 0.5
"""From this score on a faded fact answers; see docs/essentials-and-fading.md for what it costs."""


def fading_at(as_of: datetime, now: datetime, *, view: View, named: bool) -> datetime | None:
    """The moment whose fading counts; None where what has faded is asked for.

    `named`: whether a slot or a category is. What fades after `as_of` was there then, and what is
    to fade after now may still be spoken of.
    """
    return None if view == "all" or named else min(as_of, now)


async def find_present(
    look: Callable[[Scope, datetime | None], Awaitable[Found]], scope: Scope, wanted: int
) -> Found:
    """What may matter and is present, and what has faded and answers all the same.

    Where that would leave less than is `wanted`, what is present is looked up by itself too.
    `look` is told by when what had faded is to be told apart.
    """
    at = None if scope.named is not None else scope.fading_at
    found = await look(replace(scope, fading_at=None), at)
    gone = {str(row) for row in found.faded}
    if not gone:
        return found
    kept = [
        candidate
        for candidate in found.candidates
        if candidate.id not in gone or calibrated(candidate, found.calibration) >= ANSWERS
    ]
    if len(kept) == len(found.candidates):
        return found
    if len(kept) >= wanted:
        return replace(found, candidates=kept)
    present = await look(scope, None)
    gone -= {candidate.id for candidate in present.candidates}  # used meanwhile, it is present
    back = [candidate for candidate in kept if candidate.id in gone]
    rows = [*present.rows, *(row for row in found.rows if str(row["id"]) in gone)]
    return replace(present, candidates=[*present.candidates, *back], rows=rows)
