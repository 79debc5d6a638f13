"""Messages kept in memory answer what SQL answers, after any change, by whomever it is made."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.gateway.arms import SqlArms
from services.gateway.hot.arms import HotArms
from services.gateway.hot.store import Whose
from services.gateway.recall_store import Scope
from shared.clock import utc_now
from shared.db import Row, Transaction
from shared.migrate import migrate
from tests.databases import TestedDatabase
from tests.fakes.embedder import HashEmbedder
from tests.integration.test_gateway_app import Api, serve

WORDS = "tea coffee lisbon porto violin piano running garden bridge chess café gatos".split()  # noqa: SIM905
WORDS += "Straßenbahn кофе 寿司 liebe friends amigos running runs don't 12.5 x@example.com".split()  # noqa: SIM905
WHOSE = Whose("default", "ana", HashEmbedder.model, HashEmbedder.dimensions)
MEGABYTE = 1_000_000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """With a user whose facts can be kept."""
    async with serve(database_url, None) as served:
        await served.fact("Likes tea")
        yield served


class Beside:
    """One gateway's memory of messages beside the SQL it stands for."""

    def __init__(self, db: TestedDatabase, most_bytes: int = 50 * MEGABYTE) -> None:
        self._db = db
        self.hot = HotArms(db, most_bytes)

    async def keep(self) -> None:
        """Ask until the user is read."""
        for _ in range(3):
            if self.hot.may_answer(_scope(), HashEmbedder()):
                await self.hot.keeper.look(WHOSE, "", utc_now())
            await self.hot.keeper.loaded()

    async def from_memory(self, query: str) -> list[Row] | None:
        """None where memory cannot tell."""
        held = await self.hot.keeper.look(WHOSE, query, utc_now())
        if held is None or held.messages is None:
            await self.keep()
            return None
        return held.messages.best(held.words, 100)

    async def agree(self, query: str, *, must_hold: bool = True) -> bool:
        """Compare both; answers whether memory answered."""
        found = await self.from_memory(query)
        if found is None:
            assert not must_hold, "not held"
            return False
        expected = await SqlArms(self._db, HashEmbedder.model, _scope(), query).messages()
        assert _comparable(found) == _comparable(expected), query
        return True


def _comparable(rows: list[Row]) -> Any:
    """Equal weights may differ in their last digits, and then in their order."""
    places = [round(row["weight"], 9) for row in rows]
    return places, {
        row["id"]: (
            round(row["matched_share"], 9),
            round(row["weight"], 9),
            row["before"],
            row["after"],
        )
        for row in rows
    }


def _scope() -> Scope:
    return Scope(tenant="default", user="ana", view="current", now=utc_now())


def _message(chance: random.Random, **more: Any) -> dict[str, Any]:
    """Some at the same moment, in two sessions, by anybody; words may come several times."""
    words = [chance.choice(WORDS) for _ in range(chance.randint(0, 8))]
    return {
        "user_id": "ana",
        "session_id": chance.choice(["one", "two"]),
        "role": chance.choice(["user", "assistant", "tool"]),
        "content": f"{chance.choice(['I', 'The', 'Mag', 'и'])} {' '.join(words)}",
        "speaker": chance.choice([None, "Melanie"]),
        "timestamp": (EPOCH + timedelta(minutes=chance.randint(0, 20))).isoformat(),
        **more,
    }


async def _said(api: Api, messages: list[dict[str, Any]]) -> list[UUID]:
    answer = await api.post("/v1/ingest/batch", {"messages": messages})
    assert answer.status_code == 202, answer.text
    return [UUID(one["chat_log_id"]) for one in answer.json()["messages"]]


async def _marks(api: Api, user: str = "ana") -> int:
    [found] = await api.sql(
        "SELECT count(*)::int AS n FROM message_marks WHERE user_id = %(user)s", user=user
    )
    return int(found["n"])


QUERIES = (
    "tea in lisbon",
    "violinn and coffe",
    "the of",
    "quantum",
    "Melanie, do you like running?",
    "café кофе 寿司",
    "don't 12.5 x@example.com",
    "Straßenbahn",
    " ".join(f"{word} {word}x" for word in WORDS),  # more words than are looked at
)


