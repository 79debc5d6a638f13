"""One run in one line of JSON: what was done to the product, and what that cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.accounts import Accounts
from tests.chaos.auditor import Findings, Readings

_TOOK = """
    SELECT extract(epoch FROM greatest(c.extracted_at, max(f.settled_at)) - c.recorded_at)::float8
      FROM chat_logs c
      LEFT JOIN memory_facts f ON f.tenant_id = c.tenant_id AND f.user_id = c.user_id
                              AND f.source_message_ids[1] = c.id
     WHERE c.state = 'extracted'
     GROUP BY c.tenant_id, c.user_id, c.id"""


@dataclass(frozen=True, slots=True)
class Report:
    """Durations end to end are from stored to settled, in seconds."""

    seed: int
    messages: int
    users: int
    faults: int
    faults_by_kind: dict[str, int]
    lost: int
    double: int
    wrong: int
    reasons: dict[str, int]
    unknowable: int
    dead: int
    redriven: int
    reannounced: int
    open_rows: int
    stream_lengths: int
    pending: int
    p50: float
    p99: float
    max: float
    ingest_p95_ms: float
    fenced_commits: int
    model_calls: int
    paid_calls: int
    wasted_calls: int
    seconds: float
    settled_after: float | None

    @property
    def clean(self) -> bool:
        return not (self.lost or self.double or self.wrong)

    def line(self) -> str:
        return json.dumps(asdict(self))


def quantile(numbers: list[float], share: float) -> float:
    ordered = sorted(numbers)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0


def build(
    accounts: Accounts, readings: Readings, findings: Findings, *, data: Path, took: list[float],
    **known: Any,
) -> Report:  # fmt: skip
    reasons = findings.lost + findings.double + findings.wrong
    return Report(
        messages=len(accounts.accepted),
        users=len({(m["tenant_id"], m["user_id"]) for m in readings.messages}),
        faults=accounts.faults.total(),
        faults_by_kind=dict(sorted(accounts.faults.items())),
        lost=findings.lost.total(),
        double=findings.double.total(),
        wrong=findings.wrong.total() + len(accounts.refused),
        reasons=dict(reasons),
        unknowable=findings.unknowable,
        dead=len(readings.dead),
        reannounced=_logged(data, "sweeper", "bells rung again", "bells"),
        open_rows=findings.open_rows,
        stream_lengths=sum(readings.streams.values()),
        pending=readings.pending,
        p50=quantile(took, 0.5),
        p99=quantile(took, 0.99),
        max=quantile(took, 1.0),
        ingest_p95_ms=quantile(accounts.ingest_ms, 0.95),
        wasted_calls=known["paid_calls"] - readings.paid_extractions,
        fenced_commits=_logged(data, "extractor", "commits fenced", "sessions"),
        **known,
    )


def end_to_end(database_url: str) -> list[float]:
    """Seconds from stored to settled, of every message."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return [row[0] for row in connection.execute(_TOOK.encode())]


def _logged(data: Path, process: str, event: str, field: str) -> int:
    """Add up a number that processes log."""
    return sum(line[field] for line in log_lines(data, process) if event in line.get("event", ""))


def log_lines(data: Path, process: str) -> Iterator[dict[str, Any]]:
    for path in (data / "logs").glob(f"{process}-*.log*"):
        for text in path.read_text(errors="replace").splitlines():
            if text.startswith("{"):
                try:
                    yield json.loads(text)
                except ValueError:  # half a line of a process that was killed
                    continue
