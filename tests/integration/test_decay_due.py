"""Whom the clock asks for: users for whom a run of `decay` would change something, and hardly others."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.maintenance import store as schedules
from services.maintenance.consumer import MaintenanceStage
from services.maintenance.fading import store as fading_store
from services.maintenance.fading.weight import half_lives
from services.maintenance.jobs import decay
from services.maintenance.schedule import TURNS, Round
from shared.clock import utc_now
from shared.failures.store import RetryPolicy, RowRef
from tests.integration.test_gateway_app import Api, serve

STORIES, STEPS = 12, 14
SLOTS = [None, None, "currently_reading", "mood", "home_city", "birthday", "goal", "hobby"]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


class TakenBackError(Exception):
    """Ends a transaction in which something was only tried."""


class Life:
    """What happens to one user, and what the scheduler and a run would make of it."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.drawn = random.Random(seed)
        self.faded_below = 0.2
        self.facts: list[UUID] = []

    @property
    def job(self) -> Any:
        return decay.job(self.faded_below)

    async def step(self) -> str:
        happenings = [self.say, self.say, self.use, self.pin, self.pass_time, self.pass_time]
        happenings += [self.consolidate, self.optimize, self.change_rules]
        happening = self.drawn.choice(happenings if self.facts else [self.say])
        await happening()
        return happening.__name__

    async def say(self) -> None:
        slot = self.drawn.choice(SLOTS)
        value = self.drawn.choice(["one", "two"])
        said = utc_now() - timedelta(days=self.drawn.choice([0, 0, 20, 300, 2_000]))
        ends = utc_now() + timedelta(days=self.drawn.random() * 60)
        ended_at = self.drawn.choice([None, None, ends.isoformat()])
        stated = {"slot": slot, "value": value, "ended_at": ended_at} if slot else {}
        content = f"Says {slot} {value}" if slot else f"Says {len(self.facts)}"
        confidence = self.drawn.choice([0.1, 0.5, 1.0])
        fact = await self.api.fact(content, said_at=said, confidence=confidence, **stated)
        await self.learnt()
        self.facts.append(fact)

    async def learnt(self) -> None:
        """As the deduper does with every fact."""
        await self.api.sql("UPDATE users SET belief_version = belief_version + 1")

    async def use(self) -> None:
        uses = self.api.gateway.uses
        used = {"id": self.drawn.choice(self.facts), "status": "current"}
        uses.count("default", "ana", [used])
        await uses.flush()

    async def pin(self) -> None:
        fact, pinned = self.drawn.choice(self.facts), self.drawn.random() < 0.5
        answer = await self.api.client.patch(f"/v1/facts/{fact}", json={"pinned": pinned})
        assert answer.status_code < 300, answer.text

    async def pass_time(self) -> None:
        """Days go by: everything that is kept lies so much further back."""
        days = self.drawn.choice([0.5, 5, 40, 400])
        for statement in _PASSING:
            await self.api.sql(statement, passed=timedelta(days=days))

    async def consolidate(self) -> None:
        await self.run("consolidate")

    async def optimize(self) -> None:
        await self.run("optimize")

    async def change_rules(self) -> None:
        self.faded_below = self.drawn.choice([0.0, 0.2, 0.6])

    async def run(self, kind: str) -> None:
        trace = (await self.api.post(f"/v1/users/ana/{kind}")).json()["trace_id"]
        jobs: Any = {"decay": self.job} if kind == "decay" else None
        stage = MaintenanceStage(durable=self.api.db.everyone, policy=RetryPolicy(), jobs=jobs)
        await stage.process([RowRef("default", "ana", UUID(trace))])

    async def is_due(self) -> bool:
        """Whether the scheduler would ask for the user."""
        told: list[Any] = []
        with suppress(TakenBackError):
            async with self.api.db.everyone.transaction() as tx:
                _, told = await schedules.ask_users(
                    tx, "decay", Round(utc_now()), TURNS, limit=10, rules=self.job.rules
                )
                raise TakenBackError
        return bool(told)

    async def would_change(self) -> int:
        """How many facts a run would change now."""
        changed = 0
        with suppress(TakenBackError):
            async with self.api.db.everyone.transaction() as tx:
                done = await fading_store.reckon(
                    tx, ("default", "ana"), None, half_lives(), self.faded_below
                )
                changed = done.changed
                raise TakenBackError
        return changed


