"""Which superseded facts can be removed without a change to anything else that is known (pure).

A superseded fact is an input of the law like any other: it may be what ends, confirms or dates
another one. So it goes only if the fold of all that is left says of every other fact what it said
before. What ends or denies never goes by itself: an old export would bring back what it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from shared.beliefs import Standing
from shared.db import Row

Fold = Callable[[Sequence[Row]], Mapping[UUID, Standing]]


def expendable(
    rows: Sequence[Row], fold: Fold, before: datetime, acts: Collection[UUID] = ()
) -> set[UUID]:
    """Name the facts that may go: superseded, over, and all of it heard before a moment.

    `rows` are all inputs that the fold of these facts has; `acts` are facts that operators made.
    """
    standings = fold(rows)
    groups: dict[UUID, list[Row]] = {}
    for row in rows:
        groups.setdefault(standings[row["id"]].canonical_id, []).append(row)
    heard = {row["id"]: row["recorded_at"] for row in rows}
    going = {
        row["id"]
        for canonical, group in groups.items()
        if canonical in standings
        and _is_over(standings[canonical], heard, before)
        and all(_may_go(one, before, acts) for one in group)
        for row in group
    }
    if not going:
        return going
    left = [row for row in rows if row["id"] not in going]
    after = fold(left)
    unchanged = all(after[row["id"]] == standings[row["id"]] for row in left)
    return going if unchanged else set()


def _is_over(standing: Standing, heard: Mapping[UUID, datetime], before: datetime) -> bool:
    """Superseded by something that was heard before the moment, and over by then."""
    by = standing.superseded_by
    ended = all(end is not None and end < before for _, end in standing.valid)
    return by is not None and heard.get(by, before) < before and ended


def _may_go(row: Row, before: datetime, acts: Collection[UUID]) -> bool:
    return row["claim"] == "holds" and row["recorded_at"] < before and row["id"] not in acts
