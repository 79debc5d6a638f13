"""The kinds of jobs: a module each, named for its kind, with a `JOB` in it.

A kind that has its module here has a route, a schedule and a place in `memoire jobs`; one that has
none has nothing of all that, and a job of it is parked. Which there are is read off the folder, so
that the gateway and the command line import no job.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from shared.topology import JOB_KINDS, JobKind

if TYPE_CHECKING:
    from services.maintenance.jobs.kinds import Job


def known_kinds() -> tuple[JobKind, ...]:
    """The kinds that this version can do."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    return tuple(kind for kind in JOB_KINDS if kind in modules)


def load_jobs() -> Mapping[JobKind, Job]:
    """Import the kinds' modules."""
    return {kind: import_module(f"{__name__}.{kind}").JOB for kind in known_kinds()}
