"""Whoever brings much stands behind himself: tenants take turns, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from shared.fairness import FairSlots, Turns
from shared.together import Together

BROUGHT = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 5)), max_size=60)


@given(BROUGHT, st.integers(1, 9))
def test_everything_is_taken_once_and_each_tenants_in_its_order(brought, most):
    turns = Turns()
    for number, (tenant, weight) in enumerate(brought):
        turns.add(tenant, (tenant, number, weight))
    taken = []
    while turns:
        batch = turns.take(most, lambda item: item[2])
        assert batch, "something waits, so something is taken"
        assert sum(item[2] for item in batch[:-1]) < most
        taken += batch
    assert sorted(number for _, number, _ in taken) == list(range(len(brought)))
    by_tenant = defaultdict(list)
    for tenant, number, _ in taken:
        by_tenant[tenant].append(number)
    assert all(numbers == sorted(numbers) for numbers in by_tenant.values())


@given(st.integers(1, 500), st.integers(0, 20), st.integers(1, 50))
def test_a_tenants_next_waits_for_one_of_each_other_at_most(flood, taken_before, others):
    """However much somebody brought before, a newcomer is reached within one round."""
    turns = Turns()
    for number in range(flood):
        turns.add("loud", number)
    for other in range(others):
        turns.add(("other", other), other)
    turns.take(taken_before)
    turns.add("quiet", "mine")
    assert "mine" in turns.take(others + 2)


async def test_slots_go_to_tenants_by_turns() -> None:
    slots, order = FairSlots(1), []

    async def work(tenant: str) -> None:
        async with slots.turn(tenant):
            order.append(tenant)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work("loud")) for _ in range(50)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(work("quiet")))
    await asyncio.gather(*tasks)
    assert order.index("quiet") <= 3
    assert len(order) == 51


@given(st.lists(st.sampled_from(["come", "go", "end"]), max_size=80), st.integers(1, 3))
def test_no_slot_is_lost_or_made_whoever_gives_up(moves, count):
    """Whether who waits is cancelled, is cancelled as his turn comes, or works to the end."""

    async def play() -> None:
        slots, inside, most = FairSlots(count), 0, 0
        done = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def work(tenant: int) -> None:
            nonlocal inside, most
            async with slots.turn(tenant):
                inside += 1
                most = max(most, inside)
                try:
                    await done.wait()
                finally:
                    inside -= 1

        for number, move in enumerate(moves):
            if move == "come":
                tasks.append(asyncio.create_task(work(number % 3)))
            elif tasks:
                tasks.pop(number % len(tasks)).cancel()
            if move != "end":
                await asyncio.sleep(0)
        done.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(count):
                await slots._acquire("last")
        assert most <= count
        assert slots._free == 0

    asyncio.run(play())


async def test_what_is_asked_together_is_answered_by_turns() -> None:
    batches: list[list[str]] = []

    async def answer(asked: list[str]) -> list[str]:
        batches.append(list(asked))
        await asyncio.sleep(0)
        return asked

    together = Together(answer, 10, whose=lambda asked: asked[0])
    flood = [asyncio.create_task(together(f"loud{number}")) for number in range(100)]
    await asyncio.sleep(0)
    assert await together("quiet") == "quiet"
    assert len(batches) <= 2
    assert await asyncio.gather(*flood) == [f"loud{number}" for number in range(100)]


async def test_who_gave_up_is_asked_about_no_more():
    """A batch under way keeps others waiting; who was cancelled meanwhile costs nothing."""
    asked, going_on = [], asyncio.Event()

    async def answer(questions):
        asked.extend(questions)
        await going_on.wait()
        return questions

    together = Together(answer)
    first = asyncio.create_task(together("first"))
    await eventually_asked(asked, "first")
    gone, stays = (asyncio.create_task(together(name)) for name in ("gone", "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    going_on.set()
    assert await asyncio.gather(first, stays) == ["first", "stays"]
    assert asked == ["first", "stays"]


async def eventually_asked(asked, question):
    async with asyncio.timeout(60):
        while question not in asked:
            await asyncio.sleep(0)
