"""The judge is judged: whatever is taken from, added to or changed in the database is found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from shared.beliefs import is_believed
from tests.chaos import auditor
from tests.chaos.accounts import Accounts
from tests.chaos.oracle import Arrival, expected_facts, expected_standings
from tests.chaos.workbench import Workbench
from tests.chaos.world import Said, Way, facts_of, tell

_ONE_FACT = "(SELECT id FROM memory_facts ORDER BY id LIMIT 1)"
_ONE_BELIEF = "(SELECT id FROM memory_facts WHERE standing = 'belief' ORDER BY id LIMIT 1)"
_ONE_MESSAGE = """(SELECT id FROM chat_logs
                    WHERE content LIKE '%=%' AND role = 'user' ORDER BY id LIMIT 1)"""
_FACT_COLUMNS = """tenant_id, user_id, generation, content, category, subject, slot, value, value_key,
    cardinality, claim, temporal_state, said_at, recorded_at, message_key, ordinal, confidence,
    source_message_ids, state"""
DOCTORED = {
    "lost": [
        f"DELETE FROM chat_logs WHERE id = {_ONE_MESSAGE}",
        f"UPDATE chat_logs SET state = 'received' WHERE id = {_ONE_MESSAGE}",
        f"DELETE FROM memory_facts WHERE id = {_ONE_FACT}",
        f"UPDATE memory_facts SET state = 'embedded' WHERE id = {_ONE_FACT}",
        f"DELETE FROM fact_vectors WHERE fact_id = {_ONE_FACT}",
        f"DELETE FROM events WHERE fact_id = {_ONE_FACT} AND event = 'fact.settled'",
    ],
    "double": [
        f"""INSERT INTO events (tenant_id, user_id, event, fact_id)
            SELECT tenant_id, user_id, 'fact.settled', id FROM memory_facts WHERE id = {_ONE_FACT}""",
        f"""INSERT INTO chat_logs (tenant_id, user_id, id, session_id, message_key, content_sha256,
                                   role, content, said_at, state)
            SELECT tenant_id, user_id, gen_random_uuid(), session_id, 'again', content_sha256, role,
                   content, said_at, state FROM chat_logs WHERE id = {_ONE_MESSAGE}""",
        f"""INSERT INTO memory_facts (id, {_FACT_COLUMNS})
            SELECT gen_random_uuid(), {_FACT_COLUMNS} FROM memory_facts WHERE id = {_ONE_FACT}""",
        """UPDATE memory_facts SET extraction_id = gen_random_uuid() WHERE ordinal = 1""",
    ],
    "wrong": [
        f"UPDATE memory_facts SET standing = 'retired' WHERE id = {_ONE_BELIEF}",
        f"UPDATE memory_facts SET canonical_id = gen_random_uuid() WHERE id = {_ONE_BELIEF}",
        f"UPDATE memory_facts SET evidence_count = 9 WHERE id = {_ONE_BELIEF}",
        f"UPDATE memory_facts SET believed = '{{[2001-01-01,2002-01-01)}}' WHERE id = {_ONE_BELIEF}",
        "UPDATE memory_facts SET value_key = 'elsewhere' WHERE slot IS NOT NULL",
        f"UPDATE chat_logs SET said_at = said_at + interval '1 hour' WHERE id = {_ONE_MESSAGE}",
        f"UPDATE chat_logs SET role = 'tool' WHERE id = {_ONE_MESSAGE}",
    ],
}


@pytest.mark.timeout(400)
async def test_a_doctored_database_is_found_out(bench: Workbench) -> None:
    """A clean run is clean; every tampering shows under the number it belongs to."""
    bench.start_all()
    await bench.store([said for said in tell(11, 60, 4) if said.message_id])
    assert await bench.settled()
    assert bench.audit().clean, bench.audit().examples
    await bench.stop_all()
    for number, statements in DOCTORED.items():
        for statement in statements:
            with _copied(bench.database_url) as copy:
                with psycopg.connect(copy, autocommit=True) as connection:
                    assert connection.execute(statement.encode()).rowcount > 0, statement
                readings = auditor.read(copy, bench.redis_url)
            assert getattr(auditor.audit(bench.accounts, readings), number), statement


@contextmanager
def _copied(url: str) -> Iterator[str]:
    """Give a database's copy, for as long as the block lasts."""
    source = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    server = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {source}_doctored TEMPLATE {source}".encode())
        try:
            yield psycopg.conninfo.make_conninfo(url, dbname=f"{source}_doctored")
        finally:
            connection.execute(f"DROP DATABASE {source}_doctored WITH (FORCE)".encode())


# ---- the oracle


def arrivals(*contents: str) -> list[Arrival]:
    """One message a year, all of one user."""
    began = datetime(2020, 6, 1, tzinfo=UTC)
    return [
        Arrival(
            Said(number, "default", "ana", "s", content, None, f"m{number}", "http"),
            UUID(int=number + 1),
            f"m:m{number}",
            began + timedelta(days=365 * number),
            began + timedelta(days=365 * number),
        )
        for number, content in enumerate(contents)
    ]


def test_the_oracle_believes_what_was_said_last() -> None:
    facts = expected_facts(
        arrivals("home_city=Oslo holds current", "home_city=Quito holds current")
    )
    standings = expected_standings(facts)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    believed = [facts[f].observation.value for f, s in standings.items() if is_believed(s, now)]
    assert believed == ["Quito"]
    assert {s.kind for s in standings.values()} == {"belief"}


def test_the_oracle_merges_equal_sentences() -> None:
    facts = expected_facts(arrivals("Hates early meetings", "Hates early meetings [7]"))
    kinds = sorted(standing.kind for standing in expected_standings(facts).values())
    assert kinds == ["belief", "merged"]


@pytest.mark.parametrize("seed", range(5))
def test_the_oracle_does_not_care_in_what_order_it_hears(seed: int) -> None:
    told = list(tell(seed, 80, 3))
    began = datetime(2024, 1, 1, tzinfo=UTC)
    stored = [
        Arrival(said, UUID(int=said.number), f"m:m{said.number}", said.at or began, began)
        for said in told
    ]
    shuffled = random.Random(seed).sample(stored, len(stored))
    facts = expected_facts(stored)
    assert expected_standings(facts) == expected_standings(expected_facts(shuffled))
    assert facts


def test_what_is_told_is_the_same_for_a_seed_and_read_back_whole() -> None:
    told = list(tell(3, 200, 10))
    assert told == list(tell(3, 200, 10))
    for said in told:
        statements = list(dict.fromkeys(said.content.split(" [")[0].split("; ")))
        found = facts_of(said.content)
        assert len(found) == len(statements) or statements in (["Good morning"], ["POISON"])


def test_what_a_killed_redis_had_not_written_is_not_required() -> None:
    """Only what came to Redis, just now, and is not in its file."""
    accounts, killed = Accounts(), datetime.now(UTC)
    ways: list[Way] = ["redis", "redis", "redis", "http"]
    ago = [9, 1, 1, 1]
    for number, (way, seconds) in enumerate(zip(ways, ago, strict=True)):
        said = Said(number, "t", "u", "s", f"Hello [{number}]", None, None, way)
        accounts.accept(said, killed, killed - timedelta(seconds=seconds))
    accounts.sweep_unwritten(b"XADD ... Hello [1] ...", killed - timedelta(seconds=5))
    assert accounts.required.keys() == {0, 1, 3}