async def test_memory_finds_the_messages_that_sql_finds(api: Api) -> None:
    """Repeated words, typos, nothing but small words, more hits than are shown."""
    chance = random.Random(1)
    for _ in range(4):
        await _said(api, [_message(chance) for _ in range(100)])
    beside = Beside(api.db)
    await beside.keep()
    for query in QUERIES:
        await beside.agree(query)
    found = await beside.from_memory(QUERIES[0])
    assert found is not None
    assert len(found) == 100
    assert any(row["before"] and row["after"] for row in found)


async def test_every_change_of_messages_is_seen_at_once_by_every_gateway(api: Api) -> None:
    """They come by one and by many, are erased, removed and moved; two memories see each change."""
    chance = random.Random(2)
    rows = await _said(api, [_message(chance) for _ in range(20)])
    beside = [Beside(api.db), Beside(api.db)]
    for one in beside:
        await one.keep()
    held = 0
    for _ in range(60):
        await _change(api, rows, chance)
        for one in beside:
            held += await one.agree(" ".join(chance.sample(WORDS, 2)), must_hold=False)
    assert held > 90  # mostly from memory


async def _change(api: Api, rows: list[UUID], chance: random.Random) -> None:
    row = chance.choice(rows)
    match chance.randint(0, 7):
        case 0 | 1:
            rows += await _said(api, [_message(chance)])
        case 2:
            rows += await _said(api, [_message(chance) for _ in range(7)])
        case 3:
            await _said(api, [_message(chance, user_id=user) for user in ("ben", "ana", "eve")])
        case 4:
            for session in ("one", "two"):
                path = f"/v1/users/ana/sessions/{session}/messages/{row}"
                answer = await api.client.delete(path)
                assert answer.status_code in (200, 202, 204, 404, 409), answer.text
        case 5:
            await api.sql("DELETE FROM chat_logs WHERE id = %(id)s", id=row)
        case 6:
            await api.sql(
                "UPDATE chat_logs SET said_at = said_at + interval '3 minutes' WHERE id = %(id)s",
                id=row,
            )
        case _:
            await api.sql("UPDATE chat_logs SET state = 'extracted', extracted_at = now()")


async def test_a_message_is_found_by_the_next_question(api: Api) -> None:
    """Over HTTP, without a statement that reads the user's other messages."""
    await _said(api, [_message(random.Random(3)) for _ in range(30)])
    body = {"user_id": "ana", "query": "Who mends harps?", "include": ["messages"]}
    for _ in range(3):
        await api.post("/v1/recall", body)
        await api.gateway.recall.hot.keeper.loaded()
    held = await api.gateway.recall.hot.keeper.look(WHOSE, "harps", utc_now())
    assert held is not None
    known = held.messages
    for number in range(3):
        said = await _said(api, [_message(random.Random(4), content=f"Eve{number} mends harps")])
        answer = await api.post("/v1/recall", body)
        assert str(said[0]) in {message["chat_log_id"] for message in answer.json()["messages"]}
    held = await api.gateway.recall.hot.keeper.look(WHOSE, "harps", utc_now())
    assert held is not None
    assert held.messages is known  # never read anew


async def test_a_statement_leaves_one_mark_a_user_and_a_state_none(api: Api) -> None:
    """Whatever the number of messages; nothing that the pipeline does to them marks."""
    chance = random.Random(5)
    before = await _marks(api), await _marks(api, "ben")
    users = ("ana", "ben", "ana", "ana")
    await _said(api, [_message(chance, user_id=user) for user in users])
    assert (await _marks(api), await _marks(api, "ben")) == (before[0] + 1, before[1] + 1)
    await api.sql(
        "UPDATE chat_logs SET state = 'extracting', extraction_id = gen_random_uuid(), rings = 3"
    )
    await api.sql(
        "UPDATE chat_logs SET state = 'extracted', extracted_at = now(), generation = 2,"
        " announced_at = now(), retry_at = NULL, extraction_id = NULL"
    )
    assert (await _marks(api), await _marks(api, "ben")) == (before[0] + 1, before[1] + 1)


