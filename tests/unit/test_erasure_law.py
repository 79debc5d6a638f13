"""What came before an erasure is told by its place in the stream, in any order and however often."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.erasure.law import Position, Tombstones, session_sha256, user_sha256

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
