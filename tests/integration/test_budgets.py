"""Budgets on a real PostgreSQL: whoever reserves, settles or dies, a day never overshoots."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.errors import BudgetSpentError
from shared.spending import store
from shared.spending.budgets import Budgets, Reservation
from shared.spending.prices import Amount
from shared.spending.store import Limits
from tests.databases import TestedDatabase

LIMITS = Limits(1_000, Decimal("2.5"))


def budgets_of(db: TestedDatabase, limits: Limits = LIMITS, **more: Any) -> Budgets:
    return Budgets(db, limits, look_again_seconds=0.01, **more)


async def taken(db: TestedDatabase, tenant: str = "a") -> tuple[int, Decimal]:
    async with db.everyone.autocommit() as tx:
        row = await store.budget_of(tx, tenant)
    return row["tokens_today"], row["money_today"]


async def test_any_number_of_workers_stays_within_the_budget(db: TestedDatabase) -> None:
    """Twelve workers with pools of their own reserve, settle and die; the count is exact."""
    random.seed(1)
    spent = {"a": Amount(0, Decimal(0)), "b": Amount(0, Decimal(0))}
    highest = 0

    def add(tenant: str, amount: Amount) -> None:
        before = spent[tenant]
        spent[tenant] = Amount(before.tokens + amount.tokens, before.money + amount.money)

    async def worker(number: int) -> int:
        nonlocal highest
        mine, done = budgets_of(db), 0
        for _ in range(25):
            tenants = random.choice([["a"], ["b"], ["a", "b"], ["b", "a"]])
            most = {t: Amount(random.randint(1, 90), Decimal("0.05")) for t in tenants}
            try:
                reservation = await mine.reserve(most)
            except BudgetSpentError as error:
                assert error.tenants <= set(tenants)
                continue
            highest = max(highest, (await taken(db))[0])
            done += 1
            if random.random() < 0.2:  # it dies: the reservation stays counted
                for tenant, amount in most.items():
                    add(tenant, amount)
                continue
            real = {t: Amount(random.randint(0, m.tokens), m.money / 2) for t, m in most.items()}
            await mine.settle(reservation, real)
            for tenant, amount in real.items():
                add(tenant, amount)
        return done

    done = sum(await asyncio.gather(*map(worker, range(12))))
    assert 20 < done < 300, "some got room, some did not"
    assert highest <= 1_000
    for tenant, amount in spent.items():
        assert await taken(db, tenant) == (amount.tokens, amount.money)
        assert amount.tokens <= 1_000
        assert amount.money <= Decimal("2.5")


async def test_two_at_once_do_not_share_the_last_room(db: TestedDatabase) -> None:
    """Of fifty calls that each need more than half of the day, one is made."""
    outcomes = await asyncio.gather(
        *(budgets_of(db).reserve({"a": Amount(501, Decimal(0))}) for _ in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Reservation) for each in outcomes) == 1
    assert all(isinstance(each, Reservation | BudgetSpentError) for each in outcomes)


async def test_of_a_call_for_two_tenants_nothing_is_taken_when_one_has_no_room(
    db: TestedDatabase,
) -> None:
    """The refusal names who has none."""
    mine = budgets_of(db)
    await mine.reserve({"a": Amount(900, Decimal(0))})
    with pytest.raises(BudgetSpentError) as refused:
        await mine.reserve({"a": Amount(200, Decimal(0)), "b": Amount(200, Decimal(0))})
    assert refused.value.tenants == {"a"}
    assert 0 < refused.value.wait_seconds <= 86_400
    assert await taken(db, "b") == (0, 0)
    async with db.everyone.autocommit() as tx:
        assert await store.over_budget(tx) == ["a"]


async def test_the_next_day_has_a_budget_of_its_own(db: TestedDatabase) -> None:
    """What was taken yesterday is yesterday's, and is settled there."""
    mine = budgets_of(db)
    late = await mine.reserve({"a": Amount(1_000, Decimal(0))})
    with pytest.raises(BudgetSpentError):
        await mine.reserve({"a": Amount(1, Decimal(0))})
    async with db.everyone.autocommit() as tx:
        await tx.execute("UPDATE budget_days SET day = day - 1")
    await mine.reserve({"a": Amount(1_000, Decimal(0))})
    yesterday = Reservation(late.day - timedelta(days=1), late.amounts)
    await mine.settle(yesterday, {"a": Amount(7, Decimal(0))})
    assert await taken(db) == (1_000, 0)
    async with db.everyone.autocommit() as tx:
        assert await tx.value("SELECT min(tokens) AS least FROM budget_days") == 7


