"""What came before an erasure is told by its place in the stream, in any order and however often."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from faststream.redis.parser import BinaryMessageFormatV1
from hypothesis import given
from hypothesis import strategies as st

from shared.erasure.law import Position, Tombstones, session_sha256, user_sha256
from shared.erasure.streams import session_of, whose

numbers = st.integers(0, 2**64 - 1)
places = st.builds(Position, numbers, numbers)
ids = st.tuples(numbers, numbers).map(lambda pair: f"{pair[0]}-{pair[1]}")
names = st.sampled_from(["ana", "ben", "a", "b"])
Stone = tuple[str, str, str | None, Position]
stones = st.lists(st.tuples(names, names, st.none() | names, places), max_size=6)


def row(stone: Stone) -> dict[str, Any]:
    tenant, user, session, place = stone
    return {
        "user_sha256": user_sha256(tenant, user),
        "session_sha256": None if session is None else session_sha256(tenant, user, session),
        "stream_ms": place.ms,
        "stream_seq": place.sequence,
    }


@given(ids, ids)
def test_places_are_in_the_order_of_ids(first: str, second: str) -> None:
    """As numbers, never as text: 9-1 stands before 10-0."""
    pairs = [tuple(int(part) for part in one.split("-")) for one in (first, second)]
    assert (Position.of(first) < Position.of(second)) == (pairs[0] < pairs[1])


def test_an_id_without_a_sequence_is_the_first_of_its_millisecond() -> None:
    assert Position.of("7") == Position(7, 0)
    assert Position.before(7) < Position.of("7-0")
    assert Position.of(f"6-{2**64 - 1}") <= Position.before(7)


@given(stones, names, names, names, places)
def test_an_entry_is_covered_by_any_stone_of_its_own_behind_it(
    given_stones: list[Stone], tenant: str, user: str, session: str, place: Position
) -> None:
    """Of its user or its session, and of nobody else; the order of the stones does not matter."""
    covered = any(
        (tenant, user) == (of_tenant, of_user) and of_session in {None, session} and place <= stone
        for of_tenant, of_user, of_session, stone in given_stones
    )
    rows = [row(stone) for stone in given_stones]
    for told in (rows, rows[::-1], rows * 2):
        assert Tombstones(told).cover(tenant, user, session, place) is covered


def test_a_digest_is_what_a_certificate_says_it_is() -> None:
    assert user_sha256("default", "ana") == hashlib.sha256(b"default\x1fana").digest()
    assert user_sha256("a", "b") != session_sha256("a", "b", "")


@given(
    st.dictionaries(st.sampled_from([b"user_id", b"user", b"tenant", b"session_id"]), st.binary())
)
def test_whatever_an_entry_says_its_names_can_be_stored(raw: dict[bytes, bytes]) -> None:
    """Bytes that are no text, NULs, endless names: PostgreSQL takes what is read of them."""
    tenant, user = whose(raw)
    for name in (tenant, user or "", session_of(raw)):
        assert len(name) <= 128
        assert "\x00" not in name
        name.encode()
    assert tenant
    assert user != ""


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner, max_size=2))
)
def test_names_in_json_can_be_stored_too(value: Any) -> None:
    """FastStream's publisher puts JSON into one field: lone surrogates, numbers, lists."""
    fields = json.dumps({"user_id": value, "session_id": "\ud800", "tenant": value})
    encode = BinaryMessageFormatV1.encode
    made = encode(message=fields, reply_to=None, headers=None, correlation_id="c")
    raw = {b"__data__": asyncio.run(made)}
    tenant, user = whose(raw)
    for name in (tenant, user or "", session_of(raw)):
        name.encode()
        assert "\x00" not in name
        assert len(name) <= 128


def test_json_that_nobody_can_read_names_nobody() -> None:
    for body in (b"[" * 100_000, b"{", b"\xff", b"7", b""):
        raw = {b"__data__": body, b"message_id": b"\xff"}
        assert whose(raw) == ("default", None)
        assert session_of(raw) == "default"


def test_an_entry_and_a_bell_name_their_users() -> None:
    assert whose({b"user_id": b"ana", b"content": b"hi"}) == ("default", "ana")
    assert whose({b"tenant": b"acme", b"user": b"ana", b"at": b"now"}) == ("acme", "ana")
    assert whose({b"content": b"hi"}) == ("default", None)
    assert session_of({b"user_id": b"ana"}) == "default"
