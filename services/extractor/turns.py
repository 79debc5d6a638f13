"""What an extractor reads and what it hands back: plain shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from shared.trust import source_of

Claim = Literal["holds", "ends", "denies"]
TemporalState = Literal["current", "past", "future", "recurring"]


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message of a conversation; `at` is aware and the message's own time."""

    id: str
    role: str
    at: datetime
    content: str


def role_of(role: str, metadata: Mapping[str, Any] | None) -> str:
    """Who speaks in a turn: its role, or whose words a user hands over, as its label says."""
    return source_of(role, metadata) if role == "user" else role


class KnownFact(TypedDict):
    """What is already believed of the user, as the extraction request carries it."""

    slot: str
    value: str


class RawFact(TypedDict):
    """One fact in the shape of the extraction contract (DESIGN §4), not yet validated."""

    content: str
    category: str
    subject: str
    slot: str | None
    value: str | None
    cardinality: str | None
    claim: Claim
    temporal_state: TemporalState
    confidence: float
    source_message_ids: list[str]
    quote: str
    occurred_at: str | None
    ended_at: str | None