_PASSING = (
    """UPDATE memory_facts
          SET said_at = said_at - %(passed)s::interval, recorded_at = recorded_at - %(passed)s::interval,
              fades_at = fades_at - %(passed)s::interval, ended_at = ended_at - %(passed)s::interval,
              planned_for = planned_for - %(passed)s::interval,
              believed = (SELECT range_agg(tstzrange(lower(s) - %(passed)s::interval,
                                                     upper(s) - %(passed)s::interval))
                            FROM unnest(believed) s) RETURNING 1""",
    "UPDATE fact_uses SET last_used_at = last_used_at - %(passed)s::interval RETURNING 1",
    "UPDATE job_runs SET due_at = due_at - %(passed)s::interval RETURNING 1",
)


@pytest.mark.parametrize("seed", range(STORIES))
async def test_who_is_not_asked_for_has_nothing_to_change(api: Api, seed: int) -> None:
    """Whatever is said, used, pinned, merged or promoted, under whatever rules, as time goes by."""
    life = Life(api, seed)
    happened: list[str] = []
    for _ in range(STEPS):
        happened.append(await life.step())
        due = await life.is_due()
        assert due or not await life.would_change(), happened
        if due and life.drawn.random() < 0.7:
            await life.run("decay")
            happened.append("decay")
            assert await life.would_change() == 0, happened
            assert not await life.is_due(), happened


async def test_a_user_with_nothing_new_is_asked_for_when_a_fact_fades(api: Api) -> None:
    """Not the night before, and not the night after."""
    await api.fact("Is reading Dune", slot="currently_reading", value="Dune")
    life = Life(api, 0)
    await life.learnt()
    assert await life.is_due()
    await life.run("decay")
    [row] = await api.sql("SELECT due_at, (SELECT fades_at FROM memory_facts) FROM job_runs")
    assert row["due_at"] == row["fades_at"]
    assert not await life.is_due()
    await api.sql("UPDATE memory_facts SET said_at = said_at - interval '300 days' RETURNING 1")
    for statement in _PASSING:
        await api.sql(statement, passed=row["due_at"] - utc_now())
    assert await life.is_due()
    await life.run("decay")
    listed = (await api.get("/v1/users/ana/facts")).json()["facts"]
    assert listed == []
    assert not await life.is_due()


async def test_a_use_while_a_run_is_at_work_is_not_lost(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run did not see it: the user is asked for again."""
    dune = await api.fact("Is reading Dune", slot="currently_reading", value="Dune")
    life = Life(api, 0)
    life.facts.append(dune)
    await life.learnt()
    await life.run("decay")
    await life.use()
    assert await life.is_due()
    reckon = fading_store.reckon

    async def used_meanwhile(*args: Any) -> Any:
        done = await reckon(*args)
        await api.sql(
            "UPDATE job_runs SET news = news + 1 RETURNING 1"
        )  # as another connection commits it
        return done

    monkeypatch.setattr(fading_store, "reckon", used_meanwhile)
    await life.run("decay")
    monkeypatch.undo()
    assert await life.is_due()
    await life.run("decay")
    assert not await life.is_due()


async def test_over_several_batches_the_earliest_moment_counts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in the order of the facts it is."""
    monkeypatch.setattr(fading_store, "FACTS_A_BATCH", 2)
    for days in (3, 30, 200, 1, 100):
        said = utc_now() - timedelta(days=days)
        await api.fact(f"Was at place {days}", said_at=said, category="learning")
    life = Life(api, 0)
    await life.learnt()
    await life.run("decay")
    [row] = await api.sql(
        "SELECT due_at, (SELECT min(fades_at) FROM memory_facts) AS first FROM job_runs"
    )
    assert row["due_at"] == row["first"]


async def test_what_ends_by_itself_is_a_moment_too(api: Api) -> None:
    """It need not fade any more once it is over."""
    ends = utc_now() + timedelta(days=3)
    await api.fact(
        "Is in Paris", slot="location", value="Paris", cardinality="one", ended_at=ends.isoformat()
    )
    life = Life(api, 0)
    await life.learnt()
    await life.run("decay")
    [row] = await api.sql("SELECT due_at FROM job_runs")
    assert row["due_at"] <= ends
    for statement in _PASSING:
        await api.sql(statement, passed=row["due_at"] - utc_now())
    assert await life.is_due()
    assert await life.would_change() == 1
    await life.run("decay")
    assert not await life.is_due()
