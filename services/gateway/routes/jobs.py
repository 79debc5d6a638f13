"""Jobs about a user, by hand: a route for each kind that this version can do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from fastapi import APIRouter

from services.gateway.requests import UserId
from services.gateway.routes.documented import READS
from services.gateway.schemas import JobAccepted
from services.gateway.state import Parts, Writer
from shared.ids import trace_id
from shared.jobs.store import request_job
from shared.topology import JobKind

_ABOUT = """\
Asks for the job and returns at once; its trace tells when it is done, and what it did.

A job that has not begun is this one too; behind one that has begun another follows, which sees what
is known by now.
"""


def router_for(kinds: Iterable[JobKind]) -> APIRouter:
    router = APIRouter(prefix="/v1/users", tags=["users"], responses=READS)
    for kind in kinds:
        router.add_api_route(
            f"/{{user_id}}/{kind}",
            _asking_for(kind),
            methods=["POST"],
            status_code=202,
            name=kind,
            summary=f"{kind.capitalize()} a user's memory now",
            description=_ABOUT,
        )
    return router


def _asking_for(kind: JobKind) -> Callable[..., Awaitable[JobAccepted]]:
    async def ask(user_id: UserId, gateway: Parts, caller: Writer) -> JobAccepted:
        async with gateway.db.of(caller.tenant).transaction() as tx:
            job, announcements = await request_job(tx, caller.tenant, user_id, kind)
        gateway.bells.ring(announcements)
        return JobAccepted(trace_id=trace_id(job))

    return ask
