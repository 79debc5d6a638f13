"""Fills an instance's database by COPY: settled facts of many users, in the order they would come.

Who is asked about also has the messages that the facts rest on.

Rows of all users lie between one another, as they do when facts arrive over months.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.recall.corpus import Corpus

_COPY_FACTS = """
COPY memory_facts (tenant_id, user_id, id, generation, content, category, subject, claim,
                   temporal_state, said_at, recorded_at, message_key, ordinal, confidence,
                   source_message_ids, session_id, state, settled_at, standing, canonical_id,
                   believed)
FROM STDIN"""
_COPY_MESSAGES = """
COPY chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256, role, content,
                said_at, recorded_at, state, announced_at, extracted_at)
FROM STDIN"""
COPY_VECTORS = """
COPY fact_vectors (tenant_id, user_id, fact_id, model, embedding) FROM STDIN WITH (FORMAT BINARY)"""
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
_CHUNK = 5_000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_NOISE_VECTORS = 2_048  # of others, drawn again and again: nobody is asked about them
_Said = tuple[str, UUID, str, int]
_CATEGORIES = ("biographical", "user_preference", "work_context", "relationship", "learning")


class Filling:
    """One database, one model; only the vectors of asked users lie in clusters."""

    def __init__(self, url: str, corpus: Corpus, model: str, centres: NDArray[np.float32]) -> None:
        self._url = url
        self._corpus = corpus
        self._model = model
        self._centres = centres
        self._noise = [
            halfvec(vector) for vector in corpus.clustered(centres, _NOISE_VECTORS, spread=3.0)
        ]

    def fill(self, asked: Mapping[str, int], others: int, per_other: int = 200) -> float:
        """Add users with so many facts each, and so many rows of others; answers the seconds."""
        begun = time.monotonic()
        owners = [user for user, count in asked.items() for _ in range(count)]
        owners += [f"other-of-{next(iter(asked))}-{row // per_other}" for row in range(others)]
        order = self._corpus.rng.permutation(len(owners))
        with psycopg.connect(self._url) as connection:
            connection.execute("SET synchronous_commit = off")
            _add_users(connection, set(owners))
            for start in range(0, len(order), _CHUNK):
                users = [owners[row] for row in order[start : start + _CHUNK]]
                self._copy(connection, users, asked)
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE) memory_facts, fact_vectors, chat_logs, users")
        return time.monotonic() - begun

    def _copy(
        self, connection: psycopg.Connection, users: list[str], asked: Mapping[str, int]
    ) -> None:
        ids = [UUID(bytes=self._corpus.rng.bytes(16), version=4) for _ in users]
        texts = self._corpus.sentences(len(users))
        picks = self._corpus.rng.integers(0, 1_000_000, len(users)).tolist()
        said = list(zip(users, ids, texts, picks, strict=True))
        with connection.cursor().copy(_COPY_FACTS) as copy:
            copy.write("".join(_facts(said)))
        with connection.cursor().copy(_COPY_MESSAGES) as copy:
            copy.write("".join(_messages(one for one in said if one[0] in asked)))
        with connection.cursor().copy(COPY_VECTORS) as copy:
            copy.write(COPY_HEADER + b"".join(self._tuples(users, ids, asked)) + COPY_TRAILER)
        connection.commit()

    def _tuples(
        self, users: list[str], ids: list[UUID], asked: Mapping[str, int]
    ) -> Iterator[bytes]:
        theirs = sum(user in asked for user in users)
        vectors = self._corpus.clustered(self._centres, theirs)
        picks = self._corpus.rng.integers(0, _NOISE_VECTORS, len(users))
        model = copied(self._model.encode())
        for user, row, pick in zip(users, ids, picks, strict=True):
            vector = halfvec(next(vectors)) if user in asked else self._noise[pick]
            head = b"\0\x05" + copied(b"default") + copied(user.encode())
            yield head + copied(row.bytes) + model + copied(vector)


def _facts(said: Iterable[_Said]) -> Iterator[str]:
    for user, row, text, pick in said:
        at = _moment(pick)
        category = _CATEGORIES[pick % len(_CATEGORIES)]
        yield (
            f"default\t{user}\t{row}\t1\t{text}\t{category}\tuser\tholds\tcurrent\t{at}\t"
            f"{at}\tm:{row}\t0\t0.9\t{{{row}}}\t{_session(pick)}\tsettled\t{at}\t"
            f"belief\t{row}\t{{(,)}}\n"
        )


def _messages(said: Iterable[_Said]) -> Iterator[str]:
    """The message each fact rests on: twice as many words, and the fact's among them."""
    for user, row, text, pick in said:
        at = _moment(pick)
        content = f"You know, {text}, and it was {text[::-1]}"
        yield (
            f"default\t{user}\t{row}\t{_session(pick)}\tm:{row}\t\\\\x00\tuser\t{content}\t{at}\t{at}\textracted\t{at}\t{at}\n"
        )


def _moment(pick: int) -> str:
    return (_EPOCH + timedelta(minutes=pick % 400_000)).isoformat()


def _session(pick: int) -> str:
    return f"day{pick % 400_000 // 1440}"


def _add_users(connection: psycopg.Connection, users: set[str]) -> None:
    connection.execute("INSERT INTO tenants (tenant_id) VALUES ('default') ON CONFLICT DO NOTHING")
    connection.execute(
        "INSERT INTO users (tenant_id, user_id) SELECT 'default', unnest(%s::text[])"
        " ON CONFLICT DO NOTHING",
        [sorted(users)],
    )


def copied(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def halfvec(vector: NDArray[np.float32]) -> bytes:
    """PostgreSQL's binary form: dimensions, a spare, then half floats, big end first."""
    return struct.pack(">HH", len(vector), 0) + vector.astype(">f2").tobytes()
