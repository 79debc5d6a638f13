"""What a kind of job declares about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.maintenance.jobs.running import OpenJob


@dataclass(frozen=True, slots=True)
class Job:
    """A kind's entry function, and for whom its schedule asks for it.

    `run` thinks outside transactions and writes through `OpenJob.commit`; run twice, it changes
    nothing the second time. Its schedule asks for users with something new since its last run; of
    a kind that says so in its last batch, also where a moment has come (`Batch.due`). Where the
    last run had other `rules`, everything is new.
    """

    run: Callable[[OpenJob], Awaitable[None]]
    rules: str = ""
