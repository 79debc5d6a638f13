"""Facts kept in memory answer what SQL answers, after any change, by whomever it is made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from services.gateway.arms import Arms, SqlArms
from services.gateway.hot.arms import HotArms
from services.gateway.recall_store import Scope
from shared.clock import utc_now
from shared.db import Row
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder
from tests.integration.test_gateway_app import Api, serve

WORDS = "tea coffee lisbon porto violin piano running garden bridge chess café gatos".split()  # noqa: SIM905
WORDS += "Straßenbahnhaltestelle кофе 寿司が好き liebe viens amigos friends".split()  # noqa: SIM905
MEGABYTE = 1_000_000


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with serve(database_url, None) as served:
        yield served


class Beside:
    """One gateway's memory beside the SQL it stands for."""

    def __init__(self, db: TestedDatabase, most_bytes: int = 50 * MEGABYTE) -> None:
        self.db = db
        self.hot = HotArms(db, most_bytes)

    async def keep(self, scope: Scope) -> None:
        for _ in range(2):
            self.hot.may_answer(scope, HashEmbedder())
        await self.hot.keeper.loaded()

    async def from_memory(self, scope: Scope, query: str) -> Answers | None:
        if not self.hot.may_answer(scope, HashEmbedder()):
            return None
        arms = await self.hot.look(scope, query, HashEmbedder())
        return None if arms is None else await _asked(arms, query)

    async def from_sql(self, scope: Scope, query: str) -> Answers:
        return await _asked(SqlArms(self.db, HashEmbedder.model, scope, query), query)

    async def agree(self, scope: Scope, query: str, *, must_hold: bool = True) -> bool:
        """Compare both; answers whether memory answered."""
        found = await self.from_memory(scope, query)
        if found is None:
            assert not must_hold, "not held"
            await self.keep(scope)
            return False
        expected = await self.from_sql(scope, query)
        assert _comparable(found) == _comparable(expected), query
        return True


class Answers(NamedTuple):
    """What four arms say of one query."""

    near: list[Row]
    lexical: list[Row]
    around: list[Row]
    alike: list[Row]
    faded: list[UUID]


async def _asked(arms: Arms, query: str) -> Answers:
    """Ask all arms, the later ones about what the first found; some of it comes by messages."""
    vector = await _vector(query)
    near, lexical = await arms.near(vector), await arms.lexical()
    found = sorted({row["id"] for row in (*near, *lexical) if row["id"] is not None})
    around = await arms.around(found[::2], found[:20], [_message_of(fact) for fact in found[::3]])
    alike = await arms.alike(vector, [row["id"] for row in around], found[:3])
    faded = await arms.faded(utc_now(), [row["id"] for row in around])
    return Answers(near, lexical, around, alike, sorted(faded))


def _message_of(fact: UUID) -> UUID:
    return UUID(int=fact.int ^ 1)


async def _vector(query: str) -> list[float]:
    return [float(part) for part in (await HashEmbedder().embed([query]))[0]]


def _comparable(answers: Answers) -> Any:
    """Equal cosines may differ in the last digits, and then in their order."""
    near, alike = (
        {row["id"]: _rounded(row, "cosine", "likeness") for row in rows}
        for rows in (answers.near, answers.alike)
    )
    lexical = [_rounded(row, "average") for row in answers.lexical]
    return near, lexical, {row["id"]: row for row in answers.around}, alike, answers.faded


def _rounded(row: Row, *names: str) -> Row:
    return row | {name: round(row[name], 4) for name in names if row.get(name) is not None}


def _scope(view: str = "current", **filters: Any) -> Scope:
    return Scope(tenant="default", user="ana", view=view, now=utc_now(), **filters)


