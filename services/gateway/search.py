"""Finds what may matter for a query: arms side by side, then what surrounds their best.

The vector arm may be missing (a provider that is away, facts of another model): then words answer
alone. Every statement starts from one user's rows; only some hundred of them come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway import ranking, recall_store
from services.gateway.hinting import Heard, Hinting
from services.gateway.query_vectors import QueryVector, QueryVectors
from services.gateway.ranking import Candidate
from services.gateway.recall_store import Scope
from services.gateway.surroundings import message_scores, named_by, without_names
from shared.beliefs import Standing
from shared.db import Database, Row

_ANCHORS = 50  # stated facts whose neighbours are looked at
_MESSAGES = 60  # matching messages whose facts are looked at
_LIKE = 3  # best hits that others are compared with
_AN_HOUR = "%Y-%m-%d %H"


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates with whom the query names, and what each arm brought.

    `rows`: the candidates as they are stored. `heard`: what the query asks for, now that it is
    known whom these facts are about.
    """

    candidates: Sequence[Candidate]
    rows: Sequence[Row]
    heard: Heard
    named: frozenset[str]
    near: Sequence[Row] | None
    lexical: Sequence[Row]
    messages: Sequence[Row]
    ids: Mapping[str, UUID] = field(default_factory=dict)
    message_scores: Mapping[UUID, float] = field(default_factory=dict)


class Search:
    """The arms over one database and one embedding model."""

    def __init__(self, db: Database, vectors: QueryVectors, hinting: Hinting) -> None:
        self._db = db
        self._vectors = vectors
        self._hinting = hinting

    async def find(
        self,
        scope: Scope,
        query: str,
        known: Mapping[UUID, Standing],
        heard: Heard,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> Found:
        """Everything that may matter; `known` is how facts stood where `known_at` is asked for."""
        (vector, near), lexical, messages, hinted = await asyncio.gather(
            self._near(scope, query),
            self._lexical(scope, query),
            self._messages(scope, query, as_of, known_at),
            self._hinting.arm(scope, heard),
        )
        found = list(_of_arms(near or (), lexical, hinted))
        rests = message_scores(messages)
        rows, alike = await self._around(scope, vector, _best_first(found), rests)
        heard = heard.knowing(rows)
        named = named_by(query, {row["who"] for row in rows})
        shares = _shares(lexical, named)
        complete = list(_complete(rows, found, alike, rests, shares, known))
        candidates = list(heard.weighed(complete, rows, hinted))
        ids = {str(row["id"]): row["id"] for row in rows}
        return Found(candidates, rows, heard, named, near, lexical, messages, ids, rests)

    async def _around(
        self,
        scope: Scope,
        vector: QueryVector | None,
        found: Sequence[UUID],
        rests: Mapping[UUID, float],
    ) -> tuple[list[Row], list[Row]]:
        """What was found with what surrounds it, and how all of it lies to query and best."""
        likely = sorted(rests, key=lambda message: (-rests[message], message))[:_MESSAGES]
        async with self._db.autocommit() as tx:
            rows = await recall_store.gathered(tx, scope, found, found[:_ANCHORS], likely)
            if vector is None or not rows:
                return rows, []
            there = [row["id"] for row in rows]
            return rows, await recall_store.likeness(
                tx, scope, vector.model, vector.parts, there, found[:_LIKE]
            )

    async def _near(self, scope: Scope, query: str) -> tuple[QueryVector | None, list[Row] | None]:
        """The query's vector and the facts nearest to it; None where there is no vector."""
        vector = await self._vectors.vector(scope.tenant, query)
        if vector is None:
            return None, None
        async with self._db.autocommit() as tx:
            near = await recall_store.vector_arm(tx, scope, vector.model, vector.parts)
        return vector, near

    async def _lexical(self, scope: Scope, query: str) -> list[Row]:
        async with self._db.autocommit() as tx:
            return await recall_store.lexical_arm(tx, scope, query)

    async def _messages(
        self, scope: Scope, query: str, as_of: datetime | None, known_at: datetime | None
    ) -> list[Row]:
        async with self._db.autocommit() as tx:
            return await recall_store.message_arm(tx, scope, query, as_of, known_at)


def _of_arms(
    near: Sequence[Row], lexical: Sequence[Row], hinted: Sequence[Row]
) -> Iterator[Candidate]:
    """Bring together what the arms found, each fact once."""
    words = {row["id"]: _bm25(row) for row in lexical if row["id"] is not None}
    cosines = {row["id"]: row["cosine"] for row in near}
    for fact in words | cosines | dict.fromkeys(row["id"] for row in hinted):
        yield Candidate(id=str(fact), cosine=cosines.get(fact), bm25=words.get(fact))


def _best_first(found: Sequence[Candidate]) -> list[UUID]:
    scores = ranking.fused(found)
    order = sorted(range(len(found)), key=lambda at: (-scores[at], found[at].id))
    return [UUID(found[at].id) for at in order]


def _bm25(row: Row) -> float:
    return ranking.bm25(
        row["terms"], row["frequencies"], row["documents"], row["length"], row["average"]
    )


def _shares(lexical: Sequence[Row], named: frozenset[str]) -> dict[str, float]:
    """How much of what is asked each fact says, whoever it is asked about."""
    frequencies = lexical[0]["frequencies"]
    kept = without_names(frequencies, named) or list(frequencies)
    asked = {term: frequencies[term] for term in kept}
    return {
        str(row["id"]): ranking.matched_share(row["terms"], asked, row["documents"])
        for row in lexical
        if row["id"] is not None
    }


def _complete(
    rows: Sequence[Row],
    found: Sequence[Candidate],
    alike: Sequence[Row],
    rests: Mapping[UUID, float],
    shares: Mapping[str, float],
    known: Mapping[UUID, Standing],
) -> Iterator[Candidate]:
    """Candidates with all that ranking looks at; what was erased meanwhile is left out."""
    by_arms = {candidate.id: candidate for candidate in found}
    vectors = {row["id"]: row for row in alike}
    for row in rows:
        near = vectors.get(row["id"])
        name = str(row["id"])
        if near is None and name not in by_arms and row["message"] not in rests:
            continue  # it stands beside a hit, and nothing tells how near it is to the query itself
        standing = known.get(row["id"])
        by_arm = by_arms.get(name)
        yield Candidate(
            id=name,
            cosine=None if near is None else near["cosine"],
            bm25=None if by_arm is None else by_arm.bm25,
            matched_share=shares.get(name, 0.0),
            likeness=0.0 if near is None else near["likeness"] or 0.0,
            reached=by_arm is not None and by_arm.cosine is not None,
            message_score=rests.get(row["message"], 0.0),
            evidence_count=row["evidence_count"] if standing is None else standing.evidence_count,
            told_with=row["session_id"] or format(row["said_at"], _AN_HOUR),
            before=_text(row["before"]),
            after=_text(row["after"]),
            confidence=row["confidence"],
            said_at=row["said_at"],
            essential=row["essential"],
            content=row["content"],
            who=row["who"],
        )


def _text(row: UUID | None) -> str | None:
    return None if row is None else str(row)


def explained(found: Found) -> dict[str, Any]:
    """Say how many each arm found, and how the query was read."""
    lexical = found.lexical
    return {
        "candidates": {
            "vector": len(found.near or ()),
            "lexical": sum(row["id"] is not None for row in lexical),
            "messages": len(found.messages),
            "ranked": len(found.candidates),
        },
        "terms": lexical[0]["frequencies"],
        "read_as": lexical[0]["meant"],
        "named": sorted(found.named),
        "facts_searched": lexical[0]["documents"],
    }
