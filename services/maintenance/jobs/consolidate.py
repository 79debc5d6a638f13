"""Consolidate: merge what was overlooked, fold everything of a user anew, and write their profile.

Afterwards the cache says again what the law says. It works in batches, each a short transaction
under the user's lock, so that neither the pipeline nor another job waits long: first the duplicates
that comparison never saw side by side, then attributes, then free text. The profile comes last and
so follows, in the same run, whatever retired a fact it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

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
_MERGING, _ATTRIBUTES, _FREE_TEXT = "merging", "attributes", "free text"


@dataclass(frozen=True, slots=True)
class _Portion:
    """What one batch folds, and the cursor behind it."""

    attributes: Sequence[Attribute]
    facts: Sequence[RowRef]
    cursor: Sequence[str | Attribute]


async def run(job: OpenJob) -> None:
    """Take the steps that are left; the cursor is (step, the last that it did)."""
    if _step(job) == _MERGING and job.means.duplicates is not None:
        await _merge(job, job.means.duplicates)
    portions = await _portions(job)
    last = portions.pop() if portions and job.means.biographer is None else None
    for portion in portions:
        await job.commit(partial(_fold, portion))
    await job.commit(partial(_finish, last, await _drafted(job)))


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


async def _portions(job: OpenJob) -> list[_Portion]:
    """Part what is left to fold; of most users it is one portion."""
    step = _step(job)
    after: Any = job.cursor[1] if job.cursor else None
    async with job.db.autocommit() as tx:
        attributes = sorted(await ledger.attributes_of(tx, *job.user))
        facts = sorted(await ledger.free_text_of(tx, *job.user), key=lambda ref: ref.id)
    if step == _ATTRIBUTES:
        attributes = [one for one in attributes if one > tuple(after)]
    elif step == _FREE_TEXT:
        attributes, facts = [], [ref for ref in facts if str(ref.id) > after]
    if len(attributes) <= _ATTRIBUTES_A_BATCH and len(facts) <= _FACTS_A_BATCH:
        last = str(facts[-1].id) if facts else ""
        return [_Portion(attributes, facts, [_FREE_TEXT, last])] if attributes or facts else []
    return [
        *(
            _Portion(part, (), [_ATTRIBUTES, part[-1]])
            for part in _parted(attributes, _ATTRIBUTES_A_BATCH)
        ),
        *(
            _Portion((), part, [_FREE_TEXT, str(part[-1].id)])
            for part in _parted(facts, _FACTS_A_BATCH)
        ),
    ]


_Item = TypeVar("_Item")


def _parted(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _fold(portion: _Portion, batch: Batch) -> None:
    await _refold(batch, portion.attributes, portion.facts)
    batch.go_on(list(portion.cursor))


async def _finish(portion: _Portion | None, draft: Draft | None, batch: Batch) -> None:
    """Fold what is left, and write the profile: where no model is asked, in one transaction."""
    batch.did(changed=0, merged=0)
    if portion is not None:
        await _refold(batch, portion.attributes, portion.facts)
    batch.did(profile=await store.rewrite_profile(batch.tx, *batch.user, draft))


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


JOB = Job(run)
