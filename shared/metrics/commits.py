"""What a stage tells of a commit: rows moved, rows fenced off, and how long their way was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from shared.metrics.catalogue import (
    BATCH_ROWS,
    COMMITTED_ROWS,
    DROPPED_FACTS,
    END_TO_END_SECONDS,
    EXTRACTED_FACTS,
    INGESTED,
)
from shared.metrics.labels import DROPPED


def committed(stage: str, asked: int, moved: int) -> None:
    """Of the rows a stage asked to move, those it was given; the others somebody else had moved."""
    BATCH_ROWS.observe(moved, stage=stage)
    COMMITTED_ROWS.add(moved, stage=stage, outcome="moved")
    if fenced := asked - moved:
        COMMITTED_ROWS.add(fenced, stage=stage, outcome="fenced")


def arrived(seconds: Iterable[float | None], outcome: str) -> None:
    """How long ago the messages of what ended now were committed; None: it is of no message."""
    if END_TO_END_SECONDS.is_open:
        for each in seconds:
            if each is not None:
                END_TO_END_SECONDS.observe(max(0.0, each), outcome=outcome)


def extracted(extractor: str, facts: int, dropped: Iterable[Mapping[str, int]]) -> None:
    """How many facts were kept of what was extracted, and why others were not."""
    EXTRACTED_FACTS.add(facts, extractor=extractor)
    for reasons in dropped:
        for reason, count in reasons.items():
            DROPPED_FACTS.add(count, reason=_kind_of(reason))


def ingested(way: str, outcomes: Iterable[str]) -> None:
    """What became of messages that came in this way."""
    for outcome, messages in Counter(outcomes).items():
        INGESTED.add(messages, way=way, outcome=outcome)


def _kind_of(reason: str) -> str:
    """A reason as it is told: those of one field are `invalid`, those of the wording are `junk`."""
    if reason.startswith("invalid_"):
        return "invalid"
    assert DROPPED.values is not None
    return reason if reason in DROPPED.values else "junk"
