"""An entry without a `message_id` is one message, whatever becomes of Redis between two readings."""

from __future__ import annotations

import pytest

from services.extractor.intake import Intake
from shared.delivery import Entry
from shared.failures.store import RetryPolicy
from shared.intake.messages import Limits
from shared.topology import MESSAGES
from tests.databases import TestedDatabase


@pytest.fixture
def intake(db: TestedDatabase) -> Intake:
    return Intake(db, limits=Limits(), window=20, policy=RetryPolicy(), stage="extractor")


def entry(entry_id: str, content: str, **more: str) -> Entry:
    said = {"user_id": "ana", "role": "user", "content": content, **more}
    return Entry(MESSAGES, entry_id, {k.encode(): v.encode() for k, v in said.items()})


async def contents(db: TestedDatabase) -> list[str]:
    async with db.everyone.transaction() as tx:
        rows = await tx.rows("SELECT content FROM chat_logs ORDER BY content")
    return [row["content"] for row in rows]


async def test_claimed_before_redis_was_emptied_and_stored_after_it_is_one_message(
    db: TestedDatabase, intake: Intake
) -> None:
    await intake.take([entry("1795656406791-0", "I have a dog")])
    # Its acknowledgement was lost, another worker claimed it, and Redis was emptied meanwhile.
    await intake.take([entry("1795656406791-0", "I have a dog")])
    assert await contents(db) == ["I have a dog"]


async def test_an_entry_id_that_comes_again_with_other_words_is_another_message(
    db: TestedDatabase, intake: Intake
) -> None:
    await intake.take([entry("1-1", "I have a dog")])
    await intake.take([entry("1-1", "I have a cat")])
    assert await contents(db) == ["I have a cat", "I have a dog"]


async def test_the_same_words_in_two_entries_are_two_messages(
    db: TestedDatabase, intake: Intake
) -> None:
    await intake.take([entry("1-1", "I have a dog"), entry("1-2", "I have a dog")])
    assert await contents(db) == ["I have a dog", "I have a dog"]


async def test_an_unreadable_entry_is_one_dead_letter_however_often_it_is_read(
    db: TestedDatabase, intake: Intake
) -> None:
    for _ in range(2):
        await intake.take([entry("1-1", "I have a dog", timestamp="soon")])
    await intake.take([entry("1-1", "I have a cat", timestamp="soon")])
    async with db.everyone.transaction() as tx:
        rows = await tx.rows("SELECT payload->>'content' AS said FROM failures ORDER BY 1")
    assert [row["said"] for row in rows] == ["I have a cat", "I have a dog"]
