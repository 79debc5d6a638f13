"""From rows to what callers see of them: facts, messages, slots' names (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.gateway.context import text_tokens
from services.gateway.schemas import Fact
from shared.beliefs import Standing, status_at
from shared.db import Row
from shared.facts.dates import format_date
from shared.ledger.folding import standing_of
from shared.slots import Catalogue, built_in
from shared.trust import TRUST

_AS_STORED = set(Fact.model_fields) - {
    "occurred_at",
    "ended_at",
    "time_precision",
    "status",
    "valid_from",
    "valid_to",
    "trust",
    "quarantine",
}
_MESSAGE_KEY = "m:"
_CURRENT = {"current", "planned", "due"}
_ANY = _CURRENT | {"past", "merged"}
_WITHHELD = {"content": "", "value": None, "quote": None, "metadata": None}


def public_fact(row: Row, as_of: datetime, known: Standing | None = None) -> dict[str, Any]:
    """Show a row of `memory_facts` as DESIGN §6 has it; `known` is its standing in another view.

    What was forgotten shows that it was there, not what it said; what is held shows why.
    """
    standing = known or standing_of(row)
    kind = standing.kind if standing is not None else None
    forgotten = kind == "forgotten"
    counts = kind not in {None, "quarantined"} and (row["state"] == "settled" or forgotten)
    valid_from, valid_to = stretch_at(standing, as_of)
    return {
        **{name: row[name] for name in _AS_STORED},
        **(_of_view(known) if known is not None else {}),
        **(_WITHHELD if forgotten else {}),
        "trust": TRUST[row["source"]],
        "quarantine": row["suspicions"] if kind == "quarantined" else None,
        "confidence": round(row["confidence"], 4),
        "occurred_at": format_date(row["occurred_at"], row["occurred_precision"]),
        "ended_at": format_date(row["ended_at"], row["ended_precision"]),
        "time_precision": row["occurred_precision"] or row["ended_precision"],
        "status": status_at(standing, row["temporal_state"], as_of)
        if counts and standing
        else None,
        "valid_from": valid_from,
        "valid_to": valid_to,
    }


def _of_view(known: Standing) -> dict[str, Any]:
    return {
        "canonical_id": known.canonical_id,
        "superseded_by": known.superseded_by,
        "evidence_count": known.evidence_count,
    }


def moment_of(as_of: datetime | None, known_at: datetime | None, now: datetime) -> datetime:
    """The moment whose truth is asked for: named, else when it was believed, else now."""
    return as_of or (now if known_at is None else min(known_at, now))


def visible(standings: Mapping[UUID, Standing], view: str, as_of: datetime) -> list[UUID]:
    """The facts that a view shows of what a fold in memory found."""
    shown = _CURRENT if view == "current" else _ANY
    return [fact for fact, one in standings.items() if status_at(one, "current", as_of) in shown]


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
    """About how many tokens a fact's sentence takes."""
    return text_tokens(fact["content"])