async def test_messages_are_seen_when_they_commit_and_not_before(api: Api) -> None:
    """Transactions that began together are told apart by when they end, in either order."""
    rows = await _said(api, [_message(random.Random(6), content=f"tea {n}") for n in range(4)])
    beside = Beside(api.db)
    await beside.keep()
    gone = "DELETE FROM chat_logs WHERE id = %(id)s"
    async with api.db.everyone.transaction() as early:
        await early.execute(gone, {"id": rows[0]})
        await beside.agree("tea")
        async with api.db.everyone.transaction() as late:
            await late.execute(gone, {"id": rows[1]})
        await beside.agree("tea")
    await beside.agree("tea")
    found = await beside.from_memory("tea")
    assert found is not None
    assert {row["id"] for row in found} == set(rows[2:])


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_interleaving_of_transactions_is_seen_as_it_commits(api: Api, seed: int) -> None:
    """Long ones and short, rolled back or not, with sweeps in any of them; from no mark at all on."""
    await api.sql("DELETE FROM message_marks")
    chance = random.Random(seed)
    often, seldom = Beside(api.db), Beside(api.db)
    async with AsyncExitStack() as everything:
        open_: list[tuple[Transaction, AsyncExitStack]] = []
        held = 0
        for step in range(60):
            if len(open_) < 3 and chance.random() < 0.4:
                stack = await everything.enter_async_context(AsyncExitStack())
                open_.append((await stack.enter_async_context(_begun(api, chance)), stack))
            elif open_ and chance.random() < 0.6:
                await _write(open_[chance.randrange(len(open_))][0], chance)
            elif open_:
                tx, stack = open_.pop(chance.randrange(len(open_)))
                if chance.random() < 0.2:
                    await tx.execute("ROLLBACK TO SAVEPOINT begun")
                await stack.aclose()
            held += await often.agree("tea", must_hold=False)
            if step % 17 == 0:
                await seldom.agree("tea", must_hold=False)
    assert held > 20
    for one in (often, seldom):
        await one.agree("tea", must_hold=False)


@asynccontextmanager
async def _begun(api: Api, chance: random.Random) -> AsyncIterator[Transaction]:
    async with api.db.everyone.transaction() as tx:
        await tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await tx.execute("SELECT setseed(%(seed)s)", {"seed": chance.random()})
        await tx.execute("SAVEPOINT begun")
        yield tx


async def _write(tx: Transaction, chance: random.Random) -> None:
    """Many statements, each with a mark of its own; or one that takes some messages away."""
    if chance.random() < 0.2:
        await tx.execute(
            "DELETE FROM chat_logs WHERE id IN (SELECT id FROM chat_logs WHERE user_id = 'ana'"
            " ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED)"
        )
    for number in range(chance.choice([1, 5, 40, 70])):
        await tx.execute(
            "INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256,"
            " role, content, said_at) VALUES ('default', 'ana', gen_random_uuid(), 's',"
            " gen_random_uuid()::text, '', 'user', %(content)s, now())",
            {"content": f"tea {'tea ' * (number % 5)} {chance.choice(WORDS)}"},
        )
    if chance.random() < 0.5:
        await tx.execute("SELECT sweep_message_marks('default', 'ana')")


async def test_who_has_seen_what_was_swept_reads_on(api: Api) -> None:
    """Sweeping keeps the marks few and takes no memory from whoever follows; a late one starts anew."""
    await _said(api, [_message(random.Random(7))])
    following, late = Beside(api.db), Beside(api.db)
    await following.keep()
    await late.keep()
    chance = random.Random(8)
    for number in range(400):
        await _said(api, [_message(chance)])
        if number % 3 == 0:
            await following.agree("tea lisbon")
    assert await _marks(api) < 200
    assert not await late.agree("tea lisbon", must_hold=False)
    await late.agree("tea lisbon")


async def test_marks_of_one_transaction_are_not_swept_by_it(api: Api) -> None:
    """A session of many messages is erased while others are read: no mark stands for one unseen."""
    chance = random.Random(9)
    await _said(api, [_message(chance, session_id="one") for _ in range(300)])
    beside = Beside(api.db)
    await beside.keep()
    await _said(api, [_message(chance, session_id="two") for _ in range(5)])
    assert (await api.client.delete("/v1/users/ana/sessions/one/messages")).status_code in (
        200,
        202,
    )
    assert await _marks(api) > 300
    await beside.agree("tea lisbon", must_hold=False)
    await _said(api, [_message(chance) for _ in range(5)])
    await beside.agree("tea lisbon", must_hold=False)
    await beside.agree("tea lisbon", must_hold=False)
    await beside.agree("tea lisbon")


