"""What calls cost over HTTP, and what health says of paused models and spent budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.console.status import read_status
from shared.errors import BudgetSpentError
from shared.spending import store
from shared.spending.books import Asked, Books, Pause
from shared.spending.budgets import Budgets
from shared.spending.prices import Amount, Tokens
from shared.spending.store import Limits
from tests.databases import TestedDatabase
from tests.integration.test_gateway_app import Api, serve

EXTRACTION = Asked("extraction", "llm.test", "m1")
JUDGING = Asked("judging", "llm.test", "m2")


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as serving:
        yield serving


async def written(db: TestedDatabase, day: datetime, *calls: tuple[Any, ...]) -> None:
    books = Books(db, clock=lambda: day)
    for asked, tenant, tokens, money, failed in calls:
        books.count(asked, tenant, tokens, money, failed=failed)
    await books.close()


async def test_usage_adds_up_by_day_purpose_and_model(api: Api) -> None:
    """Every process adds to the same lines; another tenant's are not shown."""
    today = datetime.now(UTC)
    call = (EXTRACTION, "default", Tokens(100, 10), Decimal("0.5"), False)
    failed = (EXTRACTION, "default", Tokens(), Decimal(0), True)
    judged = (JUDGING, "default", Tokens(7, 3), Decimal("0.25"), False)
    await written(api.db, today, call, call, failed, judged)
    await written(api.db, today, call, (EXTRACTION, "other", Tokens(9, 9), Decimal(9), False))
    await written(api.db, today - timedelta(days=40), call)
    answer = (await api.get("/v1/usage")).json()
    day = today.date().isoformat()
    assert answer["budget"] is None
    assert answer["usage"] == [
        {
            "day": day, "purpose": "extraction", "provider": "llm.test", "model": "m1",
            "calls": 4, "failed": 1, "input_tokens": 300, "output_tokens": 30, "money": 1.5,
        },
        {
            "day": day, "purpose": "judging", "provider": "llm.test", "model": "m2",
            "calls": 1, "failed": 0, "input_tokens": 7, "output_tokens": 3, "money": 0.25,
        },
    ]  # fmt: skip
    long_ago = (today - timedelta(days=50)).date().isoformat()
    lines = (await api.get("/v1/usage", **{"from": long_ago, "to": day})).json()["usage"]
    assert [line["calls"] for line in lines] == [1, 4, 1]


async def test_usage_is_an_admins_and_takes_sensible_days(api: Api) -> None:
    """403 for others, 422 for days that are none, in the wrong order, or too many."""
    for params in (
        {"from": "yesterday"},
        {"from": "2026-02-02", "to": "2026-02-01"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"form": "2026-01-01"},
    ):
        assert (await api.get("/v1/usage", **params)).status_code == 422
    key = await api.key("write")
    refused = await api.client.get("/v1/usage", headers={"X-API-Key": key})
    assert refused.status_code == 403


async def test_usage_shows_the_budget_and_what_is_taken(api: Api) -> None:
    """A reservation counts at the most its call may cost."""
    async with api.db.everyone.autocommit() as tx:
        await store.set_budget(tx, "default", Limits(1_000, Decimal("2.5")))
    await Budgets(api.db, Limits()).reserve({"default": Amount(900, Decimal("0.75"))})
    assert (await api.get("/v1/usage")).json()["budget"] == {
        "tokens_per_day": 1_000, "money_per_day": 2.5, "tokens_today": 900, "money_today": 0.75,
    }  # fmt: skip


async def test_health_names_paused_models_and_counts_spent_budgets(api: Api) -> None:
    """Who has no key is told neither the provider's words nor any tenant's name."""
    books = Books(api.db)
    books.note(EXTRACTION, Pause("configuration", "401: bad key sk-12345", 15))
    await books.close()
    with pytest.raises(BudgetSpentError):
        await Budgets(api.db, Limits(10)).reserve({"acme": Amount(11, Decimal(0))})
    answer = await api.client.get("/v1/health", headers={"X-API-Key": ""})
    health = answer.json()
    [paused] = health["paused"]
    assert (paused["model"], paused["kind"], paused["provider"]) == (
        "m1", "configuration", "llm.test",
    )  # fmt: skip
    assert health["over_budget"] == 1
    assert health["status"] == "degraded"
    assert "sk-12345" not in answer.text
    assert "acme" not in answer.text
    books.note(EXTRACTION, None)
    await books.close()
    assert (await api.get("/v1/health")).json()["paused"] == []


async def test_a_pause_nobody_renews_is_forgotten(api: Api) -> None:
    """Its process died: two minutes later nothing is said any more."""
    books = Books(api.db)
    books.note(EXTRACTION, Pause("away", "503", 15))
    await books.close()
    await api.sql("UPDATE provider_pauses SET until = until - interval '2 minutes'")
    assert (await api.get("/v1/health")).json()["paused"] == []


async def test_what_cannot_be_written_is_written_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is away for a moment; nothing counted is lost, nothing counted twice."""
    import psycopg

    real, fails = store.add, [True]

    async def add(*given: Any) -> None:
        await real(*given)
        if fails.pop() if fails else False:
            raise psycopg.OperationalError("gone")

    monkeypatch.setattr(store, "add", add)
    books = Books(api.db)
    books.count(EXTRACTION, "default", Tokens(5, 5), Decimal(1), failed=False)
    await books.flush()
    books.count(EXTRACTION, "default", Tokens(5, 5), Decimal(1), failed=False)
    await books.close()
    [line] = (await api.get("/v1/usage")).json()["usage"]
    assert (line["calls"], line["money"]) == (2, 2.0)


def test_status_says_what_is_paused_and_why(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The operator reads the provider's own words, and whose budget is spent."""
    import asyncio

    async def prepare() -> None:
        db = TestedDatabase(database_url)
        await db.open()
        books = Books(db)
        books.note(EXTRACTION, Pause("configuration", "the model server answered 401", 15))
        await books.close()
        with pytest.raises(BudgetSpentError):
            await Budgets(db, Limits(10)).reserve({"acme": Amount(11, Decimal(0))})
        await db.close()

    asyncio.run(prepare())
    monkeypatch.setenv("MEMOIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("MEMOIRE_REDIS_URL", redis_url)
    monkeypatch.setenv("MEMOIRE_DATA_DIR", str(tmp_path))
    status = read_status(None)
    assert status.exit_code == 1
    text = "\n".join(status.problems)
    assert "extraction paused since" in text
    assert "answered 401" in text
    assert "today's budget of tenant acme is spent" in text