async def test_a_tenant_may_have_limits_of_its_own(db: TestedDatabase) -> None:
    """They replace the settings' limits, upwards and downwards; 0 lifts one."""
    async with db.everyone.autocommit() as tx:
        await store.set_budget(tx, "small", Limits(10, None))
        await store.set_budget(tx, "free", Limits(0, Decimal(0)))
    mine = budgets_of(db)
    with pytest.raises(BudgetSpentError):
        await mine.reserve({"small": Amount(11, Decimal(0))})
    await mine.reserve({"free": Amount(10**9, Decimal(10**6))})
    without = budgets_of(db, Limits())
    assert await without.concern(["small"])
    assert not await without.concern(["free", "another"])


async def test_a_budget_set_during_the_day_counts_what_was_spent_before(db: TestedDatabase) -> None:
    """Calls that were only counted until then are in the day's account from its first moment."""
    async with db.everyone.autocommit() as tx:
        await tx.execute(
            """INSERT INTO spending (tenant_id, day, purpose, provider, model, calls, input_tokens)
               VALUES ('a', (now() AT TIME ZONE 'UTC')::date, 'extraction', 'p', 'm', 1, 950)"""
        )
    mine = budgets_of(db)
    with pytest.raises(BudgetSpentError):
        await mine.reserve({"a": Amount(51, Decimal(0))})
    await mine.reserve({"a": Amount(50, Decimal(0))})
    assert (await taken(db))[0] == 1_000


# ---- any interleaving, one statement at a time


class AnyWorkers(RuleBasedStateMachine):
    """Reservations, settlements and deaths of several workers in any order, on the real table."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.db = TestedDatabase(self.url, max_connections=1)
        self.run(self.db.open())
        self.run(self._clear())
        self.workers = [budgets_of(self.db) for _ in range(3)]
        self.open: list[tuple[Budgets, Reservation]] = []
        self.expected = 0

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _clear(self) -> None:
        async with self.db.everyone.autocommit() as tx:
            await tx.execute("DELETE FROM budget_days")

    @rule(worker=st.integers(0, 2), tokens=st.integers(1, 600))
    def reserve(self, worker: int, tokens: int) -> None:
        mine = self.workers[worker]
        fits = self.expected + tokens <= 1_000
        try:
            reservation = self.run(mine.reserve({"a": Amount(tokens, Decimal(0))}))
        except BudgetSpentError:
            assert not fits, "room is never refused"
            return
        assert fits
        self.expected += tokens
        self.open.append((mine, reservation))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        mine, reservation = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        most = reservation.amounts["a"].tokens
        real = data.draw(st.integers(0, most))
        self.run(mine.settle(reservation, {"a": Amount(real, Decimal(0))}))
        self.expected -= most - real

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))

    @invariant()
    def it_stays_within_the_budget(self) -> None:
        tokens, _ = self.run(taken(self.db))
        assert tokens == self.expected <= 1_000

    def teardown(self) -> None:
        self.run(self.db.close())
        self.loop.close()


@pytest.fixture
def machine(database_url: str) -> Iterator[type[AnyWorkers]]:
    AnyWorkers.url = database_url
    yield AnyWorkers


def test_any_interleaving_stays_within_the_budget(machine: type[AnyWorkers]) -> None:
    """Spent and reserved together never exceed it, and what fits is never refused."""
    from hypothesis.stateful import run_state_machine_as_test

    quick = settings(
        max_examples=15,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=quick)


async def test_what_cannot_be_settled_stays_counted(
    db: TestedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL goes away between the call and its settlement: nothing is given back twice."""
    mine = budgets_of(db)
    reservation = await mine.reserve({"a": Amount(700, Decimal(0))})

    async def away(*_: Any) -> None:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(store, "settle", away)
    await mine.settle(reservation, {"a": Amount(1, Decimal(0))})
    assert (await taken(db))[0] == 700
