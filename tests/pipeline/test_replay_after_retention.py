"""A replay after retention: what rests on removed messages is carried over, and nothing returns."""

from __future__ import annotations

from services.maintenance.retention.work import Retention
from shared.settings import Settings
from tests.pipeline.test_replay import World, told, world

__all__ = ["world"]  # the fixture


async def test_facts_of_removed_messages_count_in_every_generation(world: World) -> None:
    """One message is too old, two are read again by another model: all three facts are held."""
    await told(world)
    before = await world.held()
    await world.pipeline.rows(
        "UPDATE chat_logs SET recorded_at = recorded_at - interval '40 days'"
        " WHERE session_id = 'Dallas' RETURNING 1"
    )
    gone = await Retention(world.db.everyone, Settings(retain_message_days=30)).turn()
    assert gone == {"messages": 1}
    await world.replay(world.replayer("better"))
    assert await world.generation() == 2
    assert await world.held() == before
    asked = [m["content"] for document in world.server.documents for m in document["messages"]]
    assert sorted(asked) == ["I have a dog called Rex", "I like tea"]


async def test_a_removed_message_that_is_said_again_is_not_read_again(world: World) -> None:
    """Neither the pipeline nor a replay hears it a second time."""
    await world.pipeline.say("I live in Dallas", session_id="s", message_id="m1")
    await world.pipeline.settled()
    await world.pipeline.rows(
        "UPDATE chat_logs SET recorded_at = recorded_at - interval '40 days' RETURNING 1"
    )
    await Retention(world.db.everyone, Settings(retain_message_days=30)).turn()
    world.server.documents.clear()
    await world.pipeline.say("I live in Dallas", session_id="s", message_id="m1")
    await world.pipeline.settled()
    assert world.server.documents == []
    assert await world.held() == [("home_city", "Lives in Dallas")]
