"""Fills an instance with users whose facts no job has looked at yet, as after a large import.

A sixth of a user's facts have a slot, the rest are sentences; a twentieth of those is said a second
time and was never compared. Said over three years, so that some have faded. The cache says what the
law says, so consolidation finds the duplicates and nothing else.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.recall.corpus import Corpus
from benchmarks.recall.filling import (
    COPY_HEADER,
    COPY_TRAILER,
    COPY_VECTORS,
    copied,
    halfvec,
)

_COPY_FACTS = """
COPY memory_facts (tenant_id, user_id, id, generation, content, category, subject, slot, value,
                   value_key, cardinality, claim, temporal_state, said_at, recorded_at, message_key,
                   ordinal, confidence, source_message_ids, session_id, state, settled_at, standing,
                   canonical_id, believed)
FROM STDIN"""
_USERS = """
INSERT INTO users (tenant_id, user_id, belief_version)
SELECT 'default', 'sleeper' || n, 1 FROM generate_series(0, %s) n"""

_CATEGORIES = ("biographical", "user_preference", "work_context", "relationship", "learning")
_OF_ONE = "name birthday home_city employer job_title partner diet".split()  # noqa: SIM905
_OF_MANY = "allergy pet hobby goal friend language currently_reading dislikes".split()  # noqa: SIM905
_SENTENCES, _VECTORS, _CHUNK, _DAYS = 20_000, 2_048, 5_000, 1_100
_SLOTTED, _TWICE = 6, 20  # every so-manieth


class Sleepers:
    """Users called sleeper0, sleeper1, … with the same number of facts each."""

    def __init__(
        self, url: str, corpus: Corpus, model: str, centres: NDArray[np.float32], facts: int
    ) -> None:
        self._url = url
        self._rng = corpus.rng
        self._model = copied(model.encode())
        self._facts = facts
        self._texts = corpus.sentences(_SENTENCES)
        self._vectors = [halfvec(one) for one in corpus.clustered(centres, _VECTORS, spread=3.0)]
        self._now = datetime.now(UTC)

    def fill(self, users: int) -> float:
        """Add so many users, all rows between one another; answers the seconds."""
        begun = time.monotonic()
        order = self._rng.permutation(users * self._facts)
        with psycopg.connect(self._url) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(_USERS, (users - 1,))
            for start in range(0, len(order), _CHUNK):
                self._copy(connection, order[start : start + _CHUNK].tolist())
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE) memory_facts, fact_vectors, users")
        return time.monotonic() - begun

    def _copy(self, connection: psycopg.Connection, rows: Sequence[int]) -> None:
        ids = [UUID(bytes=self._rng.bytes(16), version=4) for _ in rows]
        days = self._rng.integers(0, _DAYS, len(rows)).tolist()
        with connection.cursor().copy(_COPY_FACTS) as copy:
            copy.write("".join(map(self._fact, rows, ids, days)))
        with connection.cursor().copy(COPY_VECTORS) as copy:
            copy.write(COPY_HEADER + b"".join(self._tuples(rows, ids)) + COPY_TRAILER)
        connection.commit()

    def _fact(self, row: int, fact: UUID, days: int) -> str:
        number = row % self._facts
        at = (self._now - timedelta(days=days, minutes=row % 1_440)).isoformat()
        stated = "\\N\t\\N\t\\N\t\\N"
        if number % _SLOTTED == 0:
            place = number // _SLOTTED
            slot, count = (_OF_ONE[place], "one") if place < len(_OF_ONE) else _many(place)
            value = self._texts[(row * 7) % _SENTENCES].split()[2] + f" {place}"
            stated = f"{slot}\t{value}\t{value}\t{count}"
            text = f"Has {slot.replace('_', ' ')} {value}"
        else:
            text = self._texts[self._said(row)]
        return (
            f"default\tsleeper{row // self._facts}\t{fact}\t1\t{text}\t"
            f"{_CATEGORIES[row % len(_CATEGORIES)]}\tuser\t{stated}\tholds\tcurrent\t{at}\t{at}\t"
            f"m:{row}\t0\t0.9\t{{{fact}}}\ts\tsettled\t{at}\tbelief\t{fact}\t{{[{at},)}}\n"
        )

    def _said(self, row: int) -> int:
        """Which sentence a fact is: now and then the one before it once more."""
        number = row % self._facts
        again = number % _TWICE == 2 and number > 2
        return (row - 1 if again else row) * 13 % _SENTENCES

    def _tuples(self, rows: Sequence[int], ids: Sequence[UUID]) -> Iterator[bytes]:
        for row, fact in zip(rows, ids, strict=True):
            if row % self._facts % _SLOTTED == 0:
                continue  # the pipeline embeds them too; nothing at night reads them
            head = struct.pack(">h", 5) + copied(b"default")
            user = copied(f"sleeper{row // self._facts}".encode())
            vector = copied(self._vectors[self._said(row) % _VECTORS])
            yield head + user + copied(fact.bytes) + self._model + vector


def _many(place: int) -> tuple[str, str]:
    return _OF_MANY[place % len(_OF_MANY)], "many"
