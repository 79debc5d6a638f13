"""Reads both servers when all is quiet, and counts what is lost, doubled or wrong.

`audit` is pure: the same readings and accounts always give the same findings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from redis import Redis

from shared.ids import chat_log_id
from shared.ledger.folding import standing_of
from shared.topology import STAGES
from tests.chaos.accounts import Accounts
from tests.chaos.oracle import Arrival, Expected, expected_facts, expected_standings
from tests.chaos.world import POISON, Said

_CLOCKS_DIFFER_SECONDS = 5.0
_SHOWN = 20


@dataclass(slots=True)
class Readings:
    """What the two servers hold."""

    messages: list[dict[str, Any]]
    facts: list[dict[str, Any]]
    settled_events: Counter[UUID]
    paid_extractions: int
    vectors: Counter[UUID]
    jobs: Counter[str]
    dead: list[dict[str, Any]]
    streams: dict[str, int] = field(default_factory=dict)
    pending: int = 0


@dataclass(slots=True)
class Findings:
    """The three numbers that must be zero, each by its reasons."""

    lost: Counter[str] = field(default_factory=Counter)
    double: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    dead: int = 0
    unknowable: int = 0
    open_rows: int = 0

    def note(self, among: Counter[str], reason: str, example: object) -> None:
        among[reason] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"{reason}: {example}")

    @property
    def clean(self) -> bool:
        return not (self.lost or self.double or self.wrong)


def read(database_url: str, redis_url: str) -> Readings:
    """Read everything, past any proxy."""
    with psycopg.connect(database_url, row_factory=dict_row, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")

        def rows(statement: str) -> list[dict[str, Any]]:
            return connection.execute(statement.encode()).fetchall()

        readings = Readings(
            messages=rows(
                """SELECT tenant_id, user_id, id, session_id, message_key, role, content, said_at,
                          recorded_at, state, extraction_id, retry_at::text AS retry_at
                     FROM chat_logs"""),
            facts=rows(
                """SELECT tenant_id, user_id, id, content, subject, slot, value_key, claim,
                          temporal_state, source_message_ids, ordinal, extraction_id, state, standing,
                          canonical_id, believed, planned_for, planned_since, superseded_by,
                          evidence_count, retry_at::text AS retry_at
                     FROM memory_facts"""),
            settled_events=_counted(rows(
                """SELECT fact_id AS key, count(*) AS n FROM events
                    WHERE event = 'fact.settled' GROUP BY fact_id""")),
            paid_extractions=rows(
                "SELECT count(*) AS n FROM extractions WHERE answer IS NOT NULL")[0]["n"],
            vectors=_counted(rows(
                "SELECT fact_id AS key, count(*) AS n FROM fact_vectors GROUP BY fact_id")),
            jobs=_counted(rows("SELECT state AS key, count(*) AS n FROM jobs GROUP BY state")),
            dead=rows("SELECT * FROM failures WHERE dead_at IS NOT NULL"),
        )  # fmt: skip
    with Redis.from_url(redis_url) as redis:
        for group, streams in STAGES.items():
            for stream in streams:
                readings.streams[stream] = int(redis.xlen(stream))  # type: ignore[arg-type]
                if redis.exists(stream):
                    pending: Any = redis.xpending(stream, group)
                    readings.pending += pending["pending"]
    return readings


def _counted(rows: Iterable[dict[str, Any]]) -> Counter[Any]:
    return Counter({row["key"]: row["n"] for row in rows})


def audit(accounts: Accounts, readings: Readings) -> Findings:
    """Hold what is there against what was promised."""
    findings = Findings()
    arrivals = _messages(accounts, readings, findings)
    expected = expected_facts(arrivals)
    present = _facts(expected, readings, findings)
    _effects(readings, findings)
    _beliefs(expected, present, findings)
    findings.open_rows += readings.jobs["requested"]
    return findings


# ---- messages


def _messages(accounts: Accounts, readings: Readings, findings: Findings) -> list[Arrival]:
    """Every accepted message is a row, once, as it was said, and finished."""
    stored: dict[int, list[dict[str, Any]]] = {}
    for row in readings.messages:
        number = row["content"].rpartition("[")[2].rstrip("]")
        stored.setdefault(int(number) if number.isdecimal() else -1, []).append(row)
    for number in accounts.required.keys() - stored.keys():
        findings.note(findings.lost, "no row", accounts.accepted[number])
    findings.unknowable = len(accounts.swept_away - stored.keys())
    arrivals: list[Arrival] = []
    for number, rows in stored.items():
        if len(rows) > 1:
            findings.note(findings.double, "a message twice", number)
        if (said := accounts.possible.get(number)) is None:
            findings.note(findings.double, "a message nobody sent", rows[0]["content"])
            continue
        _as_said(accounts, said, rows[0], findings)
        if _finished(said, rows[0], readings, findings):
            arrivals.append(_arrival(said, rows[0]))
    return arrivals


def _arrival(said: Said, row: dict[str, Any]) -> Arrival:
    return Arrival(said, row["id"], row["message_key"], row["said_at"], row["recorded_at"])


def _as_said(accounts: Accounts, said: Said, row: dict[str, Any], findings: Findings) -> None:
    kept = (row["tenant_id"], row["user_id"], row["session_id"], row["role"], row["content"])
    meant = (said.tenant, said.user, said.session, said.role, said.content)
    if kept != meant or (said.at and row["said_at"] != said.at):
        findings.note(findings.wrong, "not stored as said", said)
    if said.at is None and not _plausible(row["said_at"], accounts.answered_at.get(said.number)):
        findings.note(findings.wrong, "said at another time", (said, row["said_at"]))
    if said.message_id and row["id"] != chat_log_id(said.tenant, said.user, f"m:{said.message_id}"):
        findings.note(findings.wrong, "under another id", said)


def _plausible(said_at: datetime, window: tuple[datetime, datetime] | None) -> bool:
    """Undated messages were said when they were sent, whatever one process takes the time to be."""
    if window is None:
        return True
    slack = timedelta(seconds=_CLOCKS_DIFFER_SECONDS)
    return window[0] - slack <= said_at <= window[1] + slack


def _finished(said: Said, row: dict[str, Any], readings: Readings, findings: Findings) -> bool:
    """Whether its facts must be there: it is extracted, or else counted as open or dead."""
    if row["state"] == "extracted":
        return True
    dead = any(letter["subject_id"] == str(row["id"]) for letter in readings.dead)
    if dead and POISON in said.content:
        findings.dead += 1
    elif dead:
        findings.note(findings.lost, "dead for no fault of its own", said)
    else:
        findings.open_rows += 1
        findings.note(findings.lost, "never extracted", (said, row["state"], row["retry_at"]))
    return False


# ---- facts


def _facts(
    expected: dict[UUID, Expected], readings: Readings, findings: Findings
) -> dict[UUID, dict[str, Any]]:
    """Every fact that a message holds is a row, settled, and there is no other."""
    present = {row["id"]: row for row in readings.facts}
    for fact in expected.keys() - present.keys():
        findings.note(findings.lost, "no fact", expected[fact])
    spoken: Counter[tuple[Any, int]] = Counter()
    for row in readings.facts:
        spoken[(row["source_message_ids"][0], row["ordinal"])] += 1
        if row["id"] not in expected:
            findings.note(findings.double, "a fact nobody stated", row["content"])
        if row["state"] != "settled":
            findings.open_rows += 1
            findings.note(findings.lost, "never settled", (row["id"], row["state"]))
        elif not readings.vectors[row["id"]]:
            findings.note(findings.lost, "no vector", row["id"])
    for key, count in spoken.items():
        if count > 1:
            findings.note(findings.double, "a statement twice", key)
    return present


def _effects(readings: Readings, findings: Findings) -> None:
    for fact, count in readings.settled_events.items():
        if count > 1:
            findings.note(findings.double, "settled twice", fact)
    for row in readings.facts:
        if row["state"] == "settled" and not readings.settled_events[row["id"]]:
            findings.note(findings.lost, "no settled event", row["id"])
    for message, extractions in _extractions_of(readings.facts).items():
        if len(extractions) > 1:
            findings.note(findings.double, "extracted twice", message)
    for fact, count in readings.vectors.items():
        if count > 1:
            findings.note(findings.double, "two vectors", fact)


def _extractions_of(facts: Iterable[dict[str, Any]]) -> dict[UUID, set[UUID]]:
    """The extractions that each message's facts come from: one, or it was committed twice."""
    found: dict[UUID, set[UUID]] = {}
    for row in facts:
        found.setdefault(row["source_message_ids"][0], set()).add(row["extraction_id"])
    return found


# ---- beliefs


def _beliefs(
    expected: dict[UUID, Expected], present: dict[UUID, dict[str, Any]], findings: Findings
) -> None:
    """What the cache says of each settled fact is what the law says."""
    standings = expected_standings({f: e for f, e in expected.items() if f in present})
    for fact, standing in standings.items():
        row = present[fact]
        observation = expected[fact].observation
        kept = (row["slot"], row["value_key"], row["claim"], row["temporal_state"])
        meant = (observation.slot, observation.value_key, observation.claim)
        if kept != (*meant, observation.temporal_state):
            findings.note(findings.wrong, "another statement", (kept, meant))
        if row["state"] == "settled" and standing_of(row) != standing:
            findings.note(findings.wrong, "another belief", (fact, standing_of(row), standing))
