"""Optimize: choose anew which of a user's facts an application should always know.

A model ranks them where there is one; its answer is kept, so that it is asked again only when what
is known has changed. Where it is away, or says nothing of use, the formula chooses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog

from services.maintenance.essential import store
from services.maintenance.essential.choosing import Budget, Known, choose
from services.maintenance.essential.model import Ranked, Ranker
from services.maintenance.jobs.kinds import Job
from services.maintenance.jobs.running import Batch, OpenJob
from shared.errors import MemoireError, PoisonError

log = structlog.get_logger()

_DAYS_UNTIL_WEIGHED_ANEW = 30
"""What nobody mentions loses weight, and its place: the half-lives that matter here are months."""


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model ranked, now or before, how often it was asked now, and whether it was away."""

    ranking: tuple[UUID, ...] | None = None
    calls: int = 0
    away: bool = False


@dataclass(frozen=True, slots=True)
class Optimize:
    """Chooses within a budget; without a `ranker` by the formula."""

    budget: Budget
    ranker: Ranker | None

    async def __call__(self, job: OpenJob) -> None:
        await job.commit(partial(self._write, await self._think(job)))

    async def _think(self, job: OpenJob) -> Thought:
        """What a model says of these facts; it is asked at most once about the same."""
        if self.ranker is None:
            return Thought()
        async with job.db.autocommit() as tx:
            facts = await store.known_facts(tx, job.user)
        if not facts:
            return Thought()
        inputs = self.ranker.digest(facts, self.budget)
        stored = await store.stored_ranking(job.db, job.user, inputs)
        if stored is not None:
            return Thought(stored.facts)
        return await self._ask(job, self.ranker, facts, inputs)

    async def _ask(
        self, job: OpenJob, ranker: Ranker, facts: Collection[Known], inputs: bytes
    ) -> Thought:
        tenant = job.user[0]
        if ranker.wait_seconds(tenant) > 0:
            return Thought(away=True)
        ranked: Ranked | None = None
        try:
            ranked = await ranker.ask(facts, self.budget, payer=tenant)
        except PoisonError as error:
            log.warning("a ranking is of no use", error=str(error))
        except MemoireError as error:
            log.warning("essential facts are chosen without the model", error=str(error))
            return Thought(away=True)
        await store.save_ranking(job.db, job.user, inputs, ranker, ranked)
        return Thought(ranked.facts if ranked is not None else None, calls=1)

    async def _write(self, thought: Thought, batch: Batch) -> None:
        facts = await store.known_facts(batch.tx, batch.user)
        chosen = choose(facts, self.budget, thought.ranking)
        happened = await store.mark_essential(batch.tx, batch.user, chosen)
        promoted = sum(one.event == "fact.promoted" for one in happened)
        batch.did(
            essential=len(chosen),
            promoted=promoted,
            demoted=len(happened) - promoted,
            by="formula" if thought.ranking is None else "model",
            model_calls=thought.calls,
        )
        if happened:
            await batch.grow()
        await batch.record(happened)
        if thought.away or chosen:
            days = 0 if thought.away else _DAYS_UNTIL_WEIGHED_ANEW
            batch.due(await store.look_again_at(batch.tx, days))


def job(budget: Budget | None = None, ranker: Ranker | None = None) -> Job:
    """The job with these means."""
    return Job(Optimize(budget or Budget(), ranker))


JOB = job()
