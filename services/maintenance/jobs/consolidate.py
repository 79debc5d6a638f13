"""Consolidate: merge what was overlooked, fold everything of a user anew, and write their profile.

Afterwards the cache says again what the law says. It works in batches, each a short transaction
under the user's lock, so that neither the pipeline nor another job waits long: first the duplicates
that comparison never saw side by side, then attributes, then free text. The profile comes last and
so follows, in the same run, whatever retired a fact it rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from services.maintenance import store
from services.maintenance.biographer import Draft
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.means import FindsDuplicates
from services.maintenance.jobs.running import Batch, OpenJob
from shared.failures.store import RowRef
from shared.ledger import store as ledger
from shared.ledger.folding import Attribute

_ATTRIBUTES_A_BATCH = 50
_FACTS_A_BATCH = 500
_MERGING, _ATTRIBUTES, _FREE_TEXT, _PROFILE = "merging", "attributes", "free text", "profile"


async def run(job: OpenJob) -> None:
    """Take the steps that are left; the cursor is (step, the last that it did)."""
    if _step(job) == _MERGING and job.means.duplicates is not None:
        await _merge(job, job.means.duplicates)
    if _step(job) in {_MERGING, _ATTRIBUTES}:
        await _fold_attributes(job)
    if _step(job) in {_MERGING, _ATTRIBUTES, _FREE_TEXT}:
        await _fold_free_text(job)
    draft = await _drafted(job)
    await job.commit(partial(_write_profile, draft))


def _step(job: OpenJob) -> str:
    return str(job.cursor[0]) if job.cursor else _MERGING


async def _merge(job: OpenJob, duplicates: FindsDuplicates) -> None:
    """Have the law know of every pair that was overlooked; who resumes it looks for the rest."""

    async def keep(verdicts: Sequence[Any], batch: Batch) -> None:
        facts = await duplicates.keep(batch.tx, batch.user, verdicts)
        await _refold(batch, (), facts)
        batch.go_on([_MERGING, None])

    async for found in duplicates.find(job.db, job.user):
        await job.commit(partial(keep, found))


async def _fold_attributes(job: OpenJob) -> None:
    async with job.db.autocommit() as tx:
        found = sorted(await ledger.attributes_of(tx, *job.user))
    after = tuple(job.cursor[1]) if _step(job) == _ATTRIBUTES else None
    left = [attribute for attribute in found if after is None or attribute > after]
    for start in range(0, len(left), _ATTRIBUTES_A_BATCH):
        part = left[start : start + _ATTRIBUTES_A_BATCH]
        await job.commit(partial(_fold, _ATTRIBUTES, list(part[-1]), part, ()))


async def _fold_free_text(job: OpenJob) -> None:
    async with job.db.autocommit() as tx:
        found = sorted(await ledger.free_text_of(tx, *job.user), key=lambda ref: ref.id)
    after = job.cursor[1] if _step(job) == _FREE_TEXT else ""
    left = [ref for ref in found if str(ref.id) > after]
    for start in range(0, len(left), _FACTS_A_BATCH):
        part = left[start : start + _FACTS_A_BATCH]
        await job.commit(partial(_fold, _FREE_TEXT, str(part[-1].id), (), part))


async def _fold(
    step: str, last: Any, attributes: Sequence[Attribute], facts: Sequence[RowRef], batch: Batch
) -> None:
    await _refold(batch, attributes, facts)
    batch.go_on([step, last])


async def _refold(batch: Batch, attributes: Sequence[Attribute], facts: Sequence[RowRef]) -> None:
    about = [(batch.user, attribute) for attribute in attributes]
    changes = await ledger.refold(batch.tx, about, facts)
    batch.did(changed=len(changes), merged=sum(change.after.kind == "merged" for change in changes))
    if changes:
        await batch.grow()
    await batch.record(map(ledger.occurrence_of, changes))


async def _drafted(job: OpenJob) -> Draft | None:
    """Have a model write the profile, unless it was asked about the same facts before."""
    biographer = job.means.biographer
    if biographer is None:
        return None
    async with job.db.autocommit() as tx:
        facts = await store.known_facts(tx, *job.user)
        asked = await store.asked_before(tx, *job.user)
    return await biographer.write(facts, asked, payer=job.user[0])


async def _write_profile(draft: Draft | None, batch: Batch) -> None:
    batch.did(changed=0, merged=0)
    batch.did(profile=await store.rewrite_profile(batch.tx, *batch.user, draft))


JOB = Job(run)
