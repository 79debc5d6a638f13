"""What is told of a recall: how long it and each arm took, and whose finds were shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from services.gateway.ranking import Candidate
from shared.db import Row
from shared.metrics.catalogue import (
    ARM_CANDIDATES,
    ARM_SECONDS,
    RECALL_SECONDS,
    SHOWN_FACTS,
    WITHOUT_VECTOR,
)


async def told(
    arm: str,
    looking: Awaitable[list[Row]],
    count: Callable[[Sequence[Row]], int] = len,
) -> list[Row]:
    """What an arm finds; how long that took and how many there are is told."""
    with ARM_SECONDS.timing(arm=arm):
        found = await looking
    ARM_CANDIDATES.observe(count(found), arm=arm)
    return found


def answered(
    seconds: float,
    shown: Iterable[str],
    candidates: Iterable[Candidate],
    *,
    in_memory: bool,
    with_vector: bool,
) -> None:
    """Tell of a whole recall; `shown` are the ids of the facts in its answer."""
    if not RECALL_SECONDS.is_open:
        return
    RECALL_SECONDS.observe(seconds, source="memory" if in_memory else "sql")
    if not with_vector:
        WITHOUT_VECTOR.add()
    found_by = {candidate.id: _found_by(candidate) for candidate in candidates}
    for arm, facts in Counter(found_by.get(fact, "neighbours") for fact in shown).items():
        SHOWN_FACTS.add(facts, arm=arm)


def _found_by(candidate: Candidate) -> str:
    by_vector = candidate.reached and candidate.cosine is not None
    if candidate.bm25 is not None:
        return "both" if by_vector else "lexical"
    return "vector" if by_vector else "neighbours"
