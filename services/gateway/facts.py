"""From rows to what callers see of them: facts, messages, slots' names (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.gateway.schemas import Fact
from shared.beliefs import Standing, status_at
from shared.db import Row
from shared.facts.dates import format_date
from shared.ledger.store import standing_of
from shared.slots import Catalogue, built_in

_AS_STORED = set(Fact.model_fields) - {
    "occurred_at",
    "ended_at",
    "time_precision",
    "status",
    "valid_from",
    "valid_to",
}
_MESSAGE_KEY = "m:"


def public_fact(row: Row, now: datetime) -> dict[str, Any]:
    """Show a row of `memory_facts` as DESIGN §6 has it."""
    standing = standing_of(row)
    settled = row["state"] == "settled" and standing is not None
    valid_from, valid_to = stretch_at(standing, now)
    return {
        **{name: row[name] for name in _AS_STORED},
        "confidence": round(row["confidence"], 4),
        "occurred_at": format_date(row["occurred_at"], row["occurred_precision"]),
        "ended_at": format_date(row["ended_at"], row["ended_precision"]),
        "time_precision": row["occurred_precision"] or row["ended_precision"],
        "status": status_at(standing, row["temporal_state"], now) if settled and standing else None,
        "valid_from": valid_from,
        "valid_to": valid_to,
    }


def stretch_at(standing: Standing | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The stretch of belief that covers now, else the last one."""
    if standing is None or not standing.valid:
        return None, None
    for start, end in standing.valid:
        if (start is None or start <= now) and (end is None or now < end):
            return start, end
    return standing.valid[-1]


def public_message(row: Row) -> dict[str, Any]:
    """Show a row of `chat_logs`."""
    key: str = row["message_key"]
    return {
        **row,
        "chat_log_id": row["id"],
        "timestamp": row["said_at"],
        "message_id": key.removeprefix(_MESSAGE_KEY) if key.startswith(_MESSAGE_KEY) else None,
    }


def slot_name(named: str, catalogue: Catalogue | None = None) -> str:
    """The tenant's name of a slot, or an unknown one in the spelling it is stored in."""
    return (catalogue or built_in()).name_of(named)


def tokens(fact: Mapping[str, Any]) -> int:
    """About how many tokens a fact's sentence takes, at 4 characters each."""
    return -(-len(fact["content"]) // 4)
