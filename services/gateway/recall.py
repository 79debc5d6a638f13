"""Answers what is known about a user that matters for a query: what was found, ranked and shown.

`search` finds candidates in PostgreSQL; `ranking` decides what they are worth.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.gateway import ranking, recall_store, store
from services.gateway.facts import moment_of, public_fact, public_message, tokens, visible
from services.gateway.fading import fading_at, find_present
from services.gateway.hinting import Heard, Hinting, timeline_places
from services.gateway.hot.arms import HotArms
from services.gateway.query_vectors import QueryVectors
from services.gateway.ranking import Ranked
from services.gateway.recall_figures import answered
from services.gateway.recall_store import Scope
from services.gateway.requests import RecallRequest
from services.gateway.search import Found, Search, explained
from shared.beliefs import Standing
from shared.clock import Clock
from shared.db import Database, Row
from shared.ledger.hindsight import standings_known
from shared.spaces.embedders import Embedders
from shared.tenant_slots import store as tenant_slots


class Recall:
    """Recall over one database, by the embedding model that is active."""

    def __init__(
        self, db: Database, embedders: Embedders, clock: Clock, memory_bytes: int = 0
    ) -> None:
        """`memory_bytes`: how much of users who are asked about often is kept in memory."""
        self._db = db
        self._vectors = QueryVectors(embedders)
        self._hinting = Hinting(db)
        self.hot = HotArms(db, memory_bytes)
        self._search = Search(db, self._vectors, self._hinting, self.hot)
        self._clock = clock

    def forget(self, erased: Collection[tuple[str, bytes]]) -> None:
        """Drop erased users (tenants and digests) from memory, and all remembered queries."""
        if erased:
            self._vectors.forget()
            self.hot.keeper.forget(erased)

    async def answer(
        self, tenant: str, asked: RecallRequest, heard: Heard | None = None
    ) -> dict[str, Any]:
        """The most relevant facts, and messages where asked for, best first.

        `heard`: what the query's words ask for, where that was read already.
        """
        began = time.perf_counter()
        now = self._clock()
        heard = heard or await self._hinting.heard(tenant, asked, now)
        scope, known = await self._seen(tenant, asked, now)
        scope = heard.narrowed(scope)

        async def look(within: Scope, faded_by: datetime | None) -> Found:
            times = {"as_of": asked.as_of, "known_at": asked.known_at, "faded_by": faded_by}
            return await self._search.find(within, asked.query, known or {}, heard, **times)

        found, pending = await asyncio.gather(
            find_present(look, scope, asked.limit),
            self._pending(scope, now),  # what settles meanwhile may be found, never missed
        )
        if heard.missed(found.rows):
            return await self.answer(tenant, asked, heard.timeless())
        searched = time.perf_counter()
        best = _best(found, asked, scope)
        rows = await self._rows_of(best, tenant, asked, now_only=known is None)
        if rows is None:
            return await self.answer(tenant, asked, heard)  # a replay was promoted meanwhile
        answer: dict[str, Any] = {"relevant_facts": _shown(best, rows, asked, scope.now, known)}
        if "messages" in asked.include:
            answer["messages"] = await self._messages(tenant, asked, scope, found)
        answer["freshness"] = _freshness(pending)
        answered(
            time.perf_counter() - began,
            [str(fact["id"]) for fact in answer["relevant_facts"]],
            found.candidates,
            in_memory=found.in_memory,
            with_vector=found.near is not None,
        )
        if asked.explain:
            await self._explain(answer, found, asked, scope, rows)
            answer["explain"]["milliseconds"] = {
                "search": _milliseconds(searched - began),
                "total": _milliseconds(time.perf_counter() - began),
            }
        return answer

    async def _rows_of(
        self, best: Sequence[Ranked], tenant: str, asked: RecallRequest, *, now_only: bool
    ) -> list[Row] | None:
        """What is shown of these hits; None where one is of a generation that counts no more.

        `now_only`: what was taken back or held since the arms looked is left out.
        """
        ids = [UUID(hit.id) for hit in best]
        async with self._db.of(tenant).autocommit() as tx:
            rows = await store.facts_by_ids(tx, tenant, asked.user_id, ids)
        if not all(row["counts"] for row in rows):
            return None
        hidden = ("forgotten", "quarantined") if now_only else ()
        return [row for row in rows if row["standing"] not in hidden]

    async def _explain(
        self,
        answer: dict[str, Any],
        found: Found,
        asked: RecallRequest,
        scope: Scope,
        rows: Sequence[Row],
    ) -> None:
        """Say of the whole and of each fact why it stands where it does."""
        places = await timeline_places(self._db, scope, rows)
        for fact in answer["relevant_facts"]:
            fact["explain"]["hints"] = found.heard.causes(fact["explain"]["boosts"])
            fact["explain"]["timeline"] = places.get(fact["id"])
        answer["explain"] = explained(found) | {
            "hints": found.heard.hints.shown(),
            "filters": _filters(asked, scope),
            "embedding_model": self._vectors.embedder.model if found.near is not None else None,
        }

    async def always(self, tenant: str, asked: RecallRequest) -> list[dict[str, Any]]:
        """The essential facts and what the profile rests on, under every filter of the request.

        The query does not matter: the same for every one.
        """
        scope, known = await self._seen(tenant, asked, self._clock())
        async with self._db.of(tenant).autocommit() as tx:
            found = [row["id"] for row in await recall_store.conscious(tx, scope)]
            rows = await store.facts_by_ids(tx, tenant, asked.user_id, found)
        return [public_fact(row, scope.now, (known or {}).get(row["id"])) for row in rows]

    async def _seen(
        self, tenant: str, asked: RecallRequest, now: datetime
    ) -> tuple[Scope, Mapping[UUID, Standing] | None]:
        """What may be recalled; with `known_at` also how every fact stood then."""
        as_of = moment_of(asked.as_of, asked.known_at, now)
        scope = _scope(tenant, asked, as_of, await self._stored_slots(tenant, asked))
        named = bool(asked.slots or asked.categories)
        scope = replace(scope, fading_at=fading_at(as_of, now, view=asked.view, named=named))
        if asked.known_at is None:
            return scope, None
        async with self._db.of(tenant).autocommit() as tx:
            known = await standings_known(tx, tenant, asked.user_id, asked.known_at, scope.slots)
        return replace(scope, named=visible(known, asked.view, as_of)), known

    async def _messages(
        self, tenant: str, asked: RecallRequest, scope: Scope, found: Found
    ) -> list[dict[str, Any]]:
        """The messages that match best, under the filters that a message can meet.

        A message is of no category and about no slot, so none is shown where those are asked for.
        """
        if scope.categories is not None or scope.slots is not None:
            return []
        scores = found.message_scores
        order = sorted(scores, key=lambda message: (-scores[message], message))
        async with self._db.of(tenant).autocommit() as tx:
            rows = await store.messages_by_ids(tx, tenant, asked.user_id, order)
            held = await store.held_messages(tx, tenant, asked.user_id, order)
        by_id = {row["id"]: row for row in rows if row["id"] not in held and _passes(row, scope)}
        shares = {row["id"]: row["matched_share"] for row in found.messages}
        shown = []
        for message in order:
            score = round(ranking.calibrated_message(shares.get(message, 0.0)), 4)
            if message in by_id and (asked.min_score is None or score >= asked.min_score):
                shown.append({**public_message(by_id[message]), "score": score})
        return shown[: asked.limit]

    async def _pending(self, scope: Scope, now: datetime) -> Row:
        async with self._db.of(scope.tenant).autocommit() as tx:
            return await recall_store.pending(tx, scope, now)

    async def _stored_slots(self, tenant: str, asked: RecallRequest) -> list[str] | None:
        """Every name under which facts of the slots asked for may be stored."""
        if not asked.slots:
            return None
        async with self._db.of(tenant).autocommit() as tx:
            known = await tenant_slots.catalogue(tx, tenant)
        return [name for named in asked.slots for name in known.spellings(named)]


def _best(found: Found, asked: RecallRequest, scope: Scope) -> list[Ranked]:
    """The facts to show, best first."""
    if "facts" not in asked.include:
        return []
    hits = ranking.fuse(
        found.candidates,
        now=scope.now,
        calibration=found.calibration,
        named=found.named,
        explain=asked.explain,
        most=asked.limit,
    )
    return [hit for hit in hits if asked.min_score is None or hit.score >= asked.min_score]


def _passes(message: Row, scope: Scope) -> bool:
    """Whether a message was said in the time asked for and has all the labels."""
    said = message["said_at"]
    labels = message["metadata"] or {}
    return (
        (scope.since is None or said >= scope.since)
        and (scope.until is None or said < scope.until)
        and all(_holds(labels.get(name), value) for name, value in (scope.metadata or {}).items())
    )


def _holds(stored: Any, asked: Any) -> bool:
    """Whether a label has what is asked for, as PostgreSQL's `@>` has it of JSON."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return all(_holds(stored.get(name), value) for name, value in asked.items())
    if isinstance(asked, list) and isinstance(stored, list):
        return all(any(_holds(each, value) for each in stored) for value in asked)
    return bool(stored == asked)


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


def _shown(
    best: Sequence[Ranked],
    rows: Sequence[Row],
    asked: RecallRequest,
    as_of: datetime,
    known: Mapping[UUID, Standing] | None,
) -> list[dict[str, Any]]:
    """Show the hits, as many as fit into the tokens asked for."""
    facts = {str(row["id"]): public_fact(row, as_of, (known or {}).get(row["id"])) for row in rows}
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


def _filters(asked: RecallRequest, scope: Scope) -> dict[str, Any]:
    """What every candidate had to pass; `held_since` where the query named a time for certain."""
    set_ = {
        "view": scope.view,
        "as_of": scope.now,
        "held_since": scope.held_since,
        "known_at": asked.known_at,
        "categories": scope.categories,
        "slots": scope.slots,
        "metadata": scope.metadata,
        "since": scope.since,
        "until": scope.until,
        "min_score": asked.min_score,
    }
    return {name: value for name, value in set_.items() if value is not None}


def _freshness(pending: Row) -> dict[str, Any]:
    oldest = pending["oldest_seconds"]
    return {
        "pending": pending["pending"],
        "oldest_seconds": None if oldest is None else round(max(0.0, oldest), 3),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
