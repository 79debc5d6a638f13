"""Duplicates that comparison never saw side by side: found by wording, among all a user has.

A fact that came before the embedding model was changed, or whose many neighbours hid the one that
matters, was never compared with what says the same. Two facts can only merge when their content
words, or all their words, are equal (`guards.could_merge`), so they are parted by those first: the
work grows with the facts, not with their pairs, and vectors are read of a few alone. A pair is
decided once, by the guards, and its verdict is an input of the law like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import combinations, islice
from typing import TypeVar

from services.deduper import guards, store
from services.deduper.candidates import MOST_NEIGHBOURS, FreeText, PairVerdict, comparable
from services.deduper.thresholds import Floors, floors_for
from services.deduper.wording import read
from shared.db import Database, Transaction
from shared.failures.store import RowRef
from shared.ledger.store import UserKey

_PAIRS_A_LOOK = 1_000
_UNKNOWN = -1.0  # the cosine of facts without vectors of one model: wording decides alone

Pairs = Sequence[tuple[FreeText, FreeText]]


class Overlooked:
    """Finds a user's duplicates, and keeps the verdicts about them; asks no model.

    `model` is whose vectors count where nothing was embedded yet.
    """

    def __init__(self, model: str) -> None:
        self._model = model

    async def find(self, db: Database, user: UserKey) -> AsyncIterator[Sequence[PairVerdict]]:
        """Yield what nobody has decided and the guards merge, some pairs at a time."""
        facts = await store.read_sentences(db, user)
        model = await store.active_model(db, self._model)
        groups = await asyncio.to_thread(alike, facts)
        for pairs in _parted(_pairs(groups), _PAIRS_A_LOOK):
            left = await store.undecided(db, user, list(dict.fromkeys(pairs)))
            if found := await self._judged(db, user, left, model):
                yield found

    async def keep(
        self, tx: Transaction, user: UserKey, verdicts: Sequence[PairVerdict]
    ) -> list[RowRef]:
        """Store verdicts; returns the facts that have them, whose clusters are to be folded."""
        facts = await store.save_overlooked(tx, [(user, verdict) for verdict in verdicts])
        return [RowRef(*user, fact) for fact in facts]

    async def _judged(
        self, db: Database, user: UserKey, pairs: Pairs, model: str
    ) -> list[PairVerdict]:
        ids = {fact.id for pair in pairs for fact in pair}
        vectors = await store.read_vectors(db, user, ids, model) if ids else {}

        def judge() -> list[PairVerdict]:
            return list(_merged(pairs, vectors, floors_for(model)))

        return await asyncio.to_thread(judge)


def _merged(pairs: Pairs, vectors: store.VectorsById, floors: Floors) -> Iterator[PairVerdict]:
    for first, second in pairs:
        cosine = _UNKNOWN
        if first.id in vectors and second.id in vectors:
            cosine = float(vectors[first.id] @ vectors[second.id])
        judged = guards.judge(first.content, second.content, cosine, floors)
        if judged.verdict == "duplicate":
            yield PairVerdict(first.id, second.id, "duplicate", judged.reason, cosine)


def alike(facts: Iterable[FreeText]) -> list[list[FreeText]]:
    """Part facts into those that could say the same, in the order of the law; loners are left out.

    By their content words first; then by all their words, where content words differ.
    """
    bare: dict[tuple[str, frozenset[str]], list[FreeText]] = {}
    plain: dict[tuple[str, str], dict[frozenset[str], list[FreeText]]] = {}
    for fact in sorted(facts, key=lambda fact: fact.rank):
        wording = read(fact.content)
        bare.setdefault((fact.subject, wording.bare), []).append(fact)
        by_bare = plain.setdefault((fact.subject, wording.plain), {})
        by_bare.setdefault(wording.bare, []).append(fact)
    same_words = [
        [fact for facts in by_bare.values() for fact in facts]
        for by_bare in plain.values()
        if len(by_bare) > 1
    ]
    return [group for group in (*bare.values(), *same_words) if len(group) > 1]


def _pairs(groups: Iterable[Sequence[FreeText]]) -> Iterator[tuple[FreeText, FreeText]]:
    """Pair what may be compared, the lower id first; a hundred that say the same are a block."""
    for group in groups:
        for block in _parted(group, MOST_NEIGHBOURS):
            for one, other in combinations(block, 2):
                if comparable(one, other):
                    yield (one, other) if one.id < other.id else (other, one)


_Item = TypeVar("_Item")


def _parted(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
