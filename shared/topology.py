"""The streams and consumer groups, by name: the whole wiring of the pipeline.

A consumer group is named for its stage. Every stream but `SETTLED` is a private work queue whose
entries are deleted when they are acknowledged, so its length is its backlog.
"""

from __future__ import annotations

from typing import Literal, get_args

MESSAGES = "memoire:messages"
EXTRACTED = "memoire:facts:extracted"
EMBEDDED = "memoire:facts:embedded"
COMPARED = "memoire:facts:compared"
SETTLED = "memoire:facts:settled"

JobKind = Literal["optimize", "decay", "consolidate"]
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)
JOBS: dict[JobKind, str] = {kind: f"memoire:jobs:{kind}" for kind in JOB_KINDS}

STAGES: dict[str, tuple[str, ...]] = {
    "extractor": (MESSAGES,),
    "embedder": (EXTRACTED,),
    "deduper": (EMBEDDED,),
    "superseder": (COMPARED,),
    "maintenance": tuple(JOBS.values()),
}
"""Each stage and the streams its consumer group reads."""


def conscious_key(tenant: str, user: str) -> str:
    """Name the key under which what is always known of a user is kept for a minute."""
    return f"memoire:conscious:{len(tenant)}:{tenant}:{user}"


PROCESSES = ("gateway", *STAGES, "sweeper")
"""Everything `memoire run` can start."""
