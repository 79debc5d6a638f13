"""Finds what may matter for a query: arms side by side, then what surrounds their best.

They look in memory where the user is kept there, else in SQL. The vector arm may be
missing (a provider that is away, facts of another model): then words answer alone. Every statement
starts from one user's rows; only some hundred of them come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway import ranking
from services.gateway.arms import Arms, SqlArms
from services.gateway.calibration import Calibration, calibration_for
from services.gateway.hinting import Heard, Hinting
from services.gateway.hot.arms import HotArms
from services.gateway.query_vectors import QueryVectors
from services.gateway.ranking import Candidate
from services.gateway.recall_figures import told
from services.gateway.recall_store import Scope
from services.gateway.surroundings import message_scores, named_by, without_names
from shared.beliefs import Standing
from shared.db import Database, Row
from shared.embeddings import Embedder
from shared.trust import TRUST

_ANCHORS = 50  # stated facts whose neighbours are looked at
_MESSAGES = 60  # matching messages whose facts are looked at
_LIKE = 3  # best hits that others are compared with
_NOWHERE = None, None

_Scores = tuple[float | None, float | None]
"""Cosine and BM25 of a fact; None where an arm did not find it."""


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates with whom the query names, and what each arm brought.

    `rows`: the candidates as they are stored. `heard`: what the query asks for, now that it is
    known whom these facts are about. `calibration`: that of the model whose cosines these are.
    """

    candidates: Sequence[Candidate]
    rows: Sequence[Row]
    heard: Heard
    named: frozenset[str]
    near: Sequence[Row] | None
    lexical: Sequence[Row]
    messages: Sequence[Row]
    calibration: Calibration
    message_scores: Mapping[UUID, float] = field(default_factory=dict)
    faded: frozenset[UUID] = frozenset()
    """Which of the rows had faded by the moment asked about."""
    in_memory: bool = False
    """Whether the user's facts were kept in memory."""


class Search:
    """The arms over one database and one embedding model."""

    def __init__(self, db: Database, vectors: QueryVectors, hinting: Hinting, hot: HotArms) -> None:
        self._db = db
        self._vectors = vectors
        self._hinting = hinting
        self._hot = hot

    async def find(
        self,
        scope: Scope,
        query: str,
        known: Mapping[UUID, Standing],
        heard: Heard,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        faded_by: datetime | None = None,
    ) -> Found:
        """Everything that may matter; `known` is how facts stood where `known_at` is asked for.

        `faded_by`: tell which had faded by then.
        """
        embedder = self._vectors.embedder
        (arms, vector, near, lexical, messages), hinted = await asyncio.gather(
            self._arms(scope, query, embedder, as_of, known_at),
            told("hints", self._hinting.arm(scope, heard)),
        )
        found = _of_arms(near or (), lexical, hinted)
        rests = message_scores(messages)
        rows, alike = await _around(arms, vector, _best_first(found), rests)
        heard = heard.knowing(rows)
        named = named_by(query, {row["who"] for row in rows})
        shares = _shares(lexical, named)
        complete = _complete(rows, found, alike, rests, shares, known)
        candidates = list(heard.weighed(complete, hinted))
        faded = [] if faded_by is None else await arms.faded(faded_by, [row["id"] for row in rows])
        calibration = calibration_for(embedder.model)
        return Found(
            candidates,
            rows,
            heard,
            named,
            near,
            lexical,
            messages,
            calibration,
            rests,
            frozenset(faded),
            in_memory=not isinstance(arms, SqlArms),
        )

    async def _arms(
        self,
        scope: Scope,
        query: str,
        embedder: Embedder,
        as_of: datetime | None,
        known_at: datetime | None,
    ) -> tuple[Arms, list[float] | None, list[Row] | None, list[Row], list[Row]]:
        """The arms that answer, the query's vector, and what all find; None without a vector."""
        embedding = asyncio.ensure_future(self._vectors.vector(scope.tenant, query, embedder))
        live = as_of is None and known_at is None
        arms: Arms | None = None
        if live and self._hot.may_answer(scope, embedder):
            arms = await self._hot.look(scope, query, embedder)
        arms = arms or SqlArms(
            self._db, embedder.model, scope, query, as_of=as_of, known_at=known_at
        )
        (vector, near), lexical, messages = await asyncio.gather(
            _near(arms, embedding),
            told("lexical", arms.lexical(), _matches),
            told("messages", arms.messages()),
        )
        return arms, vector, near, lexical, messages


