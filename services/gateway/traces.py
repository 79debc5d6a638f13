"""From rows to a trace: which stage a message, stated fact or job has reached (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from shared.db import Row

FACT_STAGES = {"embedder": "embedded_at", "deduper": "compared_at", "superseder": "settled_at"}
"""Each stage that moves facts, and the column that says when it did."""

_WAITS_FOR = {"extracted": "embedder", "embedded": "deduper", "compared": "superseder"}
_ORDER = (*_WAITS_FOR, "settled")

StageState = Literal["pending", "done", "dead"]


def message_stages(message: Row, facts: Sequence[Row], failures: Sequence[Row]) -> list[Any]:
    """All four stages; with no facts, the last three are done with the first."""
    extracted = message["state"] == "extracted"
    state = _state(done=extracted, dead=message["dead"])
    first = _stage("extractor", state, message["extracted_at"], failures)
    if extracted and not facts:
        at = message["extracted_at"]
        rest = [{"stage": s, "state": "done", "at": at, "attempts": 0} for s in FACT_STAGES]
        return [first, *rest]
    return [first, *fact_stages(facts, failures)]


def fact_stages(facts: Sequence[Row], failures: Sequence[Row]) -> list[Any]:
    return [_fact_stage(stage, facts, failures) for stage in FACT_STAGES]


def job_stages(job: Row, failures: Sequence[Row]) -> list[Any]:
    state = _state(done=job["state"] == "done", dead=job["dead"])
    return [_stage("maintenance", state, job["finished_at"], failures)]


def status_of(rows: Iterable[tuple[bool, bool]]) -> str:
    """From (done, dead) of each row: dead only when nothing that is left moves by itself."""
    left = [dead for done, dead in rows if not done]
    if not left:
        return "settled"
    return "dead" if all(left) else "open"


def public_failures(failures: Sequence[Row]) -> list[dict[str, Any]]:
    return [{k: v for k, v in failure.items() if k != "subject_id"} for failure in failures]


def _fact_stage(stage: str, facts: Sequence[Row], failures: Sequence[Row]) -> dict[str, Any]:
    """A stage is done when it has moved every fact, dead when it gave one of them up."""
    column = FACT_STAGES[stage]
    passed = list(FACT_STAGES).index(stage) + 1
    done = bool(facts) and all(_ORDER.index(fact["state"]) >= passed for fact in facts)
    dead = any(fact["dead"] and _WAITS_FOR.get(fact["state"]) == stage for fact in facts)
    at = max((fact[column] for fact in facts if fact[column]), default=None) if done else None
    return _stage(stage, _state(done=done, dead=dead), at, failures)


def _state(*, done: bool, dead: bool) -> StageState:
    return "done" if done else "dead" if dead else "pending"


def _stage(
    stage: str, state: StageState, at: datetime | None, failures: Sequence[Row]
) -> dict[str, Any]:
    """`attempts` counts the failed ones, and the one that succeeded."""
    failed = max((f["attempts"] for f in failures if f["stage"] == stage), default=0)
    return {"stage": stage, "state": state, "at": at, "attempts": failed + (state == "done")}
