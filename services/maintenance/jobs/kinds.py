"""What a kind of job declares about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.maintenance.jobs.running import OpenJob


@dataclass(frozen=True, slots=True)
class Job:
    """A kind's entry function, and for whom its schedule asks for it.

    `run` thinks outside transactions and writes through `OpenJob.commit`; run twice, it changes
    nothing the second time. `without_news` is for kinds that time alone gives work: their schedule
    asks for every user, not only for those with something new since the kind's last run.
    """

    run: Callable[[OpenJob], Awaitable[None]]
    without_news: bool = False