async def _near(
    arms: Arms, embedding: Awaitable[list[float] | None]
) -> tuple[list[float] | None, list[Row] | None]:
    """The query's vector and the facts nearest to it; None where there is no vector."""
    vector = await embedding
    return vector, None if vector is None else await told("vector", arms.near(vector))


def _matches(lexical: Sequence[Row]) -> int:
    """How many facts: without any there is one row, which has the query's terms alone."""
    return sum(row["id"] is not None for row in lexical)


async def _around(
    arms: Arms, vector: list[float] | None, found: Sequence[UUID], rests: Mapping[UUID, float]
) -> tuple[list[Row], list[Row]]:
    """What was found with what surrounds it, and how all of it lies to query and best."""
    likely = sorted(rests, key=lambda message: (-rests[message], message))[:_MESSAGES]
    rows = await arms.around(found, found[:_ANCHORS], likely)
    if vector is None or not rows:
        return rows, []
    return rows, await arms.alike(vector, [row["id"] for row in rows], found[:_LIKE])


def _of_arms(
    near: Sequence[Row], lexical: Sequence[Row], hinted: Sequence[Row]
) -> dict[UUID, _Scores]:
    """Bring together what the arms found, each fact once."""
    words = {row["id"]: _bm25(row) for row in lexical if row["id"] is not None}
    cosines = {row["id"]: row["cosine"] for row in near}
    return {
        fact: (cosines.get(fact), words.get(fact))
        for fact in words | cosines | dict.fromkeys(row["id"] for row in hinted)
    }


def _best_first(found: Mapping[UUID, _Scores]) -> list[UUID]:
    near, words = zip(*found.values(), strict=True) if found else ((), ())
    best = zip(ranking.fused_arms(near, words), found, strict=True)
    return [fact for _, fact in sorted(best, key=lambda one: (-one[0], one[1].int))]


def _bm25(row: Row) -> float:
    return ranking.bm25(
        row["terms"], row["frequencies"], row["documents"], row["length"], row["average"]
    )


def _shares(lexical: Sequence[Row], named: frozenset[str]) -> dict[UUID, float]:
    """How much of what is asked each fact says, whoever it is asked about."""
    frequencies = lexical[0]["frequencies"]
    kept = without_names(frequencies, named) or list(frequencies)
    asked = {term: frequencies[term] for term in kept}
    return {
        row["id"]: ranking.matched_share(row["terms"], asked, row["documents"])
        for row in lexical
        if row["id"] is not None
    }


def _complete(
    rows: Sequence[Row],
    found: Mapping[UUID, _Scores],
    alike: Sequence[Row],
    rests: Mapping[UUID, float],
    shares: Mapping[UUID, float],
    known: Mapping[UUID, Standing],
) -> Iterator[tuple[Candidate, Row]]:
    """Candidates with all that ranking looks at, and their rows; what was erased is left out."""
    vectors = {row["id"]: row for row in alike}
    for row in rows:
        fact = row["id"]
        near = vectors.get(fact)
        if near is None and fact not in found and row["message"] not in rests:
            continue  # it stands beside a hit, and nothing tells how near it is to the query itself
        cosine, words = found.get(fact, _NOWHERE)
        standing = known.get(fact)
        candidate = Candidate(
            id=str(fact),
            cosine=None if near is None else near["cosine"],
            bm25=words,
            matched_share=shares.get(fact, 0.0),
            likeness=0.0 if near is None else near["likeness"] or 0.0,
            reached=cosine is not None,
            message_score=rests.get(row["message"], 0.0),
            evidence_count=row["evidence_count"] if standing is None else standing.evidence_count,
            told_with=row["session_id"] or row["said_at"].isoformat(timespec="hours"),
            before=_text(row["before"]),
            after=_text(row["after"]),
            confidence=row["confidence"],
            said_at=row["said_at"],
            essential=row["essential"],
            trust=TRUST[row["source"]],
            content=row["content"],
            who=row["who"],
        )
        yield candidate, row


def _text(row: UUID | None) -> str | None:
    return None if row is None else str(row)


def explained(found: Found) -> dict[str, Any]:
    """Say how many each arm found, and how the query was read."""
    lexical = found.lexical
    return {
        "candidates": {
            "vector": len(found.near or ()),
            "lexical": _matches(lexical),
            "messages": len(found.messages),
            "ranked": len(found.candidates),
        },
        "terms": lexical[0]["frequencies"],
        "read_as": lexical[0]["meant"],
        "named": sorted(found.named),
        "facts_searched": lexical[0]["documents"],
    }