async def test_a_commit_that_was_forgotten_is_missed(api: Api) -> None:
    """A message that a crash took back, with its mark, is found no more."""
    await _said(api, [_message(random.Random(10), content="tea one")])
    before = [row["token"] for row in await api.sql("SELECT token FROM message_marks")]
    [lost] = await _said(api, [_message(random.Random(11), content="tea two")])
    beside = Beside(api.db)
    await beside.keep()
    await api.sql("DELETE FROM chat_logs WHERE id = %(id)s", id=lost)
    await api.sql("DELETE FROM message_marks WHERE token <> ALL(%(before)s)", before=before)
    await _said(api, [_message(random.Random(12), content="tea three")])
    assert not await beside.agree("tea", must_hold=False)
    await beside.agree("tea")


def test_users_of_an_older_database_begin_with_a_mark(database_url: str) -> None:
    """Their messages came before there were marks, and are kept all the same."""
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE message_marks")
        for name in ("mark_messages", "mark_changed_message", "sweep_message_marks"):
            connection.execute(f"DROP FUNCTION {name} CASCADE".encode())
        connection.execute("DELETE FROM schema_migrations WHERE name = '0026_message_marks'")
        connection.execute("INSERT INTO users (tenant_id, user_id) VALUES ('default', 'ana')")
    assert migrate(database_url) == ["0026_message_marks"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT user_id, ids, swept FROM message_marks").fetchall()
    assert rows == [("ana", [], None)]


async def test_a_user_without_messages_begins_with_none(api: Api) -> None:
    """Nothing is held against nothing; the first message, and three hundred, are read."""
    beside = Beside(api.db)
    await beside.keep()
    assert await beside.from_memory("tea") == []
    await api.sql("DELETE FROM message_marks")
    beside = Beside(api.db)
    await beside.keep()
    assert await beside.from_memory("tea") == []
    for _ in range(150):
        await _said(api, [_message(random.Random(13))])
    assert not await beside.agree("tea", must_hold=False)
    await beside.agree("tea")


async def test_messages_for_which_there_is_no_room_leave_the_facts_theirs(api: Api) -> None:
    """Facts are answered from memory, messages by SQL: the same as ever."""
    small = Beside(api.db, 100_000)
    await small.keep()
    assert await small.from_memory("tea") == []
    chance = random.Random(14)
    await _said(api, [_message(chance, content=f"tea {uuid4()}") for _ in range(400)])
    for most in (small, Beside(api.db, 100_000)):
        for _ in range(3):
            await most.keep()
        arms = await most.hot.look(_scope(), "tea", HashEmbedder())
        assert arms is not None
        held = await most.hot.keeper.look(WHOSE, "tea", utc_now())
        assert held is not None
        assert held.messages is None
        expected = await SqlArms(api.db, HashEmbedder.model, _scope(), "tea").messages()
        assert _comparable(await arms.messages()) == _comparable(expected)


async def test_an_erased_user_is_let_go(api: Api) -> None:
    """With everything; who begins anew has only what is new."""
    await _said(api, [_message(random.Random(15), content="tea one")])
    beside = Beside(api.db)
    await beside.keep()
    assert (await api.client.delete("/v1/users/ana")).status_code in (200, 202)
    assert await beside.hot.keeper.look(WHOSE, "tea", utc_now()) is None
    assert await _marks(api) == 0
    await api.fact("Likes coffee")
    await _said(api, [_message(random.Random(16), content="tea two")])
    await beside.keep()
    await beside.agree("tea")


async def test_questions_at_once_while_messages_come_are_all_right(api: Api) -> None:
    """Nobody gets an answer that was never true: messages come and go two at a time."""
    await _said(api, [_message(random.Random(17), content=f"tea {n}") for n in range(2)])
    beside = Beside(api.db)
    await beside.keep()
    ended = asyncio.Event()

    async def write() -> None:
        for number in range(40):
            rows = await _said(
                api, [_message(random.Random(18), content=f"tea {number} {n}") for n in range(2)]
            )
            if number % 2:
                await api.sql("DELETE FROM chat_logs WHERE id = ANY(%(ids)s)", ids=rows)
        ended.set()

    async def read() -> int:
        answers = 0
        while not ended.is_set():
            if (found := await beside.from_memory("tea")) is not None:
                assert len(found) % 2 == 0
                answers += 1
            await asyncio.sleep(0)
        return answers

    writing = asyncio.create_task(write())
    answered = await asyncio.gather(read(), read(), read())
    await writing
    assert sum(answered) > 0
    await beside.agree("tea", must_hold=False)