async def _some_facts(api: Api, count: int, chance: random.Random) -> list[UUID]:
    """Facts of two kinds: stated near others, or resting on a message of a session."""
    rows = []
    for _ in range(count):
        text = " ".join(chance.sample(WORDS, chance.randint(2, 5)))
        minutes = 20 * chance.randint(0, 9)  # some at once, some within an hour
        rows.append(
            await api.fact(
                f"{chance.choice(['Likes', 'Ana:', 'Mag', 'Le gusta', 'Он любит'])} {text}",
                category=chance.choice(["biographical", "learning"]),
                subject=chance.choice(["user", "Sara"]),
                said_at=datetime(2026, 1, 1, tzinfo=UTC)
                + timedelta(days=chance.choice([0, 40, 60]), minutes=minutes),
                **({"slot": "pet", "value": text} if chance.random() < 0.3 else {}),
            )
        )
        if chance.random() < 0.4:
            await api.sql(
                "UPDATE memory_facts SET session_id = %(session)s, speaker = %(speaker)s,"
                " source_message_ids = ARRAY[%(message)s] WHERE id = %(id)s",
                id=rows[-1],
                session=chance.choice(["one", "two"]),
                speaker=chance.choice([None, "Melanie"]),
                message=_message_of(rows[-1]),
            )
    return rows


FILTERS: list[dict[str, Any]] = [
    {},
    {"view": "all"},
    {"categories": ["learning"]},
    {"slots": ["pet"]},
    {"since": datetime(2026, 2, 1, tzinfo=UTC)},
    {"until": datetime(2026, 2, 1, tzinfo=UTC), "view": "all"},
    {"categories": ["nothing"]},
]


QUERIES = (
    "tea in lisbon",
    "violinn and coffe",
    "likes",
    "quantum",
    "the of",
    "café?",
    "où est mon ami qui vient",
    "¿Le gustan los amigos y el cafe?",
    "Mag sie die Haltestelle?",
    "кофее",
    "寿司",
    "friend friends Freundin haltestell",
)


async def test_memory_answers_as_sql_does(api: Api) -> None:
    """Every filter, hits, misses, typos, parts of compounds, four languages and other scripts."""
    chance = random.Random(1)
    await _some_facts(api, 50, chance)
    beside = Beside(api.db)
    await beside.keep(_scope())
    for filters in FILTERS:
        for query in QUERIES:
            await beside.agree(_scope(**filters), query)
    found = await beside.from_memory(_scope(), QUERIES[1])
    assert found is not None
    assert found.lexical[0]["meant"]
    assert any(row["before"] for row in found.around)
    assert any(row["message"] for row in found.around)
    assert any(row["likeness"] for row in found.alike)


async def test_every_change_is_seen_at_once_by_every_gateway(api: Api) -> None:
    """Facts come, are forgotten, corrected, reopened; two memories see each change."""
    chance = random.Random(2)
    rows = await _some_facts(api, 12, chance)
    beside = [Beside(api.db), Beside(api.db)]
    for one in beside:
        await one.keep(_scope())
    held = faded = 0
    for _ in range(40):
        await _change(api, rows, chance)
        for one in beside:
            query = " ".join(chance.sample(WORDS, 2))
            scope = _scope(**chance.choice(FILTERS))
            held += await one.agree(scope, query, must_hold=False)
            faded += len((await one.from_sql(scope, query)).faded)
    assert held > 40  # mostly from memory
    assert faded


async def _change(api: Api, rows: list[UUID], chance: random.Random) -> None:
    row = chance.choice(rows)
    match chance.randint(0, 7):
        case 0 | 1:
            rows += await _some_facts(api, 1, chance)
        case 2:
            answer = await api.client.delete(f"/v1/facts/{row}")
            assert answer.status_code in (200, 202, 204, 404, 409), answer.text
        case 3:
            await api.sql(
                "UPDATE memory_facts SET essential = true, fades_at = now() - interval '1 day'"
                " WHERE id = %(id)s",
                id=row,
            )
        case 4:
            await api.sql("DELETE FROM fact_vectors WHERE fact_id = %(id)s", id=row)
        case 5:
            await api.sql("DELETE FROM memory_facts WHERE id = %(id)s", id=row)
        case 6:
            await api.sql("UPDATE users SET generation = 3 - generation")
        case _:
            await api.sql(
                "UPDATE memory_facts SET believed = CASE WHEN believed = '{}' THEN '{(,)}' ELSE '{}'"
                " END::tstzmultirange WHERE id = %(id)s AND standing = 'belief'",
                id=row,
            )


