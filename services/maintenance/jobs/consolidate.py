"""Consolidate: fold everything of a user anew, and write their profile.

Afterwards the cache says again what the law says. One batch: a fold takes microseconds.
"""

from __future__ import annotations

from services.maintenance import store
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, OpenJob
from shared.ledger import store as ledger


async def run(job: OpenJob) -> None:
    await job.commit(_consolidate)


async def _consolidate(batch: Batch) -> None:
    tenant, user = batch.user
    attributes = [(batch.user, a) for a in await ledger.attributes_of(batch.tx, tenant, user)]
    free_text = await ledger.free_text_of(batch.tx, tenant, user)
    changes = await ledger.refold(batch.tx, attributes, free_text)
    profile = await store.rewrite_profile(batch.tx, tenant, user)
    batch.did(changed=len(changes), profile=profile)
    await batch.record(map(ledger.occurrence_of, changes))


JOB = Job(run)
