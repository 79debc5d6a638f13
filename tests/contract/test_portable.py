"""What is exported comes back: a column that is added later is read back too, or it is said why not."""

from __future__ import annotations

import re

import psycopg
import pytest

from services.gateway.portable.lines import KINDS, READ_BACK
from services.gateway.portable.store import queries

TABLES = {
    "session": "sessions",
    "message": "chat_logs",
    "removed": "removed_messages",
    "extraction": "extractions",
    "judgement": "judgements",
    "replay": "replays",
    "act": "belief_acts",
    "verdict": "verdicts",
    "fact": "memory_facts",
    "use": "fact_uses",
    "profile": "profiles",
}
QUEUE = {"announced_at", "rings", "retry_at"}
WORKED_OUT = {
    "message": {*QUEUE, "postponed_until", "lexemes", "traceparent"},
    "extraction": {"attempts"},
    "profile": {"asked_for_at"},
    "fact": {
        *(QUEUE - {"announced_at"}),
        *("state", "embedded_at", "compared_at", "settled_at", "lexemes", "traceparent"),
        *("standing", "canonical_id", "believed", "planned_for", "planned_since"),
        *("superseded_by", "evidence_count"),
    },
}
"""What the stages, the sweep and the law make anew."""


@pytest.mark.parametrize("kind", READ_BACK)
def test_every_column_comes_back_or_is_worked_out_anew(kind: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped",
            (TABLES[kind],),
        ).fetchall()
    columns = {name for (name,) in rows}
    listed = re.search(rf"INSERT INTO {TABLES[kind]} \(([^)]*)\)", queries[f"import_{kind}"])
    assert listed is not None
    read_back = {name.strip() for name in listed[1].split(",")}
    assert columns - read_back - WORKED_OUT.get(kind, set()) == set()


def test_every_kind_has_its_statements() -> None:
    assert {f"export_{kind}" for kind in ("user", *KINDS)} <= set(queries)
    assert {f"import_{kind}" for kind in ("user", *READ_BACK)} <= set(queries)
    assert set(TABLES) == set(READ_BACK)
