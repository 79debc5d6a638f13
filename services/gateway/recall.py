"""Answers what is known about a user that matters for a query: two arms, one ranking.

The vector arm may be missing (a provider that is away, facts of another model): then the lexical
arm answers alone. PostgreSQL finds candidates; `ranking` decides what they are worth.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from services.gateway import ranking, recall_store, store
from services.gateway.facts import moment_of, public_fact, tokens, visible
from services.gateway.hot.arms import HotArms
from services.gateway.ranking import Candidate, Ranked
from services.gateway.recall_store import Scope
from services.gateway.requests import RecallRequest
from shared.beliefs import Standing
from shared.clock import Clock
from shared.db import Database, Row
from shared.embeddings import Embedder
from shared.errors import MemoireError
from shared.ledger.hindsight import standings_known
from shared.tenant_slots import store as tenant_slots

log = structlog.get_logger()

_EMBED_SECONDS = 2.0
_REMEMBERED_QUERIES = 1_000


class QueryVectors:
    """Embeds queries, and remembers the last thousand."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def model(self) -> str:
        return self._embedder.model

    async def vector(self, tenant: str, query: str) -> list[float] | None:
        """The query's vector; None when the provider is away or slower than two seconds."""
        if query in self._known:
            self._known.move_to_end(query)
            return self._known[query]
        try:
            async with asyncio.timeout(_EMBED_SECONDS):
                vectors = await self._embedder.embed([query], [tenant])
        except (MemoireError, TimeoutError, OSError) as error:
            log.warning("recall without vectors", error=repr(error))
            return None
        self._known[query] = [float(part) for part in vectors[0]]
        if len(self._known) > _REMEMBERED_QUERIES:
            self._known.popitem(last=False)
        return self._known[query]


class Recall:
    """Recall over one database and one embedding model."""

    def __init__(
        self, db: Database, embedder: Embedder, clock: Clock, memory_bytes: int = 0
    ) -> None:
        """`memory_bytes`: how much of users who are asked about often is kept in memory."""
        self._db = db
        self._vectors = QueryVectors(embedder)
        self._clock = clock
        self.hot = HotArms(db, embedder, memory_bytes)

    async def answer(self, tenant: str, asked: RecallRequest) -> dict[str, Any]:
        """The most relevant facts, best first, as DESIGN §6 has it."""
        began = time.perf_counter()
        now = self._clock()
        scope, known = await self._seen(tenant, asked, now)
        (near, lexical), pending = await asyncio.gather(
            self._arms(scope, asked.query, live=scope.now == now),
            self._pending(scope, now),  # what settles meanwhile may be found, never missed
        )
        searched = time.perf_counter()
        async with self._db.autocommit() as tx:
            candidates = list(_candidates(near or [], lexical, known or {}))
            hits = ranking.fuse(candidates, now=scope.now)
            best = [h for h in hits if asked.min_score is None or h.score >= asked.min_score]
            best = best[: asked.limit]
            rows = await store.facts_by_ids(
                tx, tenant, asked.user_id, [UUID(hit.id) for hit in best]
            )
        if not all(row["counts"] for row in rows):
            return await self.answer(tenant, asked)  # a replay was promoted since the arms looked
        answer: dict[str, Any] = {
            "relevant_facts": _shown(best, rows, asked, scope.now, known or {}),
            "freshness": _freshness(pending),
        }
        if asked.explain:
            answer["explain"] = _explained(near, lexical) | {
                "embedding_model": self._vectors.model if near is not None else None,
                "milliseconds": {
                    "search": _milliseconds(searched - began),
                    "total": _milliseconds(time.perf_counter() - began),
                },
            }
        return answer

    async def _seen(
        self, tenant: str, asked: RecallRequest, now: datetime
    ) -> tuple[Scope, Mapping[UUID, Standing] | None]:
        """What may be recalled; with `known_at` also how every fact stood then."""
        as_of = moment_of(asked.as_of, asked.known_at, now)
        scope = _scope(tenant, asked, as_of, await self._stored_slots(tenant, asked))
        if asked.known_at is None:
            return scope, None
        async with self._db.autocommit() as tx:
            known = await standings_known(tx, tenant, asked.user_id, asked.known_at, scope.slots)
        return replace(scope, named=visible(known, asked.view, as_of)), known

    async def _arms(
        self, scope: Scope, query: str, *, live: bool
    ) -> tuple[list[Row] | None, list[Row]]:
        """What both arms find: from memory where the user is kept there, else in SQL."""
        if live and self.hot.may_answer(scope):
            vector, held = await asyncio.gather(
                self._vectors.vector(scope.tenant, query), self.hot.look(scope, query)
            )
            if held is not None:
                return await self.hot.answer(scope, held, vector)
        return await asyncio.gather(self._near(scope, query), self._lexical(scope, query))

    async def _near(self, scope: Scope, query: str) -> list[Row] | None:
        """The vector arm; None when there is no vector for the query."""
        vector = await self._vectors.vector(scope.tenant, query)
        if vector is None:
            return None
        async with self._db.autocommit() as tx:
            return await recall_store.vector_arm(tx, scope, self._vectors.model, vector)

    async def _lexical(self, scope: Scope, query: str) -> list[Row]:
        async with self._db.autocommit() as tx:
            return await recall_store.lexical_arm(tx, scope, query)

    async def _pending(self, scope: Scope, now: datetime) -> Row:
        async with self._db.autocommit() as tx:
            return await recall_store.pending(tx, scope, now)

    async def _stored_slots(self, tenant: str, asked: RecallRequest) -> list[str] | None:
        """Every name under which facts of the slots asked for may be stored."""
        if not asked.slots:
            return None
        async with self._db.autocommit() as tx:
            known = await tenant_slots.catalogue(tx, tenant)
        return [name for named in asked.slots for name in known.spellings(named)]


