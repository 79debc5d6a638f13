"""One user's facts as columns in memory: which pass the filters, which are nearest to a vector.

Pure. It answers what the SQL of both arms answers; `keeper` keeps it true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot.columns import Column, Names
from services.gateway.hot.postings import Postings
from services.gateway.hot.stated import Stated
from shared.trust import SOURCES

Mask = NDArray[np.bool_]
FOREVER = np.iinfo(np.int64).max

_ESSENTIAL, _HAS_VECTOR, _CURRENT, _HAS_MESSAGE = 1, 2, 4, 8
_SOURCE_BITS = 4  # what stands above them is the place among SOURCES
_NAMED = ("category", "slot", "subject", "session_id", "who")
_OBJECT_BYTES = 100  # what Python keeps of a text or an entry beside its letters
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
        self._ids, self._messages = Column("V16"), Column("V16")
        self._vectors = Column(np.float32, dimensions)
        self._lengths = Column(np.float32)  # of vectors, inverted; 0 where there is none
        self._numbers = {
            name: Column(np.int64)
            for name in ("said_at", "at", "recorded_at", "until", "fades_at", "evidence", "flags")
        }
        self._confidence = Column(np.float64)
        self._alive = Column(np.bool_)
        self._names = {name: (Column(np.int32), Names()) for name in _NAMED}
        self._contents: list[str] = []
        self._uuids: list[UUID] = []
        self._rests_on: list[UUID | None] = []
        self._letters = 0
        self._stated: Stated | None = None
        self.postings = Postings()

    def __len__(self) -> int:
        return len(self._place_of)

    @property
    def size_bytes(self) -> int:
        columns = [self._ids, self._messages, self._vectors, self._lengths, self._confidence]
        columns += [self._alive, *self._numbers.values(), *(c for c, _ in self._names.values())]
        return (
            sum(column.size_bytes for column in columns)
            + self.postings.size_bytes
            + self._letters
            + _OBJECT_BYTES * (3 * len(self._contents) + len(self._place_of))
            + _OBJECT_BYTES * sum(len(names) for _, names in self._names.values())
        )

    @property
    def is_littered(self) -> bool:
        """Whether more places are empty than taken: time to read everything again."""
        return len(self._alive) > 2 * len(self) + 100

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Put facts on the shelf: packed numbers, names as in `_NAMED`, content, terms, how often
        each term.
        """
        if not rows:
            return
        first = len(self._alive)
        packed = np.frombuffer(b"".join(row[0] for row in rows), dtype=self._packed)
        self._ids.extend(packed["id"])
        self._uuids.extend(UUID(bytes=row.tobytes()) for row in packed["id"])
        self._add_vectors(packed)
        for name, column in self._numbers.items():
            column.extend(packed[name].astype(np.int64))
        self._confidence.extend(packed["confidence"].astype(np.float64))
        self._alive.extend(np.ones(len(rows), dtype=np.bool_))
        for at, name in enumerate(_NAMED, 1):
            column, names = self._names[name]
            column.extend(names.codes([row[at] for row in rows]))
        self._contents.extend(row[6] for row in rows)
        self._letters += sum(len(row[6]) for row in rows)
        self.postings.add([row[7] for row in rows], [row[8] for row in rows])
        self._messages.extend(packed["message"])
        has_one = (packed["flags"] & _HAS_MESSAGE) > 0
        self._rests_on.extend(
            UUID(bytes=row.tobytes()) if there else None
            for row, there in zip(packed["message"], has_one, strict=True)
        )
        self._place_of.update((row.tobytes(), at) for at, row in enumerate(packed["id"], first))
        self._stated = None

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
                self._letters -= len(self._contents[place])
                self._contents[place] = ""
        self._stated = None

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
            passing &= self._is_one_of("category", filters.categories)
        if filters.slots is not None:
            passing &= self._is_one_of("slot", filters.slots)
        if filters.since is not None:
            passing &= self._numbers["at"].values >= microseconds(filters.since)
        if filters.until is not None:
            passing &= self._numbers["at"].values < microseconds(filters.until)
        return passing

    def _is_one_of(self, name: str, wanted: Sequence[str]) -> Mask:
        column, names = self._names[name]
        return np.isin(column.values, names.known(wanted))

    def nearest(self, passing: Mask, vector: Sequence[float], most: int) -> list[dict[str, Any]]:
        """Rows as the vector arm has them, nearest first; equal ones in the order of their ids."""
        # Not a matrix product: BLAS would wake a thread a core for it, and let them spin.
        cosines = np.einsum("ij,j->i", self._vectors.values, _unit(vector))
        cosines *= self._lengths.values
        places = np.flatnonzero(passing & (self._lengths.values != 0))
        best = self.best(places, cosines[places].astype(np.float64), most)
        return [{"id": self.id_at(place), "cosine": cosine} for place, cosine in best]

    def likeness(
        self, vector: Sequence[float], ids: Sequence[UUID], best: Sequence[UUID]
    ) -> list[dict[str, Any]]:
        """Each fact's cosine with a vector, and its mean cosine with the best of them."""
        places = self._with_vectors(ids)
        vectors = self._unit_vectors(places)
        others = self._unit_vectors(self._with_vectors(best))
        cosines = np.einsum("ij,j->i", vectors, _unit(vector)).tolist()
        alike: list[float] | list[None] = [None] * len(places)
        if len(others):
            alike = np.einsum("ij,j->i", vectors, others.mean(axis=0)).tolist()
        return [
            {"id": self.id_at(place), "cosine": cosine, "likeness": likeness}
            for place, cosine, likeness in zip(places, cosines, alike, strict=True)
        ]

    def faded(self, at: datetime, ids: Sequence[UUID]) -> list[UUID]:
        """Which of these facts were faded at a moment."""
        places = np.array(self._places(ids), dtype=np.int64)
        gone = self._numbers["fades_at"].values[places] <= microseconds(at)
        return [self.id_at(place) for place in places[gone].tolist()]

    def _with_vectors(self, ids: Iterable[UUID]) -> list[int]:
        places = self._places(ids)
        return [place for place in places if self._lengths.values[place] != 0]

    def _unit_vectors(self, places: Sequence[int]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = self._vectors.values[places]
        vectors *= self._lengths.values[places, None]  # a copy already
        return vectors

    def _places(self, ids: Iterable[UUID]) -> list[int]:
        """Where these facts are, each once; those that are gone are left out."""
        there = (self._place_of.get(row.bytes) for row in ids)
        return list(dict.fromkeys(place for place in there if place is not None))

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

    def gathered(
        self,
        passing: Mask,
        ids: Sequence[UUID],
        anchors: Sequence[UUID],
        messages: Sequence[UUID],
    ) -> list[dict[str, Any]]:
        """What ranking needs to know of these facts and those around, as far as they pass."""
        beside = {place: self._beside(place) for place in self._places(anchors)}
        wanted = dict.fromkeys(self._places(ids))
        wanted |= dict.fromkeys(n for pair in beside.values() for n in pair if n is not None)
        wanted |= dict.fromkeys(self._resting_on(messages))
        return self._rows([place for place in wanted if passing[place]], beside)

    def _resting_on(self, messages: Sequence[UUID]) -> list[int]:
        """The facts of a session that rest on one of these messages, by half of its id first."""
        if not (messages and len(self._alive)):
            return []
        halves = np.sort(np.array([_half(one.bytes) for one in messages], dtype=">u8"))
        there = self._messages.values.view(">u8").reshape(-1, 2)[:, 1]
        found = halves[np.searchsorted(halves[:-1], there)] == there
        session, _ = self._names["session_id"]
        has_one = (self._numbers["flags"].values & _HAS_MESSAGE) > 0
        places = np.flatnonzero(found & has_one & (session.values >= 0)).tolist()
        whole = {one.bytes for one in messages}
        return [place for place in places if self._messages.values[place].tobytes() in whole]

    def _beside(self, place: int) -> tuple[int | None, int | None]:
        if self._stated is None:
            session, _ = self._names["session_id"]
            numbers = self._numbers
            self._stated = Stated(
                np.flatnonzero(self._alive.values & (session.values < 0)),
                numbers["said_at"].values,
                numbers["recorded_at"].values,
                self._ids.values,
            )
        return self._stated.beside(place)

    def _rows(
        self, places: Sequence[int], beside: Mapping[int, tuple[int | None, int | None]]
    ) -> list[dict[str, Any]]:
        said_at, at = (self._numbers[name].values[places].tolist() for name in ("said_at", "at"))
        evidence, flags = (
            self._numbers[name].values[places].tolist() for name in ("evidence", "flags")
        )
        category, slot, subject, session, who = (
            names.named_or_none(column.values[places].tolist())
            for column, names in self._names.values()
        )
        confidences = self._confidence.values[places].tolist()
        rows = []
        for n, place in enumerate(places):
            before, after = beside.get(place, (None, None))
            rows.append({
                "id": self.id_at(place),
                "confidence": confidences[n],
                "said_at": moment(said_at[n]),
                "at": moment(at[n]),
                "essential": bool(flags[n] & _ESSENTIAL),
                "evidence_count": evidence[n],
                "slot": slot[n],
                "category": category[n],
                "subject": subject[n],
                "source": SOURCES[flags[n] >> _SOURCE_BITS],
                "session_id": session[n],
                "who": who[n],
                "message": self._rests_on[place],
                "content": self._contents[place],
                "before": None if before is None else self.id_at(before),
                "after": None if after is None else self.id_at(after),
            })  # fmt: skip
        return rows

    def id_at(self, place: int) -> UUID:
        return self._uuids[place]


def _packed(dimensions: int) -> np.dtype[Any]:
    """The numbers of one row as PostgreSQL sends them, big end first."""
    return np.dtype([
        ("id", "V16"),
        ("vector", ">f2", (dimensions,)),
        ("confidence", ">f8"),
        ("said_at", ">i8"),
        ("at", ">i8"),
        ("recorded_at", ">i8"),
        ("until", ">i8"),
        ("fades_at", ">i8"),
        ("message", "V16"),
        ("evidence", ">i4"),
        ("length", ">i4"),
        ("flags", ">i4"),
    ])  # fmt: skip


def _half(row: bytes) -> int:
    return int.from_bytes(row[8:])


def _unit(vector: Sequence[float]) -> NDArray[np.float32]:
    asked = np.asarray(vector, dtype=np.float32)
    unit: NDArray[np.float32] = asked / np.linalg.norm(asked)
    return unit


def microseconds(when: datetime) -> int:
    """A moment as PostgreSQL counts: microseconds since 2000."""
    return (when - _POSTGRES_EPOCH) // timedelta(microseconds=1)


def moment(counted: int) -> datetime:
    return _POSTGRES_EPOCH + timedelta(microseconds=counted)