async def test_a_change_is_seen_when_it_commits_and_not_before(api: Api) -> None:
    """Two transactions that began together are told apart by when they end, in either order."""
    first, second = await api.fact("Likes tea"), await api.fact("Likes coffee")
    beside = Beside(api.db)
    await beside.keep(_scope())
    statement = "UPDATE memory_facts SET essential = true WHERE id = %(id)s"
    async with api.db.everyone.transaction() as early:
        await early.execute(statement, {"id": first})
        await beside.agree(_scope(), "tea")
        async with api.db.everyone.transaction() as late:
            await late.execute(statement, {"id": second})
        await beside.agree(_scope(), "tea")
    await beside.agree(_scope(), "tea")
    found = await beside.from_memory(_scope(), "tea")
    assert found is not None
    assert all(row["essential"] for row in found.around)


async def test_what_begins_and_ends_by_itself_is_seen_in_time(api: Api) -> None:
    """A belief that ends, and a plan that begins, change the answer although nobody writes."""
    ends, begins = await api.fact("Likes tea"), await api.fact("Likes coffee")
    now = utc_now()
    await api.sql(
        "UPDATE memory_facts SET believed = tstzmultirange(tstzrange(NULL, %(at)s)) WHERE id = %(id)s",
        id=ends,
        at=now + timedelta(hours=1),
    )
    await api.sql(
        "UPDATE memory_facts SET standing = 'plan', planned_since = %(at)s WHERE id = %(id)s",
        id=begins,
        at=now + timedelta(hours=2),
    )
    beside = Beside(api.db)
    await beside.keep(_scope())
    for hours, expected in ((0, {ends}), (1, set()), (1.5, set()), (2, {begins}), (3, {begins})):
        scope = replace(_scope(), now=now + timedelta(hours=hours))
        if scope.now == now:
            scope = _scope()
        await beside.agree(scope, "likes")
        found = await beside.from_memory(scope, "likes")
        assert found is not None
        assert {row["id"] for row in found.near} == expected
    assert await beside.from_memory(_scope(), "likes") is None  # memory does not go back in time


async def test_swept_marks_have_everything_read_anew(api: Api) -> None:
    """Many changes sweep the older marks away: what was read before them is not believed."""
    row = await api.fact("Likes tea")
    beside = Beside(api.db)
    await beside.keep(_scope())
    for number in range(320):
        await api.sql(
            "UPDATE memory_facts SET evidence_count = %(n)s WHERE id = %(id)s", n=number, id=row
        )
    [marks] = await api.sql("SELECT count(*)::int AS n FROM recall_marks WHERE user_id = 'ana'")
    assert marks["n"] < 320
    assert not await beside.agree(_scope(), "tea", must_hold=False)
    await beside.agree(_scope(), "tea")


async def test_memory_is_bounded(api: Api) -> None:
    """A user who does not fit is answered by SQL; none is kept with 0."""
    await api.fact("Likes tea")
    for most in (0, 1_000):
        beside = Beside(api.db, most)
        await beside.keep(_scope())
        assert not beside.hot.may_answer(_scope(), HashEmbedder())


async def test_questions_at_once_while_facts_change_are_all_right(api: Api) -> None:
    """Nobody gets an answer that was never true: a fact's two halves change in one transaction."""
    rows = [await api.fact(f"Likes {word}") for word in WORDS[:6]]
    beside = Beside(api.db)
    await beside.keep(_scope())
    ended = asyncio.Event()

    async def write() -> None:
        for number in range(2, 40):
            await api.sql("UPDATE memory_facts SET evidence_count = %(n)s", n=number)
            await asyncio.sleep(0.005)
        ended.set()

    async def read() -> int:
        answers = 0
        while not ended.is_set():
            if (found := await beside.from_memory(_scope(), "likes tea")) is not None:
                assert len({row["evidence_count"] for row in found.around}) == 1
                answers += 1
            else:
                await beside.keep(_scope())
        return answers

    writing = asyncio.create_task(write())
    answered = await asyncio.gather(read(), read(), read())
    await writing
    assert sum(answered) > 0
    assert len(rows) == 6
    await beside.agree(_scope(), "likes tea", must_hold=False)
