"""One user's messages in memory: their words and what stands beside each, without what they say.

Pure. It answers what the SQL of `message_arm` answers; `message_keeper` keeps it true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.gateway.hot import threads
from services.gateway.hot.columns import Column, Names
from services.gateway.hot.postings import Hits, Postings
from services.gateway.hot.threads import Threads

_K1, _B = 0.9, 0.4  # as in the SQL of the arm
_LOOKED_AT = 2  # times as many as are wanted: the best if each had every word once
_UUID_BYTES = 120  # what Python keeps of one, with its place in a list
_NAME_BYTES = 100
_PACKED = np.dtype([("id", "V16"), ("said_at", ">i8"), ("recorded_at", ">i8")])

Floats = NDArray[np.float64]


class Messages:
    """Messages by place; one that changed gets a new place, its old one stays empty."""

    def __init__(self) -> None:
        self._ids, self._keys = Column("V16"), Column("S36")
        self._uuids: list[UUID] = []
        self._alive = Column(np.bool_)
        self._sessions = Names()
        self._threads = Threads()
        self._postings = Postings()

    def __len__(self) -> int:
        return int(np.count_nonzero(self._alive.values))

    @property
    def size_bytes(self) -> int:
        columns = (self._ids, self._keys, self._alive)
        return (
            sum(column.size_bytes for column in columns)
            + self._threads.size_bytes
            + self._postings.size_bytes
            + _UUID_BYTES * len(self._uuids)
            + _NAME_BYTES * len(self._sessions)
        )

    @property
    def is_littered(self) -> bool:
        """Whether more places are empty than taken: time to read everything again."""
        return len(self._alive) > 2 * len(self) + 100

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add messages: id and times packed, session, words, how often each word."""
        if not rows:
            return
        places = np.arange(len(self._alive), len(self._alive) + len(rows), dtype=np.int32)
        packed = np.frombuffer(b"".join(row[0] for row in rows), dtype=_PACKED)
        sessions = self._sessions.codes(row[1] for row in rows)
        said, recorded = (packed[name].astype(np.int64) for name in ("said_at", "recorded_at"))
        keys = threads.keys(sessions, said, recorded, packed["id"])
        self._ids.extend(packed["id"])
        self._keys.extend(keys)
        self._uuids.extend(UUID(bytes=row.tobytes()) for row in packed["id"])
        self._alive.extend(np.ones(len(rows), dtype=np.bool_))
        self._threads.add(keys, places)
        self._postings.add([row[2] for row in rows], [row[3] for row in rows])

    def remove(self, ids: Iterable[UUID]) -> None:
        gone = np.frombuffer(b"".join(row.bytes for row in ids), dtype=np.uint64).reshape(-1, 2)
        halves = self._ids.values.view(np.uint64).reshape(-1, 2)
        maybe = self._alive.values & np.isin(halves[:, 1], gone[:, 1])
        whole = {row.tobytes() for row in gone}
        places = [
            place
            for place in np.flatnonzero(maybe).tolist()
            if self._ids.values[place].tobytes() in whole
        ]
        if places:
            self._alive.values[places] = False
            self._threads.keep(self._alive.values)

    def best(self, words: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Rows as the arm of messages has them: the best by BM25, then by id."""
        alive = self._alive.values
        found = self._postings.hits([(word, word) for word in words], alive)
        if not found:
            return []
        places, shares, weights = self._weighed(words, found, _LOOKED_AT * most)
        order = self._first(places, weights, most)
        places = places[order]
        before, after = self._threads.beside(self._keys.values[places])
        columns = (places, shares[order], weights[order], before, after)
        return [
            {
                "id": self._uuids[place],
                "matched_share": share,
                "weight": weight,
                "before": self._uuid(earlier),
                "after": self._uuid(later),
            }
            for place, share, weight, earlier, later in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def _weighed(
        self, words: Sequence[str], found: Sequence[Hits], most: int
    ) -> tuple[NDArray[Any], Floats, Floats]:
        """Places that would be best if each had its words once, with shares and BM25 of all."""
        corpus = self._postings.corpus(self._alive.values)
        idfs = {hits.term: _idf(corpus.documents, len(hits.places)) for hits in found}
        asked = sum(idfs.get(word) or _idf(corpus.documents, 0) for word in words)
        matched, weights = np.zeros(len(self._alive)), np.zeros(len(self._alive))
        lengths = _K1 * (1 - _B + _B * self._postings.lengths / corpus.average)
        for hits in found:
            idf, counts = idfs[hits.term], hits.counts
            matched[hits.places] += idf
            weights[hits.places] += idf * counts * (_K1 + 1) / (counts + lengths[hits.places])
        places = np.flatnonzero(matched)
        likely = self._first(places, matched[places] / (1 + lengths[places]), most)
        places = places[likely]
        return places, matched[places] / asked, weights[places]

    def _first(self, places: NDArray[Any], weights: Floats, most: int) -> NDArray[np.intp]:
        """Which of these have the largest weights, largest first, then by id."""
        chosen = np.arange(len(places))
        if len(places) > most:
            chosen = np.flatnonzero(weights >= np.partition(weights, -most)[-most])
        halves = self._ids.values[places[chosen]].view(">u8").reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0], -weights[chosen]))
        first: NDArray[np.intp] = chosen[order[:most]]
        return first

    def _uuid(self, place: int) -> UUID | None:
        return None if place < 0 else self._uuids[place]


def _idf(documents: int, frequency: int) -> float:
    return float(np.log(1 + (documents - frequency + 0.5) / (frequency + 0.5)))
