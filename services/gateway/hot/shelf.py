"""One user's facts as columns in memory: which pass the filters, which are nearest to a vector.

Pure. It answers what the SQL of both arms answers; `keeper` keeps it true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot.columns import Column, Names
from services.gateway.hot.postings import Postings

Mask = NDArray[np.bool_]
FOREVER = np.iinfo(np.int64).max

_ESSENTIAL, _HAS_VECTOR, _CURRENT = 1, 2, 4
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of a user's facts may be found; None filters nothing."""

    current: bool
    categories: Sequence[str] | None = None
    slots: Sequence[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Shelf:
    """Facts by place; a fact that changed gets a new place, its old one stays empty."""

    def __init__(self, dimensions: int) -> None:
        self._packed = _packed(dimensions)
        self._place_of: dict[bytes, int] = {}
        self._ids = Column("V16")
        self._vectors = Column(np.float32, dimensions)
        self._lengths = Column(np.float32)  # of vectors, inverted; 0 where there is none
        self._numbers = {
            name: Column(np.int64) for name in ("said_at", "at", "until", "evidence", "flags")
        }
        self._confidence = Column(np.float64)
        self._alive = Column(np.bool_)
        self._category, self._slot = Column(np.int32), Column(np.int32)
        self._categories, self._slots = Names(), Names()
        self.postings = Postings()

    def __len__(self) -> int:
        return len(self._place_of)

    @property
    def size_bytes(self) -> int:
        columns = [self._ids, self._vectors, self._lengths, self._confidence, self._alive]
        columns += [self._category, self._slot, *self._numbers.values()]
        return (
            sum(column.size_bytes for column in columns)
            + self.postings.size_bytes
            + 150 * len(self._place_of)
        )

    @property
    def is_littered(self) -> bool:
        """Whether more places are empty than taken: time to read everything again."""
        return len(self._alive) > 2 * len(self) + 100

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Put facts on the shelf: (packed numbers, category, slot, terms, how often each)."""
        if not rows:
            return
        first = len(self._alive)
        packed = np.frombuffer(b"".join(row[0] for row in rows), dtype=self._packed)
        self._ids.extend(packed["id"])
        self._add_vectors(packed)
        for name, column in self._numbers.items():
            column.extend(packed[name].astype(np.int64))
        self._confidence.extend(packed["confidence"].astype(np.float64))
        self._alive.extend(np.ones(len(rows), dtype=np.bool_))
        self._category.extend(self._categories.codes([row[1] for row in rows]))
        self._slot.extend(self._slots.codes([row[2] for row in rows]))
        self.postings.add([row[3] for row in rows], [row[4] for row in rows])
        for place, row in enumerate(packed["id"], first):
            self._place_of[row.tobytes()] = place

    def _add_vectors(self, packed: NDArray[Any]) -> None:
        vectors = packed["vector"].astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        there = (packed["flags"] & _HAS_VECTOR) > 0
        inverted = np.divide(1, norms, out=np.full_like(norms, np.nan), where=norms > 0)
        self._vectors.extend(vectors)
        self._lengths.extend(np.where(there, inverted, 0).astype(np.float32))

    def remove(self, ids: Iterable[UUID]) -> None:
        for row in ids:
            if (place := self._place_of.pop(row.bytes, None)) is not None:
                self._alive.values[place] = False

    def changing_by(self, now: datetime) -> list[UUID]:
        """The facts whose moment has come: what they are now must be read again."""
        due = self._alive.values & (self._numbers["until"].values <= microseconds(now))
        return [self.id_at(place) for place in np.flatnonzero(due).tolist()]

    def mask(self, filters: Filters) -> Mask:
        """Which places hold a fact that passes."""
        passing = self._alive.values.copy()
        if filters.current:
            passing &= (self._numbers["flags"].values & _CURRENT) > 0
        if filters.categories is not None:
            passing &= np.isin(self._category.values, self._categories.known(filters.categories))
        if filters.slots is not None:
            passing &= np.isin(self._slot.values, self._slots.known(filters.slots))
        if filters.since is not None:
            passing &= self._numbers["at"].values >= microseconds(filters.since)
        if filters.until is not None:
            passing &= self._numbers["at"].values < microseconds(filters.until)
        return passing

    def nearest(self, passing: Mask, vector: Sequence[float], most: int) -> list[dict[str, Any]]:
        """Rows as the vector arm has them, nearest first; equal ones in the order of their ids."""
        asked = np.asarray(vector, dtype=np.float32)
        # Not a matrix product: BLAS would wake a thread a core for it, and let them spin.
        cosines = np.einsum("ij,j->i", self._vectors.values, asked / np.linalg.norm(asked))
        cosines *= self._lengths.values
        places = np.flatnonzero(passing & (self._lengths.values > 0))
        best = self.best(places, cosines[places].astype(np.float64), most)
        rows = self.rows([place for place, _ in best])
        for row, (_, cosine) in zip(rows, best, strict=True):
            row["cosine"] = cosine
        return rows

    def best(
        self, places: NDArray[Any], weights: NDArray[np.float64], most: int
    ) -> list[tuple[int, float]]:
        """The places of the largest weights, largest first, then by id."""
        if len(places) > most:
            least = np.partition(weights, -most)[-most]
            chosen = weights >= least
            places, weights = places[chosen], weights[chosen]
        pairs = zip(places.tolist(), weights.tolist(), strict=True)
        ordered = sorted(pairs, key=lambda pair: (-pair[1], self._ids.values[pair[0]].tobytes()))
        return ordered[:most]

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """What ranking wants to know of facts."""
        numbers = {name: column.values[places].tolist() for name, column in self._numbers.items()}
        return [
            {
                "id": UUID(bytes=row),
                "confidence": confidence,
                "said_at": moment(said_at),
                "essential": bool(flags & _ESSENTIAL),
                "evidence_count": evidence,
            }
            for row, confidence, said_at, flags, evidence in zip(
                (row.tobytes() for row in self._ids.values[places]),
                self._confidence.values[places].tolist(),
                numbers["said_at"],
                numbers["flags"],
                numbers["evidence"],
                strict=True,
            )
        ]

    def id_at(self, place: int) -> UUID:
        return UUID(bytes=self._ids.values[place].tobytes())


def _packed(dimensions: int) -> np.dtype[Any]:
    """The numbers of one row as PostgreSQL sends them, big end first."""
    return np.dtype([
        ("id", "V16"),
        ("vector", ">f2", (dimensions,)),
        ("confidence", ">f8"),
        ("said_at", ">i8"),
        ("at", ">i8"),
        ("until", ">i8"),
        ("evidence", ">i4"),
        ("length", ">i4"),
        ("flags", ">i4"),
    ])  # fmt: skip


def microseconds(when: datetime) -> int:
    """A moment as PostgreSQL counts: microseconds since 2000."""
    return (when - _POSTGRES_EPOCH) // timedelta(microseconds=1)


def moment(counted: int) -> datetime:
    return _POSTGRES_EPOCH + timedelta(microseconds=counted)