def _scope(tenant: str, asked: RecallRequest, now: datetime, slots: Sequence[str] | None) -> Scope:
    since = asked.since
    if asked.max_age_days is not None:
        oldest = now - timedelta(days=asked.max_age_days)
        since = max(since, oldest) if since is not None else oldest
    return Scope(
        tenant=tenant,
        user=asked.user_id,
        view=asked.view,
        now=now,
        categories=asked.categories or None,
        slots=slots,
        metadata=asked.metadata or None,
        since=since,
        until=asked.until,
    )


def _candidates(
    near: Sequence[Row], lexical: Sequence[Row], known: Mapping[UUID, Standing]
) -> Iterator[Candidate]:
    """Bring together what the arms found, each fact once, with the evidence of the view."""
    for row in (*near, *lexical):
        if (standing := known.get(row["id"])) is not None:
            row["evidence_count"] = standing.evidence_count
    found = {
        row["id"]: _candidate(row, bm25=_bm25(row), matched_share=_matched(row))
        for row in lexical
        if row["id"] is not None
    }
    for row in near:
        other, cosine = found.get(row["id"]), row["cosine"]
        found[row["id"]] = (
            _candidate(row, cosine=cosine) if other is None else replace(other, cosine=cosine)
        )
    yield from found.values()


def _candidate(row: Row, **arm: float) -> Candidate:
    return Candidate(
        id=str(row["id"]),
        confidence=row["confidence"],
        said_at=row["said_at"],
        essential=row["essential"],
        evidence_count=row["evidence_count"],
        **arm,
    )


def _bm25(row: Row) -> float:
    return ranking.bm25(
        row["terms"], row["frequencies"], row["documents"], row["length"], row["average"]
    )


def _matched(row: Row) -> float:
    return ranking.matched_share(row["terms"], row["frequencies"], row["documents"])


def _shown(
    best: Sequence[Ranked],
    rows: Sequence[Row],
    asked: RecallRequest,
    as_of: datetime,
    known: Mapping[UUID, Standing],
) -> list[dict[str, Any]]:
    """Show the hits, as many as fit into the tokens asked for."""
    facts = {str(row["id"]): public_fact(row, as_of, known.get(row["id"])) for row in rows}
    room = asked.max_tokens
    shown = []
    for hit in best:
        if (fact := facts.get(hit.id)) is None:
            continue  # erased since the arms looked
        if room is not None:
            room -= tokens(fact)
            if room < 0:
                break
        explained = {"explain": hit.explain} if asked.explain else {}
        shown.append({**fact, "score": round(hit.score, 4), **explained})
    return shown


def _explained(near: Sequence[Row] | None, lexical: Sequence[Row]) -> dict[str, Any]:
    """Say how many each arm found, and how the query was read."""
    matched = sum(row["id"] is not None for row in lexical)
    return {
        "candidates": {"vector": len(near or ()), "lexical": matched},
        "terms": lexical[0]["frequencies"],
        "read_as": lexical[0]["meant"],
        "facts_searched": lexical[0]["documents"],
    }


def _freshness(pending: Row) -> dict[str, Any]:
    oldest = pending["oldest_seconds"]
    return {
        "pending": pending["pending"],
        "oldest_seconds": None if oldest is None else round(max(0.0, oldest), 3),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
